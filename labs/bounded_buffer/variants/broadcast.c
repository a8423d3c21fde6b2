/* Unusual: one mutex, one condition, every change told to everybody; the main thread (or the first process) is one of
   the consumers itself; the segment has a name, but only for the moment until it is mapped.

   Still right: whoever is woken in vain waits again. The last producer to end closes the buffer. Children are reaped at the
   end by waiting for any child until there is none. At SIGTERM the process group would be too many: the children are asked
   one by one to end, which by default they do, and the pages go with the last of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct bb {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned size, head, fill, producing;
    bool closed;
    long data[];
};

static size_t bytes(unsigned size)
{
    return sizeof(struct bb) + size * sizeof(long);
}

struct bb *bb_create(unsigned capacity)
{
    char name[40];
    snprintf(name, sizeof name, "/bounded_buffer-%d", getpid());
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd == -1)
        return NULL;
    shm_unlink(name);
    void *at = MAP_FAILED;
    if (ftruncate(fd, bytes(capacity)) == 0)
        at = mmap(NULL, bytes(capacity), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return NULL;
    struct bb *b = at;
    b->size = capacity;
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&b->lock, &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&b->change, &c);
    return b;
}

int bb_put(struct bb *b, long item)
{
    int result = -1;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        if (b->closed) {
            errno = EPIPE;
            break;
        }
        if (b->fill < b->size) {
            b->data[(b->head + b->fill++) % b->size] = item;
            pthread_cond_broadcast(&b->change);
            result = 0;
            break;
        }
        pthread_cond_wait(&b->change, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return result;
}

int bb_get(struct bb *b, long *item)
{
    int result = -1;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        if (b->fill > 0) {
            *item = b->data[b->head];
            b->head = b->head + 1 == b->size ? 0 : b->head + 1;
            b->fill--;
            pthread_cond_broadcast(&b->change);
            result = 0;
            break;
        }
        if (b->closed) {
            errno = EPIPE;
            break;
        }
        pthread_cond_wait(&b->change, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return result;
}

void bb_close(struct bb *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    pthread_cond_broadcast(&b->change);
    pthread_mutex_unlock(&b->lock);
}

void bb_destroy(struct bb *b)
{
    pthread_cond_destroy(&b->change);
    pthread_mutex_destroy(&b->lock);
    munmap(b, bytes(b->size));
}

static struct bb *b;
static unsigned producers, consumers, items;
static pid_t *child;
static volatile sig_atomic_t children;

static void produce(unsigned me)
{
    for (unsigned i = 0; i < items; i++)
        if (bb_put(b, (long) me << 32 | i) == -1)
            return;
    pthread_mutex_lock(&b->lock);
    bool last = --b->producing == 0;
    pthread_mutex_unlock(&b->lock);
    if (last)
        bb_close(b);
}

static void consume(unsigned me)
{
    long item;
    while (bb_get(b, &item) == 0) {
        char line[80];
        snprintf(line, sizeof line, "consumer-%u producer-%u %u\n", me, (unsigned) (item >> 32), (unsigned) item);
        if (write(1, line, strlen(line)) == -1)
            return;
    }
}

static void *work(void *number)
{
    unsigned me = (unsigned) (unsigned long) number;
    if (me < producers)
        produce(me);
    else
        consume(me - producers);
    return NULL;
}

static void stop(int number)
{
    (void) number;
    for (int i = 0; i < children; i++)
        kill(child[i], SIGTERM);
    while (wait(NULL) > 0)
        ;
    _exit(0);
}

static bool number(const char *text, unsigned least, unsigned *result)
{
    char *end;
    long value = strtol(text, &end, 10);
    *result = (unsigned) value;
    return *text != '\0' && *end == '\0' && value >= (long) least && value < 1000000000;
}

int main(int argc, char **argv)
{
    unsigned capacity = 0, given = 0;
    bool threads = false, processes = false, right = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0)
            threads = true;
        else if (strcmp(argv[i], "--processes") == 0)
            processes = true;
        else if (i + 1 < argc && strcmp(argv[i], "--capacity") == 0 && number(argv[++i], 1, &capacity))
            given |= 1;
        else if (i + 1 < argc && strcmp(argv[i], "--producers") == 0 && number(argv[++i], 1, &producers))
            given |= 2;
        else if (i + 1 < argc && strcmp(argv[i], "--consumers") == 0 && number(argv[++i], 1, &consumers))
            given |= 4;
        else if (i + 1 < argc && strcmp(argv[i], "--items") == 0 && number(argv[++i], 0, &items))
            given |= 8;
        else
            right = false;
    }
    if (!right || given != 15 || (threads && processes)) {
        dprintf(2, "usage: bounded_buffer --capacity N --producers P --consumers C --items M "
                   "[--threads | --processes]\n");
        return 2;
    }

    unsigned others = producers + consumers - 1;       /* consumer 0 is the main thread; its number is the last one's */
    b = bb_create(capacity);
    child = calloc(others, sizeof *child);
    pthread_t *thread = calloc(others, sizeof *thread);
    if (b == NULL || child == NULL || thread == NULL)
        return 1;
    b->producing = producers;
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    for (unsigned i = 0; i < others; i++) {
        void *who = (void *) (unsigned long) i;
        if (processes) {
            child[i] = fork();
            if (child[i] == 0) {
                pthread_sigmask(SIG_UNBLOCK, &term, NULL);
                work(who);
                _exit(0);
            }
            if (child[i] == -1)
                stop(0);
            children++;
        } else if (pthread_create(&thread[i], NULL, work, who) != 0) {
            stop(0);
        }
    }
    signal(SIGTERM, stop);
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
    consume(consumers - 1);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    if (processes)
        while (wait(NULL) > 0)
            ;
    else
        for (unsigned i = 0; i < others; i++)
            pthread_join(thread[i], NULL);
    bb_destroy(b);
    free(child);
    free(thread);
    return 0;
}
