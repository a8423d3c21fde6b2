/* apache_signals.c

   A pre-forking server that is stopped and restarted by signals, as Apache is.

   Usage: apache_signals --config FILE

     SIGTERM, SIGINT   stop now: children are killed, requests are cut, the pid file goes
     SIGHUP            restart now: children are killed, the configuration is read again,
                       new children serve
     SIGUSR1           graceful restart: each child ends after its request and is replaced,
                       nothing is lost

   The parent owns everything and serves nobody: the listening socket, the log, the pid file,
   the children. It handles no signal in a handler. All of them are blocked from the first line
   on, and it takes them one after the other from the kernel with sigtimedwait(2), when it is
   ready for the next. So no signal finds it in the middle of something, and none gets lost
   between two steps: it waits in the kernel, pending.

   A child has no handler either. SIGUSR1 has its default effect on it, which is to end it, and
   is blocked except while the child waits for a connection: the only moment at which nothing is
   lost with it.
*/
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_LINE = 4096, MOST_WORKERS = 50, TEXT = 1024 };

static const double REQUEST_S = 5.0;    /* a client has this long for its request */
static const double EARLY_S = 1.0;      /* a child that ends before this age was no good; at most one of
                                           those is replaced in this time */

/* Seconds on a clock that nobody sets */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static struct timespec timespec_of(double seconds)
{
    struct timespec t = { .tv_sec = (time_t) seconds };
    t.tv_nsec = (long) ((seconds - (double) t.tv_sec) * 1e9);
    return t;
}

/* ---------------------------------------------------------------- configuration and log */

struct config {
    int port, workers;
    char pidfile[TEXT], logfile[TEXT], message[TEXT];
};

/* A whole number between two bounds; -1 if it is none */
static int number(const char *text, int least, int most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
        return -1;
    return (int) value;
}

/* Cut the blanks and the newline at the end of a line */
static void trim(char *line)
{
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        line[--length] = '\0';
}

/* Read a configuration, one "key value" a line. False if it is broken; `why` then says why. */
static bool read_config(const char *path, struct config *config, char why[TEXT])
{
    static const char *const keys[] = { "port", "workers", "pidfile", "logfile", "message" };
    enum { KEYS = sizeof keys / sizeof *keys };
    char values[KEYS][TEXT] = { "" };
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, TEXT, "%s cannot be read: %s", path, strerror(errno));
        return false;
    }
    bool good = true;
    char line[TEXT];
    while (good && fgets(line, sizeof line, file) != NULL) {
        trim(line);
        char *value = strchr(line, ' ');
        if (value != NULL)
            *value++ = '\0';
        int key = 0;
        while (key < KEYS && strcmp(line, keys[key]) != 0)
            key++;
        if (key < KEYS && value != NULL) {
            snprintf(values[key], TEXT, "%s", value + strspn(value, " "));
        } else if (key == KEYS && *line != '\0') {
            snprintf(why, TEXT, "unknown key '%.500s'", line);
            good = false;
        }
    }
    fclose(file);
    for (int key = 0; good && key < KEYS; key++) {
        if (*values[key] == '\0') {
            snprintf(why, TEXT, "no value for '%s'", keys[key]);
            good = false;
        }
    }
    if (!good)
        return false;
    config->port = number(values[0], 0, 65535);
    config->workers = number(values[1], 1, MOST_WORKERS);
    if (config->port == -1 || config->workers == -1) {
        int bad = config->port == -1 ? 0 : 1;
        snprintf(why, TEXT, "bad value for '%s': %.500s", keys[bad], values[bad]);
        return false;
    }
    strcpy(config->pidfile, values[2]);
    strcpy(config->logfile, values[3]);
    strcpy(config->message, values[4]);
    return true;
}

static int log_descriptor = -1;

/* Open the log of this name as it is now, and let go of the one that was open before */
static bool open_log(const char *path)
{
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor == -1)
        return false;
    if (log_descriptor != -1)
        close(log_descriptor);
    log_descriptor = descriptor;
    return true;
}

/* Add a line to the log: one write, always at its end, wherever other writers are */
static void __attribute__((format(printf, 1, 2))) write_log(const char *format, ...)
{
    char text[TEXT], stamp[32];
    time_t clock = time(NULL);
    strftime(stamp, sizeof stamp, "%F %T", localtime(&clock));
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(log_descriptor, "%s %s\n", stamp, text);    /* a full disk is no reason to stop serving */
}

/* ---------------------------------------------------------------- clients */

/* The listening socket, which all children will share; -1 if there is none. It does not block:
   several wait, and one of them gets the client. */
static int listen_on(int port, struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_in) {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (listener != -1
        && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0    /* else old connections */
        && bind(listener, (struct sockaddr *) address, size) == 0                 /* delay a restart */
        && listen(listener, 512) == 0
        && getsockname(listener, (struct sockaddr *) address, &size) == 0)
        return listener;
    return -1;
}

/* Wait until a descriptor can be read; false when the time is over */
static bool readable(int descriptor, double deadline)
{
    struct pollfd wanted = { .fd = descriptor, .events = POLLIN };
    double left;
    while ((left = deadline - now()) > 0) {
        int found = poll(&wanted, 1, (int) (left * 1000) + 1);
        if (found != 0 && !(found == -1 && errno == EINTR))
            return found == 1;
    }
    return false;
}

/* Read the first line that a client sends. Returns its length with the newline; 0 if it is too long;
   -1 if it does not come in time, or not at all. */
static ssize_t request_line(int client, char *line)
{
    double deadline = now() + REQUEST_S;
    ssize_t length = 0;
    while (length < LONGEST_LINE) {
        if (!readable(client, deadline))
            return -1;
        ssize_t count = read(client, line + length, (size_t) (LONGEST_LINE - length));
        if (count == -1 && errno == EINTR)
            continue;
        if (count <= 0)
            return -1;
        char *end = memchr(line + length, '\n', (size_t) count);
        length += count;
        if (end != NULL)
            return end - line + 1;
    }
    return 0;
}

/* The number behind "slow ", in seconds; 0 for any other line */
static double pause_asked_for(char *line)
{
    double seconds = 0;
    char *word = line + 5;
    if (strncmp(line, "slow ", 5) == 0) {
        trim(word);
        if (*word != '\0' && word[strspn(word, "0123456789.")] == '\0')
            seconds = strtod(word, NULL);
    }
    return seconds;
}

/* Serve one client to its end. Whatever the client does is no reason for the child to end. */
static void answer(int client, int generation, const char *message)
{
    char line[LONGEST_LINE + 1], text[TEXT + 64];
    ssize_t length = request_line(client, line);
    if (length > 0) {
        line[length - 1] = '\0';
        struct timespec left = timespec_of(pause_asked_for(line));
        while (nanosleep(&left, &left) == -1 && errno == EINTR)
            continue;
        int size = snprintf(text, sizeof text, "%d %d %s\n", (int) getpid(), generation, message);
        send(client, text, (size_t) size, MSG_NOSIGNAL);    /* fits into the empty buffer of a socket */
    } else if (length == 0) {
        static const char complaint[] = "error line too long\n";
        send(client, complaint, sizeof complaint - 1, MSG_NOSIGNAL);
        shutdown(client, SHUT_WR);
        double deadline = now() + REQUEST_S;     /* closing with unread data would be a reset, which can */
        while (readable(client, deadline) && read(client, line, LONGEST_LINE) > 0)    /* overtake the answer */
            continue;
    }
    close(client);
}

/* In a child: answer one client after the other until the parent says that it is enough */
static _Noreturn void serve(int listener, int generation, const char *message)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* ---------------------------------------------------------------- the parent */

struct child {
    pid_t pid;
    double made;
    bool told;                           /* to end after its request */
};

static struct {
    const char *config_path;
    struct config config;
    int listener;
    int generation;
    struct child children[MOST_WORKERS];
    int count;                           /* of children */
    int early;                           /* how many of those that are missing had lived for less than EARLY_S */
    double next_early;                   /* when one of those may be replaced */
} parent = { .generation = 1 };

static sigset_t handled;                 /* the signals that the parent takes */

/* Before anything else: from here on no signal surprises the parent */
static void prepare_signals(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* Make one child of this generation; false if there can be no more processes */
static bool spawn(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* Make children until there are as many as there ought to be. Returns -1 or, where some have to wait
   since their predecessors ended too early, for how many seconds. */
static double fill(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* Take leave of every child that has ended: one SIGCHLD may stand for many */
static void reap(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* End all children now, and reap them */
static void kill_children(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* Re-open the log, read the configuration again, and change to the next generation of children.
   Where the configuration is broken, nothing changes but the log. */
static void restart(bool at_once)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

/* Wait for signals, at most for `pause` seconds (-1: for ever). Returns the set of all that have come. */
static sigset_t signals(double pause)
{
    sigset_t came;
    sigemptyset(&came);
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
    return came;
}

/* Serve until SIGTERM or SIGINT. The children, and the pid file, end with it. Returns the exit status. */
static int run(const struct sockaddr_in *address)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "apache_signals.c: YOUR CODE HERE\n");
    exit(70);
}

int main(int argc, char **argv)
{
    prepare_signals();
    if (argc != 3 || strcmp(argv[1], "--config") != 0) {
        fprintf(stderr, "usage: apache_signals --config FILE\n");
        return 2;
    }
    char why[TEXT];
    struct sockaddr_in address;
    parent.config_path = argv[2];
    if (!read_config(argv[2], &parent.config, why)) {
        fprintf(stderr, "apache_signals: %s\n", why);
        return EXIT_FAILURE;
    }
    if (!open_log(parent.config.logfile)) {
        fprintf(stderr, "apache_signals: %s: %s\n", parent.config.logfile, strerror(errno));
        return EXIT_FAILURE;
    }
    parent.listener = listen_on(parent.config.port, &address);
    if (parent.listener == -1) {
        fprintf(stderr, "apache_signals: port %d: %s\n", parent.config.port, strerror(errno));
        return EXIT_FAILURE;
    }
    return run(&address);
}
