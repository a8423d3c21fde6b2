/* Unusual: sigsuspend(2) for the parent, with an interval timer as its clock; and a pipe for each generation. The
   children of a generation watch its read end; the parent holds the only write end, and to end a generation it
   closes that. No child ever gets SIGUSR1 from it, and they also end if the parent is killed.

   Still right: signals are blocked but inside sigsuspend, which lets them through and takes the mask back in one step. The
   write end is closed in every child, that of older generations too, or their end-of-file would never come. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT, WORKERS, PIDFILE, LOGFILE, MESSAGE, KEYS };
static const char *const names[KEYS] = { "port", "workers", "pidfile", "logfile", "message" };
typedef struct { char text[KEYS][600]; long number[2]; } conf_t;

static volatile sig_atomic_t got[65];

static void handler(int number)
{
    got[number] = 1;
}

static int take(int number)
{
    int was = got[number];
    got[number] = 0;
    return was;
}

/* -1: good; else the key that is not */
static int conf_read(const char *path, conf_t *conf, char *unknown)
{
    char key[600], value[600];
    int c;
    memset(conf, 0, sizeof *conf);
    FILE *file = fopen(path, "r");
    if (!file)
        return KEYS;
    while (fscanf(file, "%599s", key) == 1) {
        *value = 0;
        while ((c = getc(file)) == ' ' || c == '\t')
            ;
        ungetc(c, file);
        if (c != '\n' && c != EOF && fscanf(file, "%599[^\n]", value) != 1)
            *value = 0;
        int k = 0;
        while (k < KEYS && strcmp(key, names[k]))
            k++;
        if (k == KEYS) {
            strcpy(unknown, key);
            fclose(file);
            return KEYS + 1;
        }
        strcpy(conf->text[k], value);
    }
    fclose(file);
    for (int k = 0; k < KEYS; k++) {
        if (!*conf->text[k])
            return k;
        if (k <= WORKERS) {
            char *end;
            conf->number[k] = strtol(conf->text[k], &end, 10);
            if (*end || conf->number[k] < (k == WORKERS) || conf->number[k] > (k == WORKERS ? 50 : 65535))
                return k;
        }
    }
    return -1;
}

static FILE *logged;

static int log_open(const char *path)
{
    FILE *f = fopen(path, "a");
    if (!f)
        return -1;
    if (logged)
        fclose(logged);
    logged = f;
    setvbuf(f, NULL, _IOLBF, 0);
    fcntl(fileno(f), F_SETFD, FD_CLOEXEC);
    return 0;
}

static void session(int fd, const char *reply)
{
    char buffer[4097];
    size_t n = 0;
    struct timespec begin, t;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &t);
        long micro = 5000000 - (t.tv_sec - begin.tv_sec) * 1000000 - (t.tv_nsec - begin.tv_nsec) / 1000;
        struct timeval left = { micro / 1000000, micro % 1000000 };
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        if (micro <= 0 || select(fd + 1, &set, NULL, NULL, &left) <= 0)
            return;
        ssize_t more = read(fd, buffer + n, 4096 - n);
        if (more <= 0)
            return;
        n += (size_t) more;
        buffer[n] = 0;
        if (n == 4096 && !memchr(buffer, '\n', n)) {
            if (write(fd, "error line too long\n", 20) == 20 && shutdown(fd, SHUT_WR) == 0) {
                struct timeval patience = { 5, 0 };
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
                while (read(fd, buffer, 4096) > 0)
                    ;
            }
            return;
        }
    } while (!memchr(buffer, '\n', n));
    double seconds = 0;
    if (sscanf(buffer, "slow %lf", &seconds) == 1) {
        struct timeval pause = { (long) seconds, (long) ((seconds - (long) seconds) * 1e6) };
        select(0, NULL, NULL, NULL, &pause);
    }
    if (write(fd, reply, strlen(reply)) == -1)
        return;
}

static void child(int listener, int leash, int generation, const char *message)
{
    char reply[700];
    snprintf(reply, sizeof reply, "%ld %d %s\n", (long) getpid(), generation, message);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigset_t empty;
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    for (;;) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(listener, &set);
        FD_SET(leash, &set);
        if (select((leash > listener ? leash : listener) + 1, &set, NULL, NULL, NULL) == -1)
            continue;
        if (FD_ISSET(leash, &set))
            _exit(0);
        int fd = accept(listener, NULL, NULL);
        if (fd != -1) {
            session(fd, reply);
            close(fd);
        }
    }
}

int main(int argc, char **argv)
{
    static const int list[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM };
    sigset_t all, waiting;
    sigemptyset(&all);
    for (int i = 0; i < 6; i++)
        sigaddset(&all, list[i]);
    sigprocmask(SIG_BLOCK, &all, &waiting);
    for (int i = 0; i < 6; i++) {
        struct sigaction a = { .sa_handler = handler };
        sigaction(list[i], &a, NULL);
        sigdelset(&waiting, list[i]);
    }
    static conf_t conf, next;
    char unknown[600];
    if (argc != 3 || strcmp(argv[1], "--config")) {
        fputs("usage: apache_signals --config FILE\n", stderr);
        return 2;
    }
    int bad = conf_read(argv[2], &conf, unknown);
    if (bad != -1) {
        fprintf(stderr, "apache_signals: %s: %s\n", argv[2],
                bad < KEYS ? names[bad] : bad == KEYS ? "cannot be read" : unknown);
        return 1;
    }
    struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons((in_port_t) conf.number[PORT]),
                                 .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof where;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (log_open(conf.text[LOGFILE]) || bind(listener, (struct sockaddr *) &where, size) || listen(listener, 300)
        || getsockname(listener, (struct sockaddr *) &where, &size)
        || fcntl(listener, F_SETFL, O_NONBLOCK) == -1) {
        fprintf(stderr, "apache_signals: %s\n", strerror(errno));
        return 1;
    }
    pid_t pid[50];
    struct timespec made[50], now, hurried = { 0 };
    int from[50], count = 0, generation = 0, owing = 0, leash[2], started = 0;
    if (pipe(leash) == -1)
        return 1;
    generation = 1;
    for (;;) {
        while (count < conf.number[WORKERS]) {
            if (owing >= conf.number[WORKERS] - count) {
                clock_gettime(CLOCK_MONOTONIC, &now);
                long age = (now.tv_sec - hurried.tv_sec) * 1000000 + (now.tv_nsec - hurried.tv_nsec) / 1000;
                if (age < 1000000) {
                    struct itimerval once = { .it_value = { 0, 1000000 - age > 999999 ? 999999 : 1000000 - age } };
                    setitimer(ITIMER_REAL, &once, NULL);
                    break;
                }
                owing = (int) conf.number[WORKERS] - count - 1;
                hurried = now;
            }
            pid[count] = fork();
            if (pid[count] == 0) {
                close(leash[1]);
                child(listener, leash[0], generation, conf.text[MESSAGE]);
            }
            clock_gettime(CLOCK_MONOTONIC, &made[count]);
            if (pid[count] == -1) {      /* no more processes: try again in a second */
                owing = (int) conf.number[WORKERS] - count;
                hurried = made[count];
                continue;
            }
            from[count++] = generation;
        }
        if (!started) {
            started = 1;
            fprintf(logged, "generation 1\n");
            printf("ready 127.0.0.1:%d\n", ntohs(where.sin_port));
            fflush(stdout);
            FILE *f = fopen(conf.text[PIDFILE], "w");
            if (!f) {
                fprintf(stderr, "apache_signals: %s: %s\n", conf.text[PIDFILE], strerror(errno));
                close(leash[1]);         /* which ends them all */
                while (wait(NULL) > 0)
                    ;
                return 1;
            }
            fprintf(f, "%ld\n", (long) getpid());
            fclose(f);
        }
        while (!(got[SIGTERM] | got[SIGINT] | got[SIGHUP] | got[SIGUSR1] | got[SIGCHLD] | got[SIGALRM]))
            sigsuspend(&waiting);
        if (got[SIGTERM] || got[SIGINT])
            break;
        take(SIGALRM);
        int hup = take(SIGHUP), usr1 = take(SIGUSR1);
        if (hup || usr1) {
            char path[600];
            strcpy(path, conf.text[LOGFILE]);
            bad = log_open(path) ? LOGFILE : conf_read(argv[2], &next, unknown);
            if (bad == -1 && strcmp(path, next.text[LOGFILE]) && log_open(next.text[LOGFILE]))
                bad = LOGFILE;
            if (bad != -1) {
                fprintf(logged, "broken configuration: %s\n",
                        bad < KEYS ? names[bad] : bad == KEYS ? "cannot be read" : unknown);
            } else {
                for (int k = PORT; k <= PIDFILE; k += PIDFILE - PORT) {
                    if (strcmp(next.text[k], conf.text[k]))
                        fprintf(logged, "%s: the change waits for a new start\n", names[k]);
                    strcpy(next.text[k], conf.text[k]);
                }
                conf = next;
                generation++;
                fprintf(logged, "generation %d\n", generation);
                close(leash[0]);
                close(leash[1]);
                if (pipe(leash) == -1)
                    abort();
                while (hup && count > 0) {
                    kill(pid[--count], SIGKILL);
                    waitpid(pid[count], NULL, 0);
                }
                if (hup)
                    owing = 0;
            }
        }
        take(SIGCHLD);
        pid_t gone;
        while ((gone = waitpid(-1, NULL, WNOHANG)) > 0) {
            for (int i = 0; i < count; i++) {
                if (pid[i] != gone)
                    continue;
                clock_gettime(CLOCK_MONOTONIC, &now);
                double age = (double) (now.tv_sec - made[i].tv_sec) + (double) (now.tv_nsec - made[i].tv_nsec) / 1e9;
                owing += age < 1 && from[i] == generation;
                count--;
                pid[i] = pid[count];
                made[i] = made[count];
                from[i] = from[count];
                break;
            }
        }
    }
    for (int i = 0; i < count; i++)
        kill(pid[i], SIGKILL);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    unlink(conf.text[PIDFILE]);
    return 0;
}
