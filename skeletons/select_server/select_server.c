/* select_server.c

   Serve many clients, a FIFO and the console at once, in one process with one thread.

   Usage: select_server --port P --unix PATH [--fifo PATH]

   Whatever the server could have to wait for is a descriptor, and one call waits for all
   of them together:

       clients (TCP) ------+
       clients (Unix) -----+
       new clients (both) -+--> poll(2) --> one step for each that is ready --> poll(2) --> ...
       console ------------+
       FIFO ---------------+
       signals ------------+

   Nowhere else does the server wait. So no step may block: every socket is non-blocking,
   what a client sends is kept until a line of it is complete, and what a client does not
   take is kept until it does. A session that has ended is marked, and taken out of the
   table at the end of the round: nothing in the table moves while somebody walks through it.
*/
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    MOST_LINE = 4096,           /* bytes, the newline included */
    MOST_WAITING = 1 << 20,     /* bytes that may wait for a client which does not read */
    NONE = -1                   /* no descriptor; poll(2) passes over it */
};

/* Bytes that have come, as far as they are not a complete line yet */
struct input {
    char bytes[MOST_LINE];
    size_t length;
};

/* One client: who it is, what it has said of its next line, and what it is still to get */
struct session {
    int descriptor;
    char *name;                 /* NULL until it has said it */
    struct input received;
    char *waiting;              /* output that the kernel has not taken yet */
    size_t pending, room;       /* bytes that wait, bytes that there is memory for */
    bool leaving;               /* no more is read; it is closed as soon as nothing waits */
    bool closed;                /* the descriptor is gone, the entry goes at the end of the round */
};

static struct session **sessions;       /* pointers, so that a session stays where it is when the table grows */
static size_t count;
static bool running = true;
static bool full;               /* no descriptor is left for another client */

static struct input console, fifo_input;
static const char *made_unix, *made_fifo;    /* what is to be removed at the end */
static int tcp_listener = NONE, unix_listener = NONE, fifo = NONE, fifo_writer = NONE;
static int signals[2] = { NONE, NONE };

/* Write a line to standard error */
__attribute__((format(printf, 1, 2)))
static void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "select_server: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
}

/* Memory, or no server */
static void *demand(void *memory)
{
    if (memory == NULL) {
        complain("%s", strerror(errno));
        exit(EXIT_FAILURE);
    }
    return memory;
}

/* ---------------------------------------------------------------- lines */

/* Take the next complete line out of a buffer, without its newline, as a string.
   False if there is none: what is left is half a line. A string cannot hold a zero
   byte, so the line ends at the first. */
static bool next_line(struct input *input, char line[MOST_LINE])
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Read once what there is for a buffer: as read(2) */
static ssize_t fill(struct input *input, int descriptor)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Whether a buffer is full, and still holds no complete line */
static bool too_long(const struct input *input)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* ---------------------------------------------------------------- where clients and writers find the server */

/* A socket that listens at 127.0.0.1; port 0 stands for any that is free. NONE, with a message, if it cannot be. */
static int open_port(int port)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Whether a socket lies at a path that no server listens at any more */
static bool is_stale(const struct sockaddr_un *address)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* A Unix-domain socket that listens at a path. A stale one that lies there is replaced, nothing else is.
   NONE, with a message, if it cannot be. */
static int open_unix(const char *path)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Open a FIFO for reading, and make it if it is not there. NONE, with a message, if it cannot be. */
static int open_fifo(const char *path)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* The whole handler: a byte in a pipe wakes up poll(2), so a signal is one more input */
static void note_signal(int number)
{
    int saved = errno;
    if (write(signals[1], &(char) { (char) number }, 1) == -1) {
        /* the pipe is full: then there is something to read already */
    }
    errno = saved;
}

/* Let signals[0] have something to read when SIGTERM or SIGINT has come */
static void watch_signals(void)
{
    if (pipe2(signals, O_NONBLOCK | O_CLOEXEC) == -1) {
        complain("pipe: %s", strerror(errno));
        exit(EXIT_FAILURE);
    }
    struct sigaction action = { .sa_handler = note_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

/* ---------------------------------------------------------------- sessions */

/* Close a client's session at once. Its entry stays until the end of the round. */
static void drop(struct session *session)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Take the sessions that have ended out of the table */
static void sweep(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Read what nobody wants: close(2) with something unread would reset the connection, and a
   client that is told so may never see the last line that was written to it */
static void discard(struct session *session)
{
    char unwanted[16 * MOST_LINE];
    if (recv(session->descriptor, unwanted, sizeof unwanted, MSG_DONTWAIT) == -1) {
        /* there is nothing, or nobody */
    }
}

/* Write what the kernel takes of what waits for a client */
static void flush(struct session *session)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Write some bytes to a client, as far as they go; the rest waits until the client has read */
static void send_bytes(struct session *session, const char *bytes, size_t length)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Write a line to a client */
__attribute__((format(printf, 2, 3)))
static void tell(struct session *session, const char *format, ...)
{
    char *line;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&line, format, arguments);
    va_end(arguments);
    demand(length == -1 ? NULL : line);
    line[length] = '\n';        /* where the string's zero was */
    send_bytes(session, line, (size_t) length + 1);
    free(line);
}

/* Close a client's session once it has got all that is still to be written */
static void say_goodbye(struct session *session)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Say something to everybody but the one who says it */
static void broadcast(const char *name, const char *text, const struct session *sender)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* A client has connected: give it a session */
static void welcome(int listener)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* ---------------------------------------------------------------- what clients can say */

/* The command of a line is `word`: what follows it, "" where nothing does; NULL if it is another command */
static const char *after(const char *line, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(line, word, length) != 0 || (line[length] != ' ' && line[length] != '\0'))
        return NULL;
    return line + length + (line[length] == ' ');
}

/* Give a session its name, and say how that went */
static void rename_session(struct session *session, const char *name)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Answer with the sum of some integers: each of them has 64 bits, and so has the total */
static void tell_sum(struct session *session, const char *words)
{
    __int128 total = 0;         /* 4096 bytes hold at most 2048 numbers */
    int numbers = 0;
    for (;;) {
        words += strspn(words, " \t");
        if (*words == '\0')
            break;
        char *end;
        errno = 0;
        long long number = strtoll(words, &end, 10);
        if (errno != 0 || end == words || (*end != ' ' && *end != '\t' && *end != '\0')) {
            numbers = 0;
            break;
        }
        total += number;
        numbers++;
        words = end;
    }
    if (numbers == 0 || total != (long long) total)
        tell(session, "error sum takes integers of 64 bits");
    else
        tell(session, "= %lld", (long long) total);
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(char *const *) one, *(char *const *) other);
}

/* Answer with the names of all sessions, sorted */
static void tell_names(struct session *session)
{
    char **names = demand(malloc((count + 1) * sizeof *names));
    size_t known = 0, length = 1;
    for (size_t i = 0; i < count; i++) {
        if (!sessions[i]->closed && sessions[i]->name != NULL) {
            names[known++] = sessions[i]->name;
            length += strlen(sessions[i]->name) + 1;
        }
    }
    qsort(names, known, sizeof *names, by_name);
    char *line = demand(malloc(length)), *end = line;
    *line = '\0';
    for (size_t i = 0; i < known; i++)
        end += sprintf(end, i == 0 ? "%s" : " %s", names[i]);
    tell(session, "%s", line);
    free(line);
    free(names);
}

/* Do what a client's line asks for, and answer it */
static void obey(struct session *session, const char *line)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* ---------------------------------------------------------------- one step for each kind of descriptor */

/* A client can be read from, or has gone: read what there is, and obey the lines that are complete by now */
static void serve(struct session *session)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Obey the console: clients, say TEXT, shutdown. False at its end-of-file. */
static bool serve_console(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Say each line that came through the FIFO to everybody */
static void serve_fifo(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* ---------------------------------------------------------------- the loop */

/* Wait for all descriptors together; take one step for each that is ready; and again */
static void run(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

/* Remove what the server made; the descriptors go with the process */
static void clean_up(void)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "select_server.c: YOUR CODE HERE\n");
    exit(70);
}

static int usage(void)
{
    fprintf(stderr, "usage: select_server --port P --unix PATH [--fifo PATH]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        { "port", required_argument, NULL, 'p' },
        { "unix", required_argument, NULL, 'u' },
        { "fifo", required_argument, NULL, 'f' },
        { NULL, 0, NULL, 0 },
    };
    const char *unix_path = NULL, *fifo_path = NULL;
    long port = NONE;
    char *end;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 'p') {
            port = strtol(optarg, &end, 10);
            if (end == optarg || *end != '\0' || port < 0 || port > 65535)
                return usage();
        } else if (option == 'u') {
            unix_path = optarg;
        } else if (option == 'f') {
            fifo_path = optarg;
        } else {
            return usage();
        }
    }
    if (port == NONE || unix_path == NULL || optind != argc)
        return usage();

    int status = EXIT_FAILURE;
    watch_signals();
    if ((fifo_path == NULL || (fifo = open_fifo(fifo_path)) != NONE)
        && (tcp_listener = open_port((int) port)) != NONE
        && (unix_listener = open_unix(unix_path)) != NONE) {
        struct sockaddr_in address;
        socklen_t length = sizeof address;
        getsockname(tcp_listener, (struct sockaddr *) &address, &length);
        printf("ready 127.0.0.1:%d\nready %s\n", ntohs(address.sin_port), unix_path);
        if (fifo_path != NULL)
            printf("ready %s\n", fifo_path);
        fflush(stdout);
        run();
        status = EXIT_SUCCESS;
    }
    clean_up();
    return status;
}
