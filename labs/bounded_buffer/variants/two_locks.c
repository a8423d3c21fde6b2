/* Unusual: producers and consumers never exclude each other. Semaphores count slots and items, one mutex orders the
   producers, another the consumers, and the two sides know of each other by two C11 atomics, how many items went in and
   how many came out. Nobody spins.

   Still right: a producer that has passed `space` owns the slot at `in` once it has the tail mutex; a consumer that has
   passed `items` finds the slot at `out` filled, for `items` is posted only when all before it is in place. After the end
   one token more goes round on each side: who takes it sees that the buffer is closed (tail) or that nothing is left (head),
   and hands it on. `closed` is only written and read under the tail mutex. At SIGTERM processes are killed and reaped. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct bb {
    sem_t space, items;
    pthread_mutex_t head, tail;
    atomic_ulong in, out;
    bool closed;
    size_t capacity, bytes;
    long slots[];
};

struct bb *bb_create(unsigned capacity)
{
    size_t bytes = sizeof(struct bb) + capacity * sizeof(long);
    struct bb *b = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    pthread_mutexattr_t attribute;
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_setpshared(&attribute, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&b->head, &attribute);
    pthread_mutex_init(&b->tail, &attribute);
    sem_init(&b->space, 1, capacity);
    sem_init(&b->items, 1, 0);
    atomic_init(&b->in, 0);
    atomic_init(&b->out, 0);
    b->capacity = capacity;
    b->bytes = bytes;
    return b;
}

static void down(sem_t *s)
{
    while (sem_wait(s) != 0)
        ;
}

int bb_put(struct bb *b, long item)
{
    down(&b->space);
    pthread_mutex_lock(&b->tail);
    if (b->closed) {
        pthread_mutex_unlock(&b->tail);
        sem_post(&b->space);
        errno = EPIPE;
        return -1;
    }
    unsigned long at = atomic_load(&b->in);
    b->slots[at % b->capacity] = item;
    atomic_store(&b->in, at + 1);
    pthread_mutex_unlock(&b->tail);
    sem_post(&b->items);
    return 0;
}

int bb_get(struct bb *b, long *item)
{
    down(&b->items);
    pthread_mutex_lock(&b->head);
    unsigned long at = atomic_load(&b->out);
    if (at == atomic_load(&b->in)) {
        pthread_mutex_unlock(&b->head);
        sem_post(&b->items);
        errno = EPIPE;
        return -1;
    }
    *item = b->slots[at % b->capacity];
    atomic_store(&b->out, at + 1);
    pthread_mutex_unlock(&b->head);
    sem_post(&b->space);
    return 0;
}

void bb_close(struct bb *b)
{
    pthread_mutex_lock(&b->tail);
    bool first = !b->closed;
    b->closed = true;
    pthread_mutex_unlock(&b->tail);
    if (first) {
        sem_post(&b->space);
        sem_post(&b->items);
    }
}

void bb_destroy(struct bb *b)
{
    sem_destroy(&b->space);
    sem_destroy(&b->items);
    pthread_mutex_destroy(&b->head);
    pthread_mutex_destroy(&b->tail);
    munmap(b, b->bytes);
}

static struct bb *buffer;
static long numbers[4];                  /* capacity, producers, consumers, items */
static pid_t group[1000];
static volatile sig_atomic_t made;

static void *work(void *argument)
{
    intptr_t who = (intptr_t) argument;
    if (who < numbers[1]) {
        for (long i = 0; i < numbers[3] && bb_put(buffer, (long) who << 32 | i) == 0; i++)
            ;
    } else {
        for (long item; bb_get(buffer, &item) == 0; )
            dprintf(1, "consumer-%ld producer-%ld %ld\n", (long) who - numbers[1], item >> 32, item & 0xffffffff);
    }
    return NULL;
}

static void end(int number)
{
    (void) number;
    for (int i = 0; i < made; i++)
        kill(group[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct option options[] = { { "capacity", 1, NULL, 0 }, { "producers", 1, NULL, 1 }, { "consumers", 1, NULL, 2 },
                                { "items", 1, NULL, 3 }, { "threads", 0, NULL, 4 }, { "processes", 0, NULL, 5 }, { 0 } };
    int chosen[6] = { 0 }, option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *stop = "";
        if (option < 4 && option >= 0)
            numbers[option] = strtol(optarg, &stop, 0);
        if (option > 5 || *stop || (option < 4 && numbers[option] < (option < 3)))
            goto usage;
        chosen[option] = 1;
    }
    long all = numbers[1] + numbers[2];
    if (optind < argc || !(chosen[0] && chosen[1] && chosen[2] && chosen[3]) || (chosen[4] && chosen[5]) || all > 1000)
        goto usage;
    buffer = bb_create((unsigned) numbers[0]);
    if (buffer == NULL)
        return 1;

    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, end);
    pthread_t threads[1000];
    for (intptr_t i = 0; i < all; i++) {
        if (!chosen[5]) {
            if (pthread_create(&threads[i], NULL, work, (void *) i) != 0)
                end(0);
        } else if ((group[i] = fork()) == 0) {
            signal(SIGTERM, SIG_DFL);
            pthread_sigmask(SIG_UNBLOCK, &term, NULL);
            work((void *) i);
            _exit(0);
        } else if (group[i] == -1) {
            end(0);
        } else {
            made++;
        }
    }
    if (!chosen[5]) {
        pthread_sigmask(SIG_UNBLOCK, &term, NULL);
        for (long i = 0; i < all; i++) {
            if (i == numbers[1])
                bb_close(buffer);
            pthread_join(threads[i], NULL);
        }
    } else {
        /* A child that has ended keeps its id until it is waited for; the handler comes only between two such waits. */
        for (long i = 0; i < all; i++) {
            if (i == numbers[1])
                bb_close(buffer);
            pthread_sigmask(SIG_UNBLOCK, &term, NULL);
            waitid(P_PID, (id_t) group[i], &(siginfo_t) { 0 }, WEXITED | WNOWAIT);
            pthread_sigmask(SIG_BLOCK, &term, NULL);
        }
        while (wait(NULL) > 0)
            ;
    }
    bb_destroy(buffer);
    return 0;
usage:
    dprintf(2, "usage: bounded_buffer --capacity N --producers P --consumers C --items M [--threads | --processes]\n");
    return 2;
}
