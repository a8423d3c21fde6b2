/* Unusual: epoll, level-triggered, with whole streams: output goes through an open_memstream(3) that grows by itself,
   and the interest in writing is switched on and off with EPOLL_CTL_MOD. The FIFO is opened again at each end-of-file.

   Still right: a stream in memory never blocks, and it is emptied and begun anew as soon as everything was written.
   A FIFO that is opened non-blocking for reading has no end-of-file until its first writer has come and gone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_CLIENTS 2048

typedef struct {
    int fd;                 /* -1: free */
    unsigned born;          /* distinguishes clients that had the same place one after the other */
    char name[4096], line[4096];
    size_t length;
    FILE *stream;
    char *text;
    size_t size, written;
    int last;
} client_t;

static client_t *clients[MOST_CLIENTS];
static unsigned births;
static int poller, tcp, local, fifo = -1, asleep;
static const char *local_path, *fifo_path;
static int own_fifo;
static char console_line[4096], fifo_line[4096];
static size_t console_length, fifo_length;
static int alarm_pipe[2];

static void wake(int number) { (void) !write(alarm_pipe[1], &number, 1); }

static void control(int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = { events, { .u64 = data } };
    epoll_ctl(poller, operation, fd, &event);
}

static void end_client(int place)
{
    client_t *c = clients[place];
    close(c->fd);
    fclose(c->stream);
    free(c->text);
    free(c);
    clients[place] = NULL;
    if (asleep) {
        asleep = 0;
        control(EPOLL_CTL_ADD, tcp, EPOLLIN, tcp);
        control(EPOLL_CTL_ADD, local, EPOLLIN, local);
    }
}

/* The data of an event: who, and which of those that had his place */
static uint64_t identity(int place) { return (uint64_t) clients[place]->born << 32 | (unsigned) (place + 100000); }

static int flush_client(int place)
{
    client_t *c = clients[place];
    fflush(c->stream);
    while (c->written < c->size) {
        ssize_t n = send(c->fd, c->text + c->written, c->size - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            end_client(place);
            return 0;
        }
        c->written += (size_t) n;
    }
    if (c->written == c->size) {
        if (c->last) {
            end_client(place);
            return 0;
        }
        fclose(c->stream);
        free(c->text);
        c->stream = open_memstream(&c->text, &c->size);
        c->written = 0;
        fflush(c->stream);
    } else if (c->size - c->written > 1048576) {
        end_client(place);
        return 0;
    }
    uint32_t events = (c->last ? 0 : EPOLLIN) | (c->written < c->size ? EPOLLOUT : 0);
    control(EPOLL_CTL_MOD, c->fd, events, identity(place));
    return 1;
}

static void say(int place, const char *a, const char *b, const char *c)
{
    if (clients[place]) {
        fprintf(clients[place]->stream, "%s%s%s\n", a, b, c);
        flush_client(place);
    }
}

static void say_all(int but, const char *who, const char *what)
{
    for (int i = 0; i < MOST_CLIENTS; i++)
        if (i != but)
            say(i, who, ": ", what);
}

static int sorted(const void *a, const void *b) { return strcmp(*(const char **) a, *(const char **) b); }

static void obey(int place, char *line)
{
    client_t *c = clients[place];
    char answer[32], *space = strchr(line, ' '), *rest = space ? space + 1 : NULL;
    size_t command = space ? (size_t) (space - line) : strlen(line);
#define IS(word) (command == sizeof word - 1 && memcmp(line, word, command) == 0)
    if (IS("name") && rest && *rest && !strpbrk(rest, " \t")) {
        for (int i = 0; i < MOST_CLIENTS; i++)
            if (i != place && clients[i] && !strcmp(clients[i]->name, rest)) {
                say(place, "error ", "taken", "");
                return;
            }
        strcpy(c->name, rest);
        say(place, "ok", "", "");
    } else if (IS("say") && rest && *rest && *c->name) {
        say_all(place, c->name, rest);
    } else if (IS("sum") && rest) {
        __int128 sum = 0;
        int good = 0;
        for (char *word = strtok(rest, " "); word; word = strtok(NULL, " ")) {
            char *end;
            errno = 0;
            sum += strtoimax(word, &end, 10);
            good = errno == 0 && *end == '\0' && (isdigit((unsigned char) *word) || word[1]);
            if (!good)
                break;
        }
        if (!good || sum != (int64_t) sum) {
            say(place, "error ", "numbers", "");
        } else {
            snprintf(answer, sizeof answer, "%" PRId64, (int64_t) sum);
            say(place, "= ", answer, "");
        }
    } else if (!strcmp(line, "who")) {
        const char *all[MOST_CLIENTS];
        size_t n = 0;
        for (int i = 0; i < MOST_CLIENTS; i++)
            if (clients[i] && *clients[i]->name)
                all[n++] = clients[i]->name;
        qsort(all, n, sizeof *all, sorted);
        for (size_t i = 0; i < n; i++)
            fprintf(c->stream, "%s%s", i ? " " : "", all[i]);
        say(place, "", "", "");
    } else if (!strcmp(line, "quit")) {
        c->last = 1;
        say(place, "bye", "", "");
    } else {
        say(place, "error ", "eh?", "");
    }
}

/* Take the first line out of a buffer; 0 if there is none */
static int first_line(char *from, size_t *length, char *line)
{
    char *end = memchr(from, '\n', *length);
    if (!end)
        return 0;
    memcpy(line, from, (size_t) (end - from));
    line[end - from] = '\0';
    *length -= (size_t) (end + 1 - from);
    memmove(from, end + 1, *length);
    return 1;
}

static void hear(int place)
{
    client_t *c = clients[place];
    unsigned born = c->born;
    char line[4096];
    ssize_t n = recv(c->fd, c->line + c->length, sizeof c->line - c->length, 0);
    if (n < 0) {
        if (errno != EAGAIN)
            end_client(place);
        return;
    }
    c->length += (size_t) n;
    while (clients[place] && clients[place]->born == born && !c->last && first_line(c->line, &c->length, line))
        obey(place, line);
    if (!clients[place] || clients[place]->born != born || c->last)
        return;
    if (n == 0) {
        c->last = 1;
        flush_client(place);
    } else if (c->length == sizeof c->line) {
        c->last = 1;
        say(place, "error line too long", "", "");
    }
}

static void admit(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), place = 0;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) {
            asleep = 1;
            epoll_ctl(poller, EPOLL_CTL_DEL, tcp, NULL);
            epoll_ctl(poller, EPOLL_CTL_DEL, local, NULL);
        }
        return;
    }
    while (clients[place])
        place++;
    client_t *c = clients[place] = calloc(1, sizeof *c);
    c->fd = fd;
    c->born = ++births;
    c->stream = open_memstream(&c->text, &c->size);
    fflush(c->stream);
    control(EPOLL_CTL_ADD, fd, EPOLLIN, identity(place));
}

static void leave(void)
{
    unlink(local_path);
    if (own_fifo)
        unlink(fifo_path);
    exit(0);
}

static void hear_console(void)
{
    char line[4096];
    ssize_t n = read(0, console_line + console_length, sizeof console_line - console_length);
    if (n <= 0) {
        epoll_ctl(poller, EPOLL_CTL_DEL, 0, NULL);
        return;
    }
    console_length += (size_t) n;
    while (first_line(console_line, &console_length, line)) {
        if (!strcmp(line, "clients")) {
            int n = 0;
            for (int i = 0; i < MOST_CLIENTS; i++)
                n += clients[i] != NULL;
            dprintf(1, "%d clients\n", n);
        } else if (!strncmp(line, "say ", 4)) {
            say_all(-1, "server", line + 4);
        } else if (!strcmp(line, "shutdown")) {
            leave();
        }
    }
    if (console_length == sizeof console_line)
        console_length = 0;
}

static void open_fifo(void)
{
    if (fifo >= 0)
        close(fifo);
    fifo = open(fifo_path, O_RDONLY | O_NONBLOCK);
    control(EPOLL_CTL_ADD, fifo, EPOLLIN, 99999);
}

static void hear_fifo(void)
{
    char line[4096];
    ssize_t n = read(fifo, fifo_line + fifo_length, sizeof fifo_line - fifo_length);
    if (n == 0)
        open_fifo();
    if (n <= 0)
        return;
    fifo_length += (size_t) n;
    while (first_line(fifo_line, &fifo_length, line))
        say_all(-1, "fifo", line);
    if (fifo_length == sizeof fifo_line)
        fifo_length = 0;
}

static int refuse(const char *what)
{
    fprintf(stderr, "select_server: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    int port = -1, wrong = 0;
    static struct option known[] = { { "port", 1, 0, 'p' }, { "unix", 1, 0, 'u' }, { "fifo", 1, 0, 'f' }, { 0 } };
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        char after;
        if (o == 'p')
            wrong |= sscanf(optarg, "%d%c", &port, &after) != 1 || port < 0 || port > 65535;
        else if (o == 'u')
            local_path = optarg;
        else if (o == 'f')
            fifo_path = optarg;
        else
            wrong = 1;
    }
    if (wrong || port < 0 || !local_path || optind != argc) {
        fprintf(stderr, "Usage: select_server --port P --unix PATH [--fifo PATH]\n");
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    (void) !pipe2(alarm_pipe, O_NONBLOCK | O_CLOEXEC);
    signal(SIGTERM, wake);
    signal(SIGINT, wake);

    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    inet_aton("127.0.0.1", &address.sin_addr);
    socklen_t size = sizeof address;
    tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, (int[]) { 1 }, sizeof (int));
    if (bind(tcp, (struct sockaddr *) &address, size) || listen(tcp, 200))
        return refuse("port");
    getsockname(tcp, (struct sockaddr *) &address, &size);

    struct sockaddr_un place = { .sun_family = AF_UNIX };
    struct stat there;
    snprintf(place.sun_path, sizeof place.sun_path, "%s", local_path);
    local = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (!lstat(local_path, &there) && S_ISSOCK(there.st_mode)) {
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(probe, (struct sockaddr *) &place, sizeof place) && errno == ECONNREFUSED)
            unlink(local_path);
        close(probe);
    }
    if (bind(local, (struct sockaddr *) &place, sizeof place) || listen(local, 200))
        return refuse(local_path);

    control(EPOLL_CTL_ADD, alarm_pipe[0], EPOLLIN, 99998);
    control(EPOLL_CTL_ADD, tcp, EPOLLIN, tcp);
    control(EPOLL_CTL_ADD, local, EPOLLIN, local);
    control(EPOLL_CTL_ADD, 0, EPOLLIN, 99997);
    printf("ready 127.0.0.1:%d\nready %s\n", ntohs(address.sin_port), local_path);
    if (fifo_path) {
        own_fifo = mkfifo(fifo_path, 0600) == 0;
        open_fifo();
        printf("ready %s\n", fifo_path);
    }
    fflush(stdout);

    for (;;) {
        struct epoll_event events[32];
        int n = epoll_wait(poller, events, 32, -1);
        for (int i = 0; i < n; i++) {
            uint64_t data = events[i].data.u64;
            if ((data & 0xffffffff) >= 100000) {
                int who = (int) ((data & 0xffffffff) - 100000);
                if (!clients[who] || identity(who) != data)
                    continue;       /* gone since */
                if (clients[who]->written < clients[who]->size || clients[who]->last)
                    if (!flush_client(who))
                        continue;
                if (events[i].events & ~(uint32_t) EPOLLOUT && !clients[who]->last)
                    hear(who);
            } else if (data == 99999) {
                hear_fifo();
            } else if (data == 99998) {
                leave();
            } else if (data == 99997) {
                hear_console();
            } else if (!asleep) {
                admit((int) data);
            }
        }
    }
}
