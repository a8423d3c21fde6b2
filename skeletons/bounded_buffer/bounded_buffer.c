/* bounded_buffer.c

   Producers and consumers round a bounded buffer.

   Usage: bounded_buffer --capacity N --producers P --consumers C --items M [--threads | --processes]

   P producers make M items each, C consumers take them, and between them lies a buffer of N slots that
   are used in a circle:

       producers -> bb_put ->  [ 3 | 4 |   |   |   | 0 | 1 | 2 ]  -> bb_get -> consumers
                                      free          oldest

   Two semaphores do the waiting: `space` counts the slots that are free, `items` those that are filled.
   A mutex lets one at a time touch the rest. The buffer lies in memory that processes share, so the same
   one serves threads and processes.
*/
#define _GNU_SOURCE    /* MAP_ANONYMOUS */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A first-in first-out buffer. All of it lies in one piece of shared memory. With two conditions in the place of
   the two semaphores it would be right as well; the members are yours. */
struct bb {
    sem_t space;              /* free slots; once closed, one more than there are: see bb_close */
    sem_t items;              /* filled slots; once closed, one more than there are */
    pthread_mutex_t lock;     /* who holds it may touch what follows */
    unsigned first;           /* slot of the oldest item */
    unsigned count;           /* items in the buffer */
    bool closed;
    unsigned capacity;        /* never changes */
    long slots[];
};

/* For a call that cannot fail in a right program */
static void demand(bool succeeded, const char *call)
{
    if (!succeeded) {
        dprintf(STDERR_FILENO, "bounded_buffer: %s: %s\n", call, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

/* Take a token. A signal may interrupt the waiting, sem_wait(3). */
static void take_token(sem_t *semaphore)
{
    while (sem_wait(semaphore) == -1)
        demand(errno == EINTR, "sem_wait");
}

/* Bytes of a buffer with so many slots */
static size_t size_of(unsigned capacity)
{
    return sizeof(struct bb) + capacity * sizeof(long);
}

/* Make a buffer with so many slots, for threads, and for processes that are forked later.
   NULL, with errno, if that cannot be. */
struct bb *bb_create(unsigned capacity)
{
    struct bb *buffer = NULL;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    return buffer;
}

/* Put an item in, when there is a free slot; wait for one as long as it takes.
   0, or -1 with errno EPIPE if the buffer is closed, now or while we wait. */
int bb_put(struct bb *buffer, long item)
{
    bool closed = true;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    if (closed)
        errno = EPIPE;
    return closed ? -1 : 0;
}

/* Take the oldest item out, when there is one; wait for one as long as it takes.
   0, or -1 with errno EPIPE if the buffer is closed and empty, now or while we wait. */
int bb_get(struct bb *buffer, long *item)
{
    bool over = true;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    if (over)
        errno = EPIPE;
    return over ? -1 : 0;
}

/* Let nothing in any more. Everybody who waits wakes up; what is in the buffer can still be taken. */
void bb_close(struct bb *buffer)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
}

/* Give back all that bb_create took. Nobody may use the buffer any more. */
void bb_destroy(struct bb *buffer)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
}

/* The item that a producer makes as its number so and so: both in one long */
static long made(unsigned producer, unsigned number)
{
    return (long) producer << 32 | number;
}

/* Print the line for an item that was taken, in one write(2), so that lines never mix. */
static void report(unsigned consumer, long item)
{
    char line[80];
    int length = snprintf(line, sizeof line, "consumer-%u producer-%u %u\n",
                          consumer, (unsigned) (item >> 32), (unsigned) item);
    demand(write(STDOUT_FILENO, line, (size_t) length) == length, "write");
}

/* One producer or one consumer */
struct worker {
    struct bb *buffer;
    unsigned number;          /* of this producer among the producers, or consumer among the consumers */
    unsigned items;           /* how many a producer makes */
    pthread_t thread;
    pid_t process;
};

/* What a producer does: put its items in, from number 0 on; leave early if the buffer is closed. */
static void *produce(void *argument)
{
    struct worker *me = argument;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    return NULL;
}

/* What a consumer does: take items and report each, until the buffer is closed and empty. */
static void *consume(void *argument)
{
    struct worker *me = argument;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    return NULL;
}

static struct bb *the_buffer;    /* for the handler */
static bool processes;           /* whether each worker is a process of its own, or a thread */

/* SIGTERM or SIGINT, in the main thread of the first process */
static void stop(int number)
{
    (void) number;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
}

/* SIG_BLOCK or SIG_UNBLOCK the two signals; who is started while they are blocked never sees them. */
static void stopping(int how)
{
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(how, &both, NULL);
}

/* Make `stop` the handler of the two signals. */
static void handle_stopping(void)
{
    struct sigaction action = { .sa_handler = stop, .sa_flags = SA_RESTART };
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGINT);
    demand(sigaction(SIGTERM, &action, NULL) == 0, "sigaction");
    demand(sigaction(SIGINT, &action, NULL) == 0, "sigaction");
}

/* Start one worker as a thread or as a process; 0, or an error number. */
static int start(struct worker *worker, void *(*work)(void *))
{
    int failure = 0;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    return failure;
}

/* Wait until a worker has ended, and reap it if it is a process. */
static void wait_for(struct worker *worker)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
}

/* Let all of them work side by side, and come back when everything is done, or after SIGTERM.
   `workers` are the producers, and then the consumers. Returns the exit status. */
static int run(struct worker *workers, unsigned producers, unsigned consumers, struct bb *buffer)
{
    int failure = 0;
    /* YOUR CODE HERE */
    fprintf(stderr, "bounded_buffer.c: YOUR CODE HERE\n");
    exit(70);
    if (failure != 0)
        dprintf(STDERR_FILENO, "bounded_buffer: %s\n", strerror(failure));
    return failure == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int usage(void)
{
    dprintf(STDERR_FILENO, "usage: bounded_buffer --capacity N --producers P --consumers C --items M "
                           "[--threads | --processes]\n");
    return 2;
}

/* Read the command line; the rest is `run`. */
int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "capacity", required_argument, NULL, 0 },  { "producers", required_argument, NULL, 1 },
        { "consumers", required_argument, NULL, 2 }, { "items", required_argument, NULL, 3 },
        { "threads", no_argument, NULL, 't' },       { "processes", no_argument, NULL, 'p' },
        { NULL, 0, NULL, 0 },
    };
    long numbers[4] = { -1, -1, -1, -1 };
    char how = 0;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't' || option == 'p') {
            if (how != 0 && how != option)
                return usage();
            how = (char) option;
        } else if (option >= 0 && option <= 3) {
            char *end;
            if (*optarg < '0' || *optarg > '9')    /* strtol(3) would take blanks and signs */
                return usage();
            numbers[option] = strtol(optarg, &end, 10);
            if (*end != '\0' || numbers[option] > INT_MAX)
                return usage();
        } else {
            return usage();
        }
    }
    if (optind != argc || numbers[0] < 1 || numbers[1] < 1 || numbers[2] < 1 || numbers[3] < 0)
        return usage();

    unsigned producers = (unsigned) numbers[1], consumers = (unsigned) numbers[2];
    struct worker *workers = calloc((size_t) producers + consumers, sizeof *workers);
    struct bb *buffer = bb_create((unsigned) numbers[0]);
    demand(workers != NULL && buffer != NULL, "not enough memory");
    for (unsigned i = 0; i < producers + consumers; i++) {
        workers[i].buffer = buffer;
        workers[i].number = i < producers ? i : i - producers;
        workers[i].items = (unsigned) numbers[3];
    }
    processes = how == 'p';
    int status = run(workers, producers, consumers, buffer);
    bb_destroy(buffer);
    free(workers);
    return status;
}
