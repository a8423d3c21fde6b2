/* Unusual: the self-pipe, with handlers that may run at any line. A handler in the parent writes its number into a pipe
   which poll(2) watches. A child has a handler that looks where it is: while the child waits for a client it ends the
   child itself, with _exit(2), else it leaves a note.

   Still right: the pipe does not block, a handler saves errno, and the numbers wait in the pipe. A child first says that it
   is idle and then looks for a note, so a signal finds either the one or the other; and what it
   waits in is poll, which takes nothing: a client is only taken by accept, when it is not idle any more. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH 700

typedef struct {
    int port, workers;
    char pidfile[LENGTH], logfile[LENGTH], message[LENGTH];
} Config;

typedef struct Child {
    struct Child *next;
    pid_t pid;
    int generation;
    time_t seconds;
    long nanoseconds;
} Child;

static int bell[2];
static volatile sig_atomic_t idle, leave;
static int logfile = -1;

static void ring(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char) number;
    while (write(bell[1], &byte, 1) == -1 && errno == EINTR)
        continue;                        /* EAGAIN: 65536 are in it, it will wake */
    errno = saved;
}

static void enough(int number)
{
    (void) number;
    if (idle)
        _exit(0);
    leave = 1;
}

static void on(int number, void (*what)(int))
{
    struct sigaction action = { .sa_handler = what, .sa_flags = SA_RESTART };
    sigaction(number, &action, NULL);
}

static bool say(const char *what, const char *detail)
{
    dprintf(logfile, "%s%s\n", what, detail);
    return false;
}

static bool load(const char *path, Config *c, void (*complain)(const char *))
{
    char text[8000];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    if (fd != -1)
        close(fd);
    if (size == -1) {
        complain(strerror(errno));
        return false;
    }
    text[size] = '\0';
    char *given[5] = { NULL }, *state;
    static const char *const known[5] = { "port", "workers", "pidfile", "logfile", "message" };
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *blank = strchr(line, ' ');
        int k = 0;
        if (blank)
            *blank = '\0';
        while (k < 5 && strcmp(line, known[k]))
            k++;
        if (k == 5 || !blank) {
            complain(line);
            return false;
        }
        given[k] = blank + 1;
    }
    for (int k = 0; k < 5; k++) {
        char *rest = NULL;
        long value = given[k] && k < 2 ? strtol(given[k], &rest, 10) : 0;
        if (!given[k] || !*given[k] || strlen(given[k]) >= LENGTH || (rest && (*rest || rest == given[k]))
            || (k == 0 && (value < 0 || value > 65535)) || (k == 1 && (value < 1 || value > 50))) {
            complain(known[k]);
            return false;
        }
        if (k == 0)
            c->port = (int) value;
        else if (k == 1)
            c->workers = (int) value;
    }
    strcpy(c->pidfile, given[2]);
    strcpy(c->logfile, given[3]);
    strcpy(c->message, given[4]);
    return true;
}

static void to_stderr(const char *what) { fprintf(stderr, "apache_signals: configuration: %s\n", what); }
static void to_log(const char *what) { say("configuration broken, not used: ", what); }

static bool switch_log(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd == -1)
        return false;
    close(logfile);
    logfile = fd;
    return true;
}

static void attend(int fd, int generation, const char *message)
{
    FILE *stream = fdopen(fd, "r+");
    char line[4098] = "";
    size_t length = 0;
    struct timespec start, t;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (length < 4096 && (!length || line[length - 1] != '\n')) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        long left = 5000 - (t.tv_sec - start.tv_sec) * 1000 - (t.tv_nsec - start.tv_nsec) / 1000000;
        struct pollfd p = { fd, POLLIN, 0 };
        int n = left > 0 ? poll(&p, 1, (int) left) : 0;
        if (n == -1 && errno == EINTR)   /* our own handler: poll is never restarted */
            continue;
        if (n != 1 || read(fd, line + length, 1) != 1) {
            fclose(stream);
            return;
        }
        length++;
    }
    double seconds = 0;
    if (line[length - 1] != '\n') {
        (void) !write(fd, "error line too long\n", 20);
        shutdown(fd, SHUT_WR);
        struct pollfd p = { fd, POLLIN, 0 };
        while (poll(&p, 1, 5000) == 1 && read(fd, line, 4096) > 0)
            continue;
        fclose(stream);
        return;
    }
    if (!strncmp(line, "slow ", 5))
        seconds = strtod(line + 5, NULL);
    t.tv_sec = (time_t) seconds;
    t.tv_nsec = (long) ((seconds - (double) t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) == -1 && errno == EINTR)
        continue;
    fprintf(stream, "%d %d %s\n", (int) getpid(), generation, message);
    fclose(stream);
}

static void child(int listener, int generation, const char *message)
{
    on(SIGHUP, SIG_IGN);
    on(SIGINT, SIG_IGN);
    on(SIGPIPE, SIG_IGN);
    on(SIGCHLD, SIG_DFL);
    on(SIGTERM, SIG_DFL);
    on(SIGUSR1, enough);
    sigset_t nothing;
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    for (;;) {
        struct pollfd p = { listener, POLLIN, 0 };
        idle = 1;
        if (leave)
            _exit(0);
        poll(&p, 1, -1);
        idle = 0;
        int fd = accept(listener, NULL, NULL);
        if (fd != -1)
            attend(fd, generation, message);
    }
}

int main(int argc, char **argv)
{
    static const int ours[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD };
    sigset_t block;
    sigemptyset(&block);
    if (pipe2(bell, O_CLOEXEC | O_NONBLOCK) == -1)
        return 1;
    for (int i = 0; i < 5; i++) {
        sigaddset(&block, ours[i]);
        on(ours[i], ring);
    }
    if (argc != 3 || strcmp(argv[1], "--config")) {
        fprintf(stderr, "usage: apache_signals --config FILE\n");
        return 2;
    }
    static Config c;
    if (!load(argv[2], &c, to_stderr))
        return 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((unsigned short) c.port) };
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!switch_log(c.logfile) || bind(listener, (void *) &at, size) == -1 || listen(listener, 500) == -1
        || getsockname(listener, (void *) &at, &size) == -1 || fcntl(listener, F_SETFL, O_NONBLOCK) == -1) {
        perror("apache_signals");
        return 1;
    }
    Child *first = NULL;
    int generation = 1, debt = 0, status = 0, ready = 0;
    struct timespec now, paid = { 0 };
    for (bool more = true; more;) {
        int alive = 0, wait = -1;
        for (Child *each = first; each; each = each->next)
            alive++;
        for (; alive < c.workers; alive++) {
            if (debt >= c.workers - alive) {
                clock_gettime(CLOCK_MONOTONIC, &now);
                long since = (now.tv_sec - paid.tv_sec) * 1000 + (now.tv_nsec - paid.tv_nsec) / 1000000;
                if (since < 1000) {
                    wait = (int) (1001 - since);
                    break;
                }
                paid = now;
                debt = c.workers - alive - 1;
            }
            sigprocmask(SIG_BLOCK, &block, NULL);    /* until the child has handlers of its own */
            Child *born = malloc(sizeof *born);
            pid_t pid = fork();
            if (pid == 0)
                child(listener, generation, c.message);
            sigprocmask(SIG_UNBLOCK, &block, NULL);
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (pid == -1) {             /* no more processes: try again in a second */
                free(born);
                paid = now;
                debt = c.workers - alive--;
                continue;
            }
            *born = (Child) { first, pid, generation, now.tv_sec, now.tv_nsec };
            first = born;
        }
        if (!ready) {
            ready = 1;
            say("generation ", "1");
            printf("ready 127.0.0.1:%d\n", ntohs(at.sin_port));
            fflush(stdout);
            FILE *f = fopen(c.pidfile, "w");
            if (f) {
                fprintf(f, "%d", (int) getpid());
                fclose(f);
            } else {
                perror("apache_signals");
                status = 1;
                break;
            }
        }
        struct pollfd p = { bell[0], POLLIN, 0 };
        poll(&p, 1, wait);
        unsigned char numbers[1024];
        bool hup = false, usr1 = false;
        for (ssize_t n; (n = read(bell[0], numbers, sizeof numbers)) > 0;) {
            for (ssize_t i = 0; i < n; i++) {
                hup |= numbers[i] == SIGHUP;
                usr1 |= numbers[i] == SIGUSR1;
                more &= numbers[i] != SIGTERM && numbers[i] != SIGINT;
            }
        }
        if (!more)
            break;
        static Config n;
        if ((hup || usr1)
            && (switch_log(c.logfile) || say("logfile cannot be opened: ", strerror(errno)))
            && load(argv[2], &n, to_log)
            && (!strcmp(c.logfile, n.logfile) || switch_log(n.logfile) || say("bad logfile: ", n.logfile))) {
            if (n.port != c.port)
                say("port: ", "the new one waits for a new start");
            if (strcmp(n.pidfile, c.pidfile))
                say("pidfile: ", "the new one waits for a new start");
            n.port = c.port;
            strcpy(n.pidfile, c.pidfile);
            c = n;
            generation++;
            char text[20];
            snprintf(text, sizeof text, "%d", generation);
            say("generation ", text);
            for (Child *each = first; each; each = each->next)
                kill(each->pid, hup ? SIGKILL : SIGUSR1);
            while (hup && first) {
                Child *gone = first;
                waitpid(gone->pid, NULL, 0);
                first = gone->next;
                free(gone);
            }
            if (hup)
                debt = 0;
        }
        int how;
        for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;) {
            for (Child **each = &first; *each; each = &(*each)->next) {
                Child *gone = *each;
                if (gone->pid == pid) {
                    clock_gettime(CLOCK_MONOTONIC, &now);
                    if (gone->generation == generation && how != 0
                        && (now.tv_sec - gone->seconds) * 1000 + (now.tv_nsec - gone->nanoseconds) / 1000000 < 1000)
                        debt++;
                    *each = gone->next;
                    free(gone);
                    break;
                }
            }
        }
    }
    for (Child *each = first; each; each = each->next)
        kill(each->pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
    if (status == 0)
        unlink(c.pidfile);
    return status;
}
