/* Unusual: select(2), one big table indexed by descriptor, and a ring for the output of each client that has some.

   Still right: a descriptor of FD_SETSIZE or more has no bit in a set (FD_SET would write beyond it), so such a client
   is closed at once, and so is one for which there is no descriptor but the spare one. SIGPIPE is avoided by
   MSG_NOSIGNAL at each send. Signals arrive only inside pselect(2), which opens the mask while it waits. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE 4096
#define QUEUE (1 << 20)

struct client {
    int open, quitting;
    char name[LINE], in[LINE];
    size_t in_length, out_start, out_length;
    char *out;
};

static struct client *clients[FD_SETSIZE];
static int tcp, unix_socket, fifo = -1, spare;
static volatile sig_atomic_t ended;
static const char *socket_path, *fifo_path;
static int fifo_is_ours;

static void end(int number) { ended = number; }

static void die(const char *what)
{
    fprintf(stderr, "select_server: %s: %s\n", what, strerror(errno));
    if (fifo_is_ours)
        unlink(fifo_path);
    exit(1);
}

static void shut(int fd)
{
    struct client *c = clients[fd];
    clients[fd] = NULL;
    free(c->out);
    free(c);
    close(fd);
}

/* 0 when the client is gone */
static int push(int fd)
{
    struct client *c = clients[fd];
    while (c->out_length > 0) {
        size_t run = c->out_start + c->out_length > QUEUE ? QUEUE - c->out_start : c->out_length;
        ssize_t sent = send(fd, c->out + c->out_start, run, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EAGAIN)
                return 1;
            shut(fd);
            return 0;
        }
        c->out_start = (c->out_start + (size_t) sent) % QUEUE;
        c->out_length -= (size_t) sent;
    }
    if (c->quitting) {
        shut(fd);
        return 0;
    }
    free(c->out);
    c->out = NULL;
    return 1;
}

static void put(int fd, const char *text)
{
    size_t length = strlen(text);
    if (clients[fd] == NULL)
        return;
    if (clients[fd]->out_length + length > QUEUE && (!push(fd) || clients[fd]->out_length + length > QUEUE)) {
        if (clients[fd] != NULL)
            shut(fd);
        return;
    }
    struct client *c = clients[fd];
    if (c->out == NULL)
        c->out = malloc(QUEUE);
    for (size_t i = 0; i < length; ) {
        size_t at = (c->out_start + c->out_length) % QUEUE;
        size_t run = length - i < QUEUE - at ? length - i : QUEUE - at;
        memcpy(c->out + at, text + i, run);
        c->out_length += run;
        i += run;
    }
}

static void shout(int sender, const char *who, const char *what)
{
    static char line[2 * LINE + 4];
    snprintf(line, sizeof line, "%s: %s\n", who, what);
    for (int fd = 0; fd < FD_SETSIZE; fd++)
        if (fd != sender)
            put(fd, line);
}

static int compare(const void *a, const void *b) { return strcmp(*(char **) a, *(char **) b); }

static void obey(int fd, char *line)
{
    struct client *c = clients[fd];
    char answer[64];
    char *rest = strchr(line, ' ');
    rest = rest ? (*rest = '\0', rest + 1) : line + strlen(line);
    if (strcmp(line, "name") == 0 && *rest && strcspn(rest, " \t") == strlen(rest)) {
        for (int other = 0; other < FD_SETSIZE; other++)
            if (other != fd && clients[other] && strcmp(clients[other]->name, rest) == 0) {
                put(fd, "error taken\n");
                return;
            }
        strcpy(c->name, rest);
        put(fd, "ok\n");
    } else if (strcmp(line, "say") == 0 && *c->name && *rest) {
        shout(fd, c->name, rest);
    } else if (strcmp(line, "sum") == 0 && *rest) {
        long long sum = 0;
        for (char *word = strtok(rest, " "); word; word = strtok(NULL, " ")) {
            char *stop;
            errno = 0;
            long long n = strtoll(word, &stop, 10);
            if (errno || *stop || stop == word || __builtin_add_overflow(sum, n, &sum)) {
                put(fd, "error no sum\n");
                return;
            }
        }
        snprintf(answer, sizeof answer, "= %lld\n", sum);
        put(fd, answer);
    } else if (strcmp(line, "who") == 0) {
        char *names[FD_SETSIZE];
        size_t n = 0;
        for (int other = 0; other < FD_SETSIZE; other++)
            if (clients[other] && *clients[other]->name)
                names[n++] = clients[other]->name;
        qsort(names, n, sizeof *names, compare);
        for (size_t i = 0; i < n; i++) {
            put(fd, i ? " " : "");
            put(fd, names[i]);
        }
        put(fd, "\n");
    } else if (strcmp(line, "quit") == 0) {
        put(fd, "bye\n");
        if (clients[fd])
            clients[fd]->quitting = 1;
    } else {
        put(fd, "error unknown\n");
    }
}

/* Cut the first line off a buffer and end it with a zero; 0 if there is none */
static int cut(char *in, size_t *length, char *line)
{
    char *newline = memchr(in, '\n', *length);
    if (!newline)
        return 0;
    size_t n = (size_t) (newline - in);
    memcpy(line, in, n);
    line[n] = '\0';
    *length -= n + 1;
    memmove(in, newline + 1, *length);
    return 1;
}

static void hear(int fd)
{
    static char line[LINE];
    struct client *c = clients[fd];
    ssize_t got = recv(fd, c->in + c->in_length, LINE - c->in_length, MSG_DONTWAIT);
    if (got < 0) {
        if (errno != EAGAIN)
            shut(fd);
        return;
    }
    if (got == 0) {
        c->quitting = 1;
        push(fd);
        return;
    }
    c->in_length += (size_t) got;
    while (clients[fd] && !c->quitting && cut(c->in, &c->in_length, line))
        obey(fd, line);
    if (clients[fd] && !c->quitting && c->in_length == LINE) {
        put(fd, "error line too long\n");
        if (clients[fd])
            c->quitting = 1;
    }
}

static void admit(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 && errno == EMFILE) {
        close(spare);
        fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            close(fd);
        spare = open("/dev/null", O_RDONLY);
        return;
    }
    if (fd < 0)
        return;
    if (fd >= FD_SETSIZE) {
        close(fd);
        return;
    }
    clients[fd] = calloc(1, sizeof **clients);
}

static void hear_console(int *open)
{
    static char in[LINE], line[LINE];
    static size_t length;
    ssize_t got = read(0, in + length, sizeof in - length);
    if (got <= 0) {
        *open = 0;
        return;
    }
    length += (size_t) got;
    while (cut(in, &length, line)) {
        if (strcmp(line, "shutdown") == 0) {
            ended = 1;
        } else if (strcmp(line, "clients") == 0) {
            int n = 0;
            for (int fd = 0; fd < FD_SETSIZE; fd++)
                n += clients[fd] != NULL;
            dprintf(1, "%d\n", n);
        } else if (strncmp(line, "say ", 4) == 0) {
            shout(-1, "server", line + 4);
        }
    }
    if (length == sizeof in)
        length = 0;
}

static void hear_fifo(void)
{
    static char in[LINE], line[LINE];
    static size_t length;
    ssize_t got = read(fifo, in + length, sizeof in - length);
    if (got > 0)
        length += (size_t) got;
    while (cut(in, &length, line))
        shout(-1, "fifo", line);
    if (length == sizeof in)
        length = 0;
}

static void listen_unix(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    struct stat seen;
    if (strlen(socket_path) >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        die(socket_path);
    }
    strcpy(name.sun_path, socket_path);
    unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (lstat(socket_path, &seen) == 0) {
        errno = EEXIST;
        if (!S_ISSOCK(seen.st_mode))
            die(socket_path);
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(probe, (void *) &name, sizeof name) == 0 || errno != ECONNREFUSED) {
            errno = EADDRINUSE;
            die(socket_path);
        }
        close(probe);
        unlink(socket_path);
    }
    if (bind(unix_socket, (void *) &name, sizeof name) < 0 || listen(unix_socket, SOMAXCONN) < 0)
        die(socket_path);
}

static int wrong(void)
{
    fputs("usage: select_server --port P --unix PATH [--fifo PATH]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    int port = -1;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return wrong();
        if (strcmp(argv[i], "--port") == 0) {
            char *stop;
            long number = strtol(argv[i + 1], &stop, 10);
            if (*stop || stop == argv[i + 1] || number < 0 || number > 65535)
                return wrong();
            port = (int) number;
        } else if (strcmp(argv[i], "--unix") == 0) {
            socket_path = argv[i + 1];
        } else if (strcmp(argv[i], "--fifo") == 0) {
            fifo_path = argv[i + 1];
        } else {
            return wrong();
        }
    }
    if (port < 0 || socket_path == NULL)
        return wrong();

    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, &before);
    signal(SIGTERM, end);
    signal(SIGINT, end);

    spare = open("/dev/null", O_RDONLY);
    struct sockaddr_in name = { AF_INET, htons((uint16_t) port), { htonl(INADDR_LOOPBACK) }, { 0 } };
    socklen_t size = sizeof name;
    tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof (int));
    if (bind(tcp, (void *) &name, size) < 0 || listen(tcp, SOMAXCONN) < 0)
        die("bind");
    getsockname(tcp, (void *) &name, &size);
    if (fifo_path != NULL) {
        fifo_is_ours = mkfifo(fifo_path, 0600) == 0;
        if ((fifo = open(fifo_path, O_RDWR | O_NONBLOCK)) < 0)
            die(fifo_path);
    }
    listen_unix();
    printf("ready 127.0.0.1:%d\nready %s\n", ntohs(name.sin_port), socket_path);
    if (fifo >= 0)
        printf("ready %s\n", fifo_path);
    fflush(stdout);

    for (int console = 1; !ended;) {
        fd_set readable, writable;
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        int highest = 0;
        const int fixed[] = { console ? 0 : -1, tcp, unix_socket, fifo };
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
            if (fixed[i] >= 0)
                FD_SET(fixed[i], &readable);
            highest = fixed[i] > highest ? fixed[i] : highest;
        }
        for (int fd = 0; fd < FD_SETSIZE; fd++) {
            if (clients[fd] == NULL)
                continue;
            if (!clients[fd]->quitting)
                FD_SET(fd, &readable);
            if (clients[fd]->out_length > 0 || clients[fd]->quitting)
                FD_SET(fd, &writable);
            highest = fd > highest ? fd : highest;
        }
        if (pselect(highest + 1, &readable, &writable, NULL, NULL, &before) < 0)
            continue;
        for (int fd = 0; fd < FD_SETSIZE; fd++)
            if (clients[fd] && FD_ISSET(fd, &writable))
                push(fd);
        for (int fd = 0; fd < FD_SETSIZE; fd++)
            if (clients[fd] && FD_ISSET(fd, &readable))
                hear(fd);
        if (console && FD_ISSET(0, &readable))
            hear_console(&console);
        if (fifo >= 0 && FD_ISSET(fifo, &readable))
            hear_fifo();
        if (FD_ISSET(tcp, &readable))
            admit(tcp);
        if (FD_ISSET(unix_socket, &readable))
            admit(unix_socket);
    }
    unlink(socket_path);
    if (fifo_is_ours)
        unlink(fifo_path);
    return 0;
}
