/* Unusual: handlers that only set a flag, and ppoll(2) and pselect(2), which let signals through while they wait and at
   no other moment. The parent waits for nothing but signals and the clock: its ppoll watches no descriptor.

   Still right: the signals are blocked wherever the flags are read and taken back, so test and wait are one step. The
   flags are sig_atomic_t and volatile. A child takes the handler over that it was forked with, and sees its own
   flag, which it clears first: a signal that had come for the parent is not for it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop, hup, usr1, chld;

static void note(int number)
{
    switch (number) {
    case SIGHUP: hup = 1; break;
    case SIGUSR1: usr1 = 1; break;
    case SIGCHLD: chld = 1; break;
    default: stop = 1;
    }
}

static sigset_t none;                    /* the mask while something waits */

struct config { int port, workers; char *pidfile, *logfile, *message; };

static void forget(struct config *c)
{
    free(c->pidfile);
    free(c->logfile);
    free(c->message);
    *c = (struct config) { .port = -1, .workers = -1 };
}

static int whole(const char *s, int most)
{
    int n = 0;
    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || (n = n * 10 + *s - '0') > most)
            return -1;
    }
    return n;
}

/* 0, or what is wrong */
static char *load(const char *path, struct config *c)
{
    char *line = NULL, *why = NULL;
    size_t room = 0;
    ssize_t n;
    *c = (struct config) { .port = -1, .workers = -1 };
    FILE *f = fopen(path, "re");
    if (!f)
        return strdup(strerror(errno));
    while (!why && (n = getline(&line, &room, f)) != -1) {
        while (n && strchr(" \t\r\n", line[n - 1]))
            line[--n] = 0;
        char *value = line, *key = strsep(&value, " ");
        if (!*key)
            continue;
        if (!value || !*value)
            why = strdup(key);
        else if (!strcmp(key, "port"))
            c->port = whole(value, 65535);
        else if (!strcmp(key, "workers"))
            c->workers = whole(value, 50);
        else if (!strcmp(key, "pidfile"))
            free(c->pidfile), c->pidfile = strdup(value);
        else if (!strcmp(key, "logfile"))
            free(c->logfile), c->logfile = strdup(value);
        else if (!strcmp(key, "message"))
            free(c->message), c->message = strdup(value);
        else
            why = strdup(key);
    }
    free(line);
    fclose(f);
    if (!why && c->port < 0)
        why = strdup("port");
    if (!why && c->workers < 1)
        why = strdup("workers");
    if (!why && (!c->pidfile || !c->logfile || !c->message))
        why = strdup(!c->pidfile ? "pidfile" : !c->logfile ? "logfile" : "message");
    return why;
}

static int log_fd = -1;

static int log_to(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd == -1)
        return -1;
    if (log_fd == -1) {
        log_fd = fd;
    } else {
        dup3(fd, log_fd, O_CLOEXEC);     /* the number stays, the file is another */
        close(fd);
    }
    return 0;
}

static double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void talk(int fd, int generation, const char *message)
{
    char line[4096];
    int have = 0;
    double end = clock_now() + 5;
    for (;;) {
        int left = (end - clock_now()) * 1000;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (left < 0 || poll(&p, 1, left) == 0)
            return;
        ssize_t n = read(fd, line + have, 1);
        if (n == 0 || (n == -1 && errno != EINTR))
            return;
        if (n == -1)
            continue;
        if (line[have] == '\n')
            break;
        if (++have == sizeof line) {
            (void) !write(fd, "error line too long\n", 20);
            shutdown(fd, SHUT_WR);
            while (poll(&p, 1, left) == 1 && read(fd, line, sizeof line) > 0)
                ;
            return;
        }
    }
    line[have] = 0;
    if (!strncmp(line, "slow ", 5)) {
        double s = atof(line + 5);
        struct timespec t = { s, (s - (time_t) s) * 1e9 };
        while (nanosleep(&t, &t))
            if (errno != EINTR)
                break;
    }
    dprintf(fd, "%d %d %s\n", getpid(), generation, message);
}

static void child(int listener, int generation, const char *message)
{
    struct sigaction s = { .sa_handler = SIG_IGN };
    sigaction(SIGHUP, &s, NULL);
    sigaction(SIGINT, &s, NULL);
    sigaction(SIGPIPE, &s, NULL);
    s.sa_handler = SIG_DFL;
    sigaction(SIGTERM, &s, NULL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGUSR1);
    usr1 = 0;
    sigprocmask(SIG_SETMASK, &only, NULL);
    while (!usr1) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(listener, &set);
        if (pselect(listener + 1, &set, NULL, NULL, NULL, &none) != 1)
            continue;
        int fd = accept(listener, NULL, NULL);
        if (fd == -1)
            continue;
        talk(fd, generation, message);
        close(fd);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    static const int mine[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD };
    struct sigaction action = { .sa_handler = note };
    sigset_t all;
    sigemptyset(&all);
    for (int i = 0; i < 5; i++)
        sigaddset(&all, mine[i]);
    sigprocmask(SIG_BLOCK, &all, &none);
    for (int i = 0; i < 5; i++) {
        sigaction(mine[i], &action, NULL);
        sigdelset(&none, mine[i]);
    }
    if (argc != 3 || strcmp(argv[1], "--config")) {
        dprintf(2, "usage: apache_signals --config FILE\n");
        return 2;
    }
    struct config c;
    char *why = load(argv[2], &c);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t size = sizeof a;
    if (!why) {
        a.sin_port = htons(c.port);
        inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (log_to(c.logfile) || bind(listener, (struct sockaddr *) &a, size) || listen(listener, SOMAXCONN))
            why = strdup(strerror(errno));
    }
    if (why) {
        dprintf(2, "apache_signals: %s\n", why);
        return 1;
    }
    getsockname(listener, (struct sockaddr *) &a, &size);

    pid_t pids[50];
    double born[50];
    int told[50], count = 0, young = 0, generation = 1, announced = 0;
    double free_at = 0;
    for (;;) {
        struct timespec limit, *wait = NULL;
        while (count < c.workers) {
            double left = free_at - clock_now();
            if (young > c.workers - count)
                young = c.workers - count;
            if (young == c.workers - count) {
                if (left > 0) {
                    limit = (struct timespec) { left, (left - (time_t) left) * 1e9 };
                    wait = &limit;
                    break;
                }
                young--;
                free_at = clock_now() + 1;
            }
            pid_t pid = fork();
            if (pid == 0)
                child(listener, generation, c.message);
            if (pid > 0) {
                pids[count] = pid;
                told[count] = 0;
                born[count++] = clock_now();
            } else {
                young = c.workers - count;
                free_at = clock_now() + 1;
            }
        }
        if (!announced) {
            announced = 1;
            dprintf(log_fd, "generation 1\n");
            dprintf(1, "ready 127.0.0.1:%d\n", ntohs(a.sin_port));
            int fd = open(c.pidfile, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            if (fd == -1) {
                dprintf(2, "apache_signals: %s: %s\n", c.pidfile, strerror(errno));
                break;
            }
            dprintf(fd, "%d\n", getpid());
            close(fd);
        }
        if (!stop && !hup && !usr1 && !chld)
            ppoll(NULL, 0, wait, &none);
        if (stop)
            break;
        if (hup || usr1) {
            int graceful = !hup;
            hup = usr1 = 0;
            struct config new;
            char *bad = log_to(c.logfile) ? strdup("logfile") : load(argv[2], &new);
            if (!bad && log_to(new.logfile))
                bad = strdup("logfile");
            if (bad) {
                dprintf(log_fd, "the configuration is broken: %s\n", bad);
                free(bad);
            } else {
                if (new.port != c.port)
                    dprintf(log_fd, "a new port needs a new start\n");
                if (strcmp(new.pidfile, c.pidfile))
                    dprintf(log_fd, "a new pidfile needs a new start\n");
                new.port = c.port;
                free(new.pidfile);
                new.pidfile = strdup(c.pidfile);
                forget(&c);
                c = new;
                dprintf(log_fd, "generation %d\n", ++generation);
                for (int i = 0; i < count; i++) {
                    kill(pids[i], graceful ? SIGUSR1 : SIGKILL);
                    told[i] = 1;
                }
                while (!graceful && count)
                    waitpid(pids[--count], NULL, 0);
            }
        }
        chld = 0;
        pid_t gone;
        int how;
        while ((gone = waitpid(-1, &how, WNOHANG)) > 0) {
            for (int i = 0; i < count; i++) {
                if (pids[i] == gone) {
                    young += !told[i] && how != 0 && clock_now() - born[i] < 1;
                    count--;
                    pids[i] = pids[count];
                    born[i] = born[count];
                    told[i] = told[count];
                    break;
                }
            }
        }
    }
    for (int i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    if (stop)
        unlink(c.pidfile);
    return !stop;
}
