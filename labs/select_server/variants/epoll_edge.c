/* Unusual: epoll, edge-triggered, each client registered once for everything; signals through a signalfd.

   Still right: an edge comes once, so whoever is ready goes into a list of the busy and stays there until the kernel
   has said EAGAIN. Each of them gets one helping in turn, and the wait has no time limit only while nobody is busy.
   A client that ends goes into a list of the dead, which is freed when no event of this round can name it any more. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum kind { CLIENT, LISTENER, CONSOLE, FIFO, SIGNALS };

struct source {
    enum kind kind;
    int fd;
    struct source *next, *previous;     /* all clients, in a ring */
    struct source *busy_next;           /* those that may still have something to read */
    int busy, last, dead;
    char *name;
    char in[4096];
    size_t filled;
    char *out;
    size_t from, to, room;
};

static struct source everybody = { .next = &everybody, .previous = &everybody };
static struct source *busy_first, *graves;
static struct source listeners[2] = { { .kind = LISTENER }, { .kind = LISTENER } };
static struct source console = { .kind = CONSOLE }, fifo = { .kind = FIFO, .fd = -1 }, signals = { .kind = SIGNALS };
static int epoll_fd, going = 1, population;

static void busy(struct source *s)
{
    struct source **end = &busy_first;
    if (s->busy || s->dead)
        return;
    while (*end)
        end = &(*end)->busy_next;
    *end = s;
    s->busy = 1;
    s->busy_next = NULL;
}

static void watch(struct source *s, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = s };
    s->fd = fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void bury(struct source *s)
{
    if (s->dead)
        return;
    s->dead = 1;
    close(s->fd);
    s->next->previous = s->previous;
    s->previous->next = s->next;
    s->next = graves;
    graves = s;
    population--;
    busy(&listeners[0]);        /* one of them may have had no descriptor for somebody */
    busy(&listeners[1]);
}

static void drain(struct source *s)
{
    while (!s->dead && s->from < s->to) {
        ssize_t n = send(s->fd, s->out + s->from, s->to - s->from, MSG_NOSIGNAL);
        if (n >= 0)
            s->from += (size_t) n;
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            bury(s);
    }
    if (!s->dead && s->from == s->to) {
        s->from = s->to = 0;
        if (s->last)
            bury(s);
    }
}

static void put(struct source *s, const char *head, const char *middle, const char *tail)
{
    size_t a = strlen(head), b = strlen(middle), c = strlen(tail);
    if (s->dead)
        return;
    if (s->to + a + b + c + 1 > s->room) {
        memmove(s->out, s->out + s->from, s->to - s->from);
        s->to -= s->from;
        s->from = 0;
        s->room = 2 * (s->to + a + b + c + 1);
        s->out = realloc(s->out, s->room);
    }
    memcpy(s->out + s->to, head, a);
    memcpy(s->out + s->to + a, middle, b);
    memcpy(s->out + s->to + a + b, tail, c);
    s->to += a + b + c;
    s->out[s->to++] = '\n';
    drain(s);
    if (!s->dead && s->to - s->from > 1024 * 1024)
        bury(s);
}

static void announce(const char *who, const char *what, struct source *but)
{
    struct source *following;
    for (struct source *s = everybody.next; s != &everybody; s = following) {
        following = s->next;    /* `s` may be buried meanwhile, and nobody else */
        if (s != but)
            put(s, who, ": ", what);
    }
}

static int order(const void *a, const void *b) { return strcmp(*(char *const *) a, *(char *const *) b); }

static void who(struct source *s)
{
    char **names = malloc(sizeof *names * (size_t) (population + 1)), *line = NULL;
    size_t n = 0, length;
    for (struct source *each = everybody.next; each != &everybody; each = each->next)
        if (each->name)
            names[n++] = each->name;
    qsort(names, n, sizeof *names, order);
    FILE *text = open_memstream(&line, &length);
    for (size_t i = 0; i < n; i++)
        fprintf(text, "%s%s", i ? " " : "", names[i]);
    fclose(text);
    put(s, "", line, "");
    free(line);
    free(names);
}

static void sum(struct source *s, char *words)
{
    __int128 total = 0;
    char text[48], *end, *word = strtok(words, " ");
    int good = word != NULL;
    for (; word && good; word = strtok(NULL, " ")) {
        errno = 0;
        total += strtoll(word, &end, 10);
        good = errno == 0 && *end == '\0' && end != word;
    }
    if (!good || total > INT64_MAX || total < INT64_MIN) {
        put(s, "error ", "cannot add that", "");
        return;
    }
    snprintf(text, sizeof text, "%lld", (long long) total);
    put(s, "= ", text, "");
}

static void command(struct source *s, char *line)
{
    char *word = strsep(&line, " ");
    const char *rest = line ? line : "";
    if (!strcmp(word, "name") && *rest && !strchr(rest, ' ')) {
        for (struct source *each = everybody.next; each != &everybody; each = each->next)
            if (each != s && each->name && !strcmp(each->name, rest)) {
                put(s, "error ", rest, " is taken");
                return;
            }
        free(s->name);
        s->name = strdup(rest);
        put(s, "ok", "", "");
    } else if (!strcmp(word, "say") && *rest && s->name) {
        announce(s->name, rest, s);
    } else if (!strcmp(word, "sum")) {
        sum(s, line ? line : (char []) { "" });
    } else if (!strcmp(word, "who")) {
        who(s);
    } else if (!strcmp(word, "quit")) {
        put(s, "bye", "", "");
        s->last = 1;
        drain(s);
    } else {
        put(s, "error ", "no such thing: ", word);
    }
}

/* One helping of input: what read(2) said */
static ssize_t helping(struct source *s, void (*obey)(struct source *, char *))
{
    ssize_t n = read(s->fd, s->in + s->filled, sizeof s->in - s->filled);
    if (n <= 0)
        return n;
    s->filled += (size_t) n;
    char *start = s->in, *end;
    while (!s->dead && !s->last && (end = memchr(start, '\n', s->filled - (size_t) (start - s->in)))) {
        *end = '\0';
        obey(s, start);
        start = end + 1;
    }
    s->filled -= (size_t) (start - s->in);
    memmove(s->in, start, s->filled);
    return n;
}

static void console_line(struct source *s, char *line)
{
    (void) s;
    if (!strcmp(line, "clients")) {
        printf("%d connected\n", population);
        fflush(stdout);
    } else if (!strncmp(line, "say ", 4)) {
        announce("server", line + 4, NULL);
    } else if (!strcmp(line, "shutdown")) {
        going = 0;
    }
}

static void fifo_line(struct source *s, char *line)
{
    (void) s;
    announce("fifo", line, NULL);
}

/* One turn of a source that is busy; whether it may have more */
static int turn(struct source *s)
{
    ssize_t n = 0;
    struct source *fresh;
    switch (s->kind) {
    case LISTENER:
        n = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK);
        if (n < 0)
            return errno == EINTR || errno == ECONNABORTED;
        fresh = calloc(1, sizeof *fresh);
        fresh->next = &everybody;
        fresh->previous = everybody.previous;
        everybody.previous->next = fresh;
        everybody.previous = fresh;
        population++;
        watch(fresh, (int) n, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        return 1;
    case CLIENT:
        if (s->dead || s->last)
            return 0;
        n = helping(s, command);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            bury(s);
        if (n == 0) {
            s->last = 1;
            drain(s);
        }
        if (n > 0 && s->filled == sizeof s->in && !s->dead && !s->last) {
            put(s, "error line too long", "", "");
            s->last = 1;
            drain(s);
        }
        return n > 0;
    case CONSOLE:
        n = helping(s, console_line);
        break;
    case FIFO:
        n = helping(s, fifo_line);
        break;
    case SIGNALS:
        going = 0;
    }
    if (n == 0 || s->filled == sizeof s->in)
        s->filled = 0;
    return n > 0;
}

static int unix_listener(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return fd;
    struct stat there;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)
        && connect(probe, (struct sockaddr *) &address, sizeof address) < 0 && errno == ECONNREFUSED
        && unlink(path) == 0 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0) {
        close(probe);
        return fd;
    }
    fprintf(stderr, "select_server: %s is in use\n", path);
    exit(1);
}

int main(int argc, char **argv)
{
    char *port = NULL, *path = NULL, *pipe_path = NULL, *unknown = NULL, *end;
    struct option options[] = {
        { "port", 1, 0, 1 }, { "unix", 1, 0, 2 }, { "fifo", 1, 0, 3 }, { 0, 0, 0, 0 }
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) > 0;)
        *(c == 1 ? &port : c == 2 ? &path : c == 3 ? &pipe_path : &unknown) = c > 3 ? "" : optarg;
    long number = port ? strtol(port, &end, 10) : -1;
    if (number < 0 || number > 65535 || *end || !*port || !path || unknown || optind < argc) {
        fprintf(stderr, "usage: %s --port P --unix PATH [--fifo PATH]\n", argv[0]);
        return 2;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);

    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) number) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(tcp, (struct sockaddr *) &address, size) < 0) {
        fprintf(stderr, "select_server: port %ld: %m\n", number);
        return 1;
    }
    int local = unix_listener(path), made = 0;
    listen(tcp, 1000);
    listen(local, 1000);
    getsockname(tcp, (struct sockaddr *) &address, &size);

    epoll_fd = epoll_create1(0);
    watch(&signals, signalfd(-1, &set, SFD_NONBLOCK), EPOLLIN);
    watch(&listeners[0], tcp, EPOLLIN | EPOLLET);
    watch(&listeners[1], local, EPOLLIN | EPOLLET);
    watch(&console, 0, EPOLLIN);
    if (pipe_path) {
        made = mkfifo(pipe_path, 0600) == 0;
        watch(&fifo, open(pipe_path, O_RDWR | O_NONBLOCK), EPOLLIN);
    }
    printf("ready 127.0.0.1:%d\n", ntohs(address.sin_port));
    printf("ready %s\n", path);
    if (pipe_path)
        printf("ready %s\n", pipe_path);
    fflush(stdout);

    while (going) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, busy_first ? 0 : -1);
        for (int i = 0; i < n; i++) {
            struct source *s = events[i].data.ptr;
            if (s->dead)
                continue;
            if (s->kind == CLIENT && events[i].events & EPOLLOUT)
                drain(s);
            if (s->kind == CONSOLE) {       /* level-triggered: one read, which may block otherwise */
                if (!turn(s))
                    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
            } else if (events[i].events & ~(uint32_t) EPOLLOUT) {
                busy(s);
            }
        }
        struct source *round = busy_first;
        busy_first = NULL;
        for (struct source *s = round, *following; s; s = following) {
            following = s->busy_next;
            s->busy = 0;
            if (turn(s))
                busy(s);
        }
        while (graves) {
            struct source *s = graves;
            graves = s->next;
            free(s->name);
            free(s->out);
            free(s);
        }
    }
    unlink(path);
    if (made)
        unlink(pipe_path);
    return 0;
}
