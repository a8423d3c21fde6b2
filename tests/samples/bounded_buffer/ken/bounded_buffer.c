/* ken: threads work, processes later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bb {
    pthread_mutex_t m;
    pthread_cond_t c;
    unsigned n, head, count;
    int closed;
    long *slot;
};

struct bb *bb_create(unsigned n)
{
    struct bb *b = calloc(1, sizeof *b);
    b->slot = calloc(n, sizeof *b->slot);
    b->n = n;
    pthread_mutex_init(&b->m, NULL);
    pthread_cond_init(&b->c, NULL);
    return b;
}

int bb_put(struct bb *b, long item)
{
    pthread_mutex_lock(&b->m);
    while (b->count == b->n && !b->closed)
        pthread_cond_wait(&b->c, &b->m);
    if (b->closed) {
        pthread_mutex_unlock(&b->m);
        errno = EPIPE;
        return -1;
    }
    b->slot[(b->head + b->count++) % b->n] = item;
    pthread_cond_signal(&b->c);
    pthread_mutex_unlock(&b->m);
    return 0;
}

int bb_get(struct bb *b, long *item)
{
    pthread_mutex_lock(&b->m);
    while (b->count == 0 && !b->closed)
        pthread_cond_wait(&b->c, &b->m);
    if (b->count == 0) {
        pthread_mutex_unlock(&b->m);
        errno = EPIPE;
        return -1;
    }
    *item = b->slot[b->head];
    b->head = (b->head + 1) % b->n;
    b->count--;
    pthread_cond_signal(&b->c);
    pthread_mutex_unlock(&b->m);
    return 0;
}

void bb_close(struct bb *b)
{
    pthread_mutex_lock(&b->m);
    b->closed = 1;
    pthread_cond_broadcast(&b->c);
    pthread_mutex_unlock(&b->m);
}

void bb_destroy(struct bb *b)
{
    free(b->slot);
    free(b);
}

static struct bb *b;
static int m;

static void *producer(void *k)
{
    for (long i = 0; i < m; i++)
        if (bb_put(b, (long) k * 1000000 + i))
            break;
    return NULL;
}

static void *consumer(void *k)
{
    long x;
    while (bb_get(b, &x) == 0)
        dprintf(1, "consumer-%ld producer-%ld %ld\n", (long) k, x / 1000000, x % 1000000);
    return NULL;
}

int main(int argc, char **argv)
{
    int n = 0, p = 0, c = 0;
    m = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--capacity"))
            n = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--producers"))
            p = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--consumers"))
            c = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--items"))
            m = atoi(argv[i + 1]);
    }
    if (n < 1 || p < 1 || c < 1 || m < 0) {
        fprintf(stderr, "usage: bounded_buffer --capacity N --producers P --consumers C --items M\n");
        return 2;
    }
    if (argc > 9 && strcmp(argv[9], "--processes") == 0) {
        fprintf(stderr, "bounded_buffer: processes: not yet\n");
        return 1;
    }
    b = bb_create(n);
    pthread_t t[p + c];
    for (long i = 0; i < p + c; i++)
        pthread_create(&t[i], NULL, i < p ? producer : consumer, (void *) (i < p ? i : i - p));
    for (int i = 0; i < p; i++)
        pthread_join(t[i], NULL);
    bb_close(b);
    for (int i = p; i < p + c; i++)
        pthread_join(t[i], NULL);
    bb_destroy(b);
    return 0;
}
