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
    // BEGIN SOLUTION
    char *end = memchr(input->bytes, '\n', input->length);
    if (end == NULL)
        return false;
    size_t length = (size_t) (end - input->bytes);
    memcpy(line, input->bytes, length);
    line[length] = '\0';
    input->length -= length + 1;
    memmove(input->bytes, end + 1, input->length);
    return true;
    // END SOLUTION
}

/* Read once what there is for a buffer: as read(2) */
static ssize_t fill(struct input *input, int descriptor)
{
    // BEGIN SOLUTION
    ssize_t got = read(descriptor, input->bytes + input->length, sizeof input->bytes - input->length);
    if (got > 0)
        input->length += (size_t) got;
    return got;
    // END SOLUTION
}

/* Whether a buffer is full, and still holds no complete line */
static bool too_long(const struct input *input)
{
    // BEGIN SOLUTION
    return input->length == sizeof input->bytes && memchr(input->bytes, '\n', input->length) == NULL;
    // END SOLUTION
}

/* ---------------------------------------------------------------- where clients and writers find the server */

/* A socket that listens at 127.0.0.1; port 0 stands for any that is free. NONE, with a message, if it cannot be. */
static int open_port(int port)
{
    // BEGIN SOLUTION
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t) port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int yes = 1;
    /* The last server's connections may still be in TIME_WAIT. Nobody listens, so the port is ours. */
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *) &address, sizeof address) == -1 || listen(listener, 1024) == -1) {
        complain("port %d: %s", port, strerror(errno));
        return NONE;
    }
    return listener;
    // END SOLUTION
}

/* Whether a socket lies at a path that no server listens at any more */
static bool is_stale(const struct sockaddr_un *address)
{
    // BEGIN SOLUTION
    struct stat found;
    if (lstat(address->sun_path, &found) == -1 || !S_ISSOCK(found.st_mode))
        return false;           /* somebody's file: connect(2) would be refused there as well */
    /* Non-blocking: a server with a long queue would make us wait */
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bool refused = connect(client, (const struct sockaddr *) address, sizeof *address) == -1
                   && errno == ECONNREFUSED;
    close(client);
    return refused;
    // END SOLUTION
}

/* A Unix-domain socket that listens at a path. A stale one that lies there is replaced, nothing else is.
   NONE, with a message, if it cannot be. */
static int open_unix(const char *path)
{
    // BEGIN SOLUTION
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        complain("%s: the path is too long for a socket", path);
        return NONE;
    }
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int failed = bind(listener, (struct sockaddr *) &address, sizeof address);
    if (failed && errno == EADDRINUSE) {
        if (is_stale(&address) && unlink(path) == 0)
            failed = bind(listener, (struct sockaddr *) &address, sizeof address);
        else
            errno = EADDRINUSE;
    }
    if (failed) {
        complain("%s: %s", path, strerror(errno));
        return NONE;
    }
    made_unix = path;
    listen(listener, 1024);
    return listener;
    // END SOLUTION
}

/* Open a FIFO for reading, and make it if it is not there. NONE, with a message, if it cannot be. */
static int open_fifo(const char *path)
{
    // BEGIN SOLUTION
    struct stat found;
    if (mkfifo(path, 0600) == 0) {
        made_fifo = path;
    } else if (errno != EEXIST) {
        complain("%s: %s", path, strerror(errno));
        return NONE;
    }
    if (stat(path, &found) == 0 && !S_ISFIFO(found.st_mode)) {
        complain("%s: is there, and is no FIFO", path);
        return NONE;
    }
    int reader = open(path, O_RDONLY | O_NONBLOCK);     /* without the flag: until a writer comes */
    /* Never used. While we hold it, the FIFO has a writer, and so no end-of-file. */
    fifo_writer = open(path, O_WRONLY | O_NONBLOCK);
    if (reader == -1)
        complain("%s: %s", path, strerror(errno));
    return reader;
    // END SOLUTION
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
    // BEGIN SOLUTION
    if (session->closed)
        return;
    close(session->descriptor);
    session->closed = session->leaving = true;
    full = false;               /* if there was no descriptor for the next client, now there is */
    // END SOLUTION
}

/* Take the sessions that have ended out of the table */
static void sweep(void)
{
    // BEGIN SOLUTION
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!sessions[i]->closed) {
            sessions[kept++] = sessions[i];
            continue;
        }
        free(sessions[i]->name);
        free(sessions[i]->waiting);
        free(sessions[i]);
    }
    count = kept;
    // END SOLUTION
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
    // BEGIN SOLUTION
    size_t done = 0;
    while (!session->closed && done < session->pending) {
        ssize_t written = write(session->descriptor, session->waiting + done, session->pending - done);
        if (written == -1 && errno == EINTR)
            continue;
        if (written == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (written == -1)
            drop(session);      /* the client has gone */
        else
            done += (size_t) written;
    }
    session->pending -= done;
    memmove(session->waiting, session->waiting + done, session->pending);
    if (session->leaving && session->pending == 0 && !session->closed) {
        discard(session);
        drop(session);
    }
    // END SOLUTION
}

/* Write some bytes to a client, as far as they go; the rest waits until the client has read */
static void send_bytes(struct session *session, const char *bytes, size_t length)
{
    // BEGIN SOLUTION
    if (session->closed)
        return;
    if (session->pending + length > session->room) {
        session->room = 2 * (session->pending + length);
        session->waiting = demand(realloc(session->waiting, session->room));
    }
    memcpy(session->waiting + session->pending, bytes, length);
    session->pending += length;
    flush(session);
    if (session->pending > MOST_WAITING)
        drop(session);
    // END SOLUTION
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
    // BEGIN SOLUTION
    session->leaving = true;
    flush(session);
    // END SOLUTION
}

/* Say something to everybody but the one who says it */
static void broadcast(const char *name, const char *text, const struct session *sender)
{
    // BEGIN SOLUTION
    for (size_t i = 0; i < count; i++)
        if (sessions[i] != sender)
            tell(sessions[i], "%s: %s", name, text);
    // END SOLUTION
}

/* A client has connected: give it a session */
static void welcome(int listener)
{
    // BEGIN SOLUTION
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor == -1) {
        /* No descriptor is left for it. It stays in the queue, and the listener ready: not to spin
           on that, look at the listeners again only when a session has ended. */
        full = errno == EMFILE || errno == ENFILE;
        return;                 /* else whoever it was has gone again */
    }
    struct session *session = demand(calloc(1, sizeof *session));
    session->descriptor = descriptor;
    sessions = demand(realloc(sessions, (count + 1) * sizeof *sessions));
    sessions[count++] = session;
    // END SOLUTION
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
    // BEGIN SOLUTION
    if (*name == '\0' || strpbrk(name, " \t\r") != NULL) {
        tell(session, "error a name is one word");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct session *other = sessions[i];
        if (other != session && !other->closed && other->name != NULL && strcmp(other->name, name) == 0) {
            tell(session, "error that name is taken");
            return;
        }
    }
    free(session->name);
    session->name = demand(strdup(name));
    tell(session, "ok");
    // END SOLUTION
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
    // BEGIN SOLUTION
    const char *text;
    if ((text = after(line, "name")) != NULL) {
        rename_session(session, text);
    } else if ((text = after(line, "say")) != NULL && session->name == NULL) {
        tell(session, "error say who you are first: name NAME");
    } else if (text != NULL && *text != '\0') {
        broadcast(session->name, text, session);
    } else if ((text = after(line, "sum")) != NULL) {
        tell_sum(session, text);
    } else if (strcmp(line, "who") == 0) {
        tell_names(session);
    } else if (strcmp(line, "quit") == 0) {
        tell(session, "bye");
        say_goodbye(session);
    } else {
        tell(session, "error known are: name NAME, say TEXT, sum N..., who, quit");
    }
    // END SOLUTION
}

/* ---------------------------------------------------------------- one step for each kind of descriptor */

/* A client can be read from, or has gone: read what there is, and obey the lines that are complete by now */
static void serve(struct session *session)
{
    // BEGIN SOLUTION
    char line[MOST_LINE];
    ssize_t got = fill(&session->received, session->descriptor);
    if (got == -1) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            drop(session);      /* the connection was reset */
        return;
    }
    if (got == 0) {             /* end-of-file: it will say no more, but may still be reading */
        say_goodbye(session);
        return;
    }
    while (!session->leaving && next_line(&session->received, line))
        obey(session, line);
    if (!session->leaving && too_long(&session->received)) {
        tell(session, "error line too long");
        say_goodbye(session);
    }
    // END SOLUTION
}

/* Obey the console: clients, say TEXT, shutdown. False at its end-of-file. */
static bool serve_console(void)
{
    // BEGIN SOLUTION
    char line[MOST_LINE];
    const char *text;
    if (fill(&console, STDIN_FILENO) <= 0)
        return false;
    while (next_line(&console, line)) {
        if (strcmp(line, "clients") == 0) {
            size_t living = 0;
            for (size_t i = 0; i < count; i++)
                living += !sessions[i]->closed;
            printf("%zu clients\n", living);
            fflush(stdout);     /* somebody waits for it */
        } else if ((text = after(line, "say")) != NULL && *text != '\0') {
            broadcast("server", text, NULL);
        } else if (strcmp(line, "shutdown") == 0) {
            running = false;
        } else {
            complain("the console takes: clients, say TEXT, shutdown");
        }
    }
    if (too_long(&console))
        console.length = 0;     /* no command is that long */
    return true;
    // END SOLUTION
}

/* Say each line that came through the FIFO to everybody */
static void serve_fifo(void)
{
    // BEGIN SOLUTION
    char line[MOST_LINE];
    fill(&fifo_input, fifo);
    while (next_line(&fifo_input, line))
        broadcast("fifo", line, NULL);
    if (too_long(&fifo_input))
        fifo_input.length = 0;  /* too long for a line */
    // END SOLUTION
}

/* ---------------------------------------------------------------- the loop */

/* Wait for all descriptors together; take one step for each that is ready; and again */
static void run(void)
{
    // BEGIN SOLUTION
    enum { SIGNALS, CONSOLE, FIFO, TCP, UNIX, FIRST_SESSION };
    signal(SIGPIPE, SIG_IGN);   /* a client that has gone is an error of write(2), and not our end */
    struct pollfd *watched = NULL;
    int input = STDIN_FILENO;
    while (running) {
        size_t known = count;   /* sessions that begin in this round have no entry in `watched` */
        watched = demand(realloc(watched, (FIRST_SESSION + known) * sizeof *watched));
        watched[SIGNALS] = (struct pollfd) { signals[0], POLLIN, 0 };
        watched[CONSOLE] = (struct pollfd) { input, POLLIN, 0 };
        watched[FIFO] = (struct pollfd) { fifo, POLLIN, 0 };
        watched[TCP] = (struct pollfd) { full ? NONE : tcp_listener, POLLIN, 0 };
        watched[UNIX] = (struct pollfd) { full ? NONE : unix_listener, POLLIN, 0 };
        for (size_t i = 0; i < known; i++) {
            const struct session *session = sessions[i];
            short events = (short) ((session->leaving ? 0 : POLLIN) | (session->pending > 0 ? POLLOUT : 0));
            watched[FIRST_SESSION + i] = (struct pollfd) { session->descriptor, events, 0 };
        }
        if (poll(watched, FIRST_SESSION + known, -1) == -1) {
            if (errno == EINTR)
                continue;
            complain("poll: %s", strerror(errno));
            break;
        }
        if (watched[SIGNALS].revents != 0)
            running = false;
        if (watched[CONSOLE].revents != 0 && !serve_console())
            input = NONE;       /* end-of-file stays ready for ever: stop asking for it */
        if (watched[FIFO].revents != 0)
            serve_fifo();
        for (size_t i = 0; i < known; i++) {
            short events = watched[FIRST_SESSION + i].revents;
            if (events & POLLOUT)
                flush(sessions[i]);
            if (events & ~POLLOUT && !sessions[i]->closed) {
                if (sessions[i]->leaving)
                    drop(sessions[i]);      /* it has gone before it got everything */
                else
                    serve(sessions[i]);
            }
        }
        if (watched[TCP].revents != 0)
            welcome(tcp_listener);
        if (watched[UNIX].revents != 0)
            welcome(unix_listener);
        sweep();
    }
    free(watched);
    // END SOLUTION
}

/* Remove what the server made; the descriptors go with the process */
static void clean_up(void)
{
    // BEGIN SOLUTION
    if (made_unix != NULL)
        unlink(made_unix);
    if (made_fifo != NULL)
        unlink(made_fifo);
    // END SOLUTION
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
