/* Unusual: signals, the clock and (in a child) clients are all descriptors: signalfd(2), timerfd_create(2), epoll(7).

   Still right: the signals stay blocked for good, in parent and child, so each waits, pending, until its signalfd is
   read. What a child reads from a signalfd that it inherited would be its own signals, but it makes one for itself:
   an epoll set belongs to the one who made it. A child looks at the signalfd before it looks at clients. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 50
#define SIZE 512

struct settings { long port, workers; char pidfile[SIZE], logfile[SIZE], message[SIZE]; };
struct slot { pid_t pid; int told; struct timespec born; };

static struct settings current;
static struct slot slots[MAX];
static int nslots, generation = 1, owed, timer = -1;
static struct timespec last_owed;
static FILE *logger;

static double since(struct timespec then)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (t.tv_sec - then.tv_sec) + (t.tv_nsec - then.tv_nsec) / 1e9;
}

static const char *parse(const char *path, struct settings *s)
{
    static char why[SIZE * 2];
    char line[SIZE], key[SIZE];
    int seen[5] = { 0 };
    memset(s, 0, sizeof *s);
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(why, sizeof why, "%s: %s", path, strerror(errno));
        return why;
    }
    *why = '\0';
    while (!*why && fgets(line, sizeof line, f)) {
        int at = 0;
        line[strcspn(line, "\r\n")] = '\0';
        if (sscanf(line, " %511s %n", key, &at) != 1)
            continue;
        char *value = at ? line + at : line + strlen(line), *end = value;
        if (!strcmp(key, "port") || !strcmp(key, "workers")) {
            long n = strtol(value, &end, 10);
            int p = *key == 'p';
            if (end == value || *end || n < !p || n > (p ? 65535 : MAX))
                snprintf(why, sizeof why, "%s: bad value %s", key, value);
            *(p ? &s->port : &s->workers) = n;
            seen[!p] = 1;
        } else if (!strcmp(key, "pidfile")) {
            strcpy(s->pidfile, value), seen[2] = *value;
        } else if (!strcmp(key, "logfile")) {
            strcpy(s->logfile, value), seen[3] = *value;
        } else if (!strcmp(key, "message")) {
            strcpy(s->message, value), seen[4] = *value;
        } else {
            snprintf(why, sizeof why, "%s: unknown", key);
        }
    }
    fclose(f);
    static const char *const names[] = { "port", "workers", "pidfile", "logfile", "message" };
    for (int i = 0; i < 5 && !*why; i++)
        if (!seen[i])
            snprintf(why, sizeof why, "%s: missing", names[i]);
    return *why ? why : NULL;
}

static int reopen(const char *path)
{
    FILE *f = fopen(path, "ae");
    if (!f)
        return -1;
    setvbuf(f, NULL, _IOLBF, 0);
    if (logger)
        fclose(logger);
    logger = f;
    return 0;
}

static sigset_t set_of(int a, int b, int c, int d, int e)
{
    sigset_t s;
    sigemptyset(&s);
    int all[] = { a, b, c, d, e };
    for (int i = 0; i < 5; i++)
        if (all[i])
            sigaddset(&s, all[i]);
    return s;
}

static void watch(int set, int fd)
{
    struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == -1)
        exit(1);
}

static void client(int fd)
{
    char buffer[4096];
    size_t have = 0;
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    char *newline = NULL;
    while (!newline && have < sizeof buffer) {
        double left = 5 - since(begin);
        struct timeval tv = { .tv_sec = (time_t) left, .tv_usec = (long) ((left - (time_t) left) * 1e6) };
        if (left <= 0 || (!tv.tv_sec && !tv.tv_usec) || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv))
            return;
        ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);
        if (n <= 0)
            return;
        newline = memchr(buffer + have, '\n', n);
        have += n;
    }
    if (!newline) {
        send(fd, "error line too long\n", 20, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (recv(fd, buffer, sizeof buffer, 0) > 0)
            ;
        return;
    }
    *newline = '\0';
    double seconds;
    if (sscanf(buffer, "slow %lf", &seconds) == 1 && seconds > 0) {
        struct timespec t = { .tv_sec = (time_t) seconds };
        t.tv_nsec = (long) ((seconds - t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
    }
    char text[SIZE + 40];
    int n = snprintf(text, sizeof text, "%d %d %s\n", getpid(), generation, current.message);
    send(fd, text, n, MSG_NOSIGNAL);
}

static void work(int listener)
{
    sigset_t usr1 = set_of(SIGUSR1, 0, 0, 0, 0);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    int fd = signalfd(-1, &usr1, SFD_CLOEXEC), set = epoll_create1(EPOLL_CLOEXEC);
    sigprocmask(SIG_SETMASK, &usr1, NULL);    /* SIGTERM ends us by default */
    watch(set, fd);
    watch(set, listener);
    for (;;) {
        struct epoll_event got[2];
        int n = epoll_wait(set, got, 2, -1);
        for (int i = 0; i < n; i++)
            if (got[i].data.fd == fd)
                _exit(0);
        if (n <= 0)
            continue;
        int c = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (c == -1)
            continue;
        client(c);
        close(c);
    }
}

static void fork_one(int listener)
{
    pid_t pid = fork();
    if (pid == 0)
        work(listener);
    if (pid == -1) {
        owed = current.workers - nslots;
        fprintf(logger, "fork: %s\n", strerror(errno));
        return;
    }
    slots[nslots].pid = pid;
    slots[nslots].told = 0;
    clock_gettime(CLOCK_MONOTONIC, &slots[nslots++].born);
}

static void populate(int listener)
{
    while (nslots < current.workers) {
        if (nslots + owed >= current.workers) {
            double wait = 1.0 - since(last_owed);
            if (wait > 0) {
                struct itimerspec alarm = { .it_value = { (time_t) wait, (long) (wait * 1e9) % 1000000000 + 1 } };
                timerfd_settime(timer, 0, &alarm, NULL);
                return;
            }
            owed = current.workers - nslots - 1;
            clock_gettime(CLOCK_MONOTONIC, &last_owed);
        }
        fork_one(listener);
    }
}

static void everybody(int number)
{
    for (int i = 0; i < nslots; i++) {
        kill(slots[i].pid, number);
        slots[i].told = 1;
    }
    if (number == SIGTERM) {
        for (int i = 0; i < nslots; i++)
            waitpid(slots[i].pid, NULL, 0);
        nslots = owed = 0;
    }
}

static void restart(const char *path, int gracefully)
{
    struct settings next;
    const char *why = reopen(current.logfile) ? "logfile" : parse(path, &next);
    if (!why && strcmp(next.logfile, current.logfile) && reopen(next.logfile))
        why = "logfile: cannot be opened";
    if (why) {
        fprintf(logger, "configuration refused: %s\n", why);
        return;
    }
    if (next.port != current.port)
        fprintf(logger, "port stays %ld\n", current.port);
    if (strcmp(next.pidfile, current.pidfile))
        fprintf(logger, "pidfile stays %s\n", current.pidfile);
    next.port = current.port;
    strcpy(next.pidfile, current.pidfile);
    current = next;
    fprintf(logger, "generation %d\n", ++generation);
    everybody(gracefully ? SIGUSR1 : SIGTERM);
}

int main(int argc, char **argv)
{
    sigset_t all = set_of(SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGCHLD, SIG_DFL);
    if (argc != 3 || strcmp(argv[1], "--config"))
        return fputs("usage: apache_signals --config FILE\n", stderr), 2;
    const char *why = parse(argv[2], &current);
    if (!why && reopen(current.logfile))
        why = strerror(errno);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(current.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!why && (bind(listener, (struct sockaddr *) &at, size) || listen(listener, 400)
                 || getsockname(listener, (struct sockaddr *) &at, &size)))
        why = strerror(errno);
    if (why)
        return fprintf(stderr, "apache_signals: %s\n", why), 1;
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    populate(listener);
    int fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK), set = epoll_create1(EPOLL_CLOEXEC);
    watch(set, fd);
    watch(set, timer);
    fprintf(logger, "generation 1\n");
    printf("ready 127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    FILE *pid = fopen(current.pidfile, "we");
    if (!pid) {
        perror("apache_signals");
        everybody(SIGTERM);
        return 1;
    }
    fprintf(pid, "%d\n", getpid());
    fclose(pid);
    for (int end = 0; !end;) {
        struct epoll_event got[2];
        epoll_wait(set, got, 2, -1);
        uint64_t ticks;
        if (read(timer, &ticks, sizeof ticks) == -1)
            ticks = 0;
        struct signalfd_siginfo info;
        int hup = 0, usr1 = 0;
        while (read(fd, &info, sizeof info) == sizeof info) {
            end |= info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
            hup |= info.ssi_signo == SIGHUP;
            usr1 |= info.ssi_signo == SIGUSR1;
        }
        if (end)
            break;
        if (hup || usr1)
            restart(argv[2], !hup);
        int status;
        pid_t gone;
        while ((gone = waitpid(-1, &status, WNOHANG)) > 0) {
            for (int i = 0; i < nslots; i++) {
                if (slots[i].pid == gone) {
                    owed += !slots[i].told && since(slots[i].born) < 1 && status != 0;
                    slots[i--] = slots[--nslots];
                }
            }
        }
        populate(listener);
    }
    everybody(SIGTERM);
    unlink(current.pidfile);
    return 0;
}
