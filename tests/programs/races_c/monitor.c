/* Threads, a mutex and two conditions; once all is made the consumers are told. */
#include "common.h"

struct buffer {
    pthread_mutex_t lock;
    pthread_cond_t not_full, not_empty;
    int in, out, count, done;
    long slots[16];
};

static struct buffer buffer = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, { 0 } };

static void put(struct buffer *b, long item)
{
    pthread_mutex_lock(&b->lock);
    while (b->count == capacity)
        pthread_cond_wait(&b->not_full, &b->lock);
    b->slots[b->in] = item;
    b->in = (b->in + 1) % capacity;
    b->count++;
    pthread_cond_signal(&b->not_empty);
    pthread_mutex_unlock(&b->lock);
}

static long get(struct buffer *b)
{
    long item = -1;
    pthread_mutex_lock(&b->lock);
    while (b->count == 0 && !b->done)
        pthread_cond_wait(&b->not_empty, &b->lock);
    if (b->count > 0) {
        item = b->slots[b->out];
        b->out = (b->out + 1) % capacity;
        b->count--;
        pthread_cond_signal(&b->not_full);
    }
    pthread_mutex_unlock(&b->lock);
    return item;
}

static void finish(struct buffer *b)
{
    pthread_mutex_lock(&b->lock);
    b->done = 1;
    pthread_cond_broadcast(&b->not_empty);
    pthread_mutex_unlock(&b->lock);
}

static void *produce(void *number)
{
    for (int i = 0; i < items; i++)
        put(&buffer, made((int) (long) number, i));
    return NULL;
}

static void *consume(void *number)
{
    long item;
    while ((item = get(&buffer)) != -1)
        report((int) (long) number, item);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, produce, (void *) i);
    for (long i = 0; i < consumers; i++)
        pthread_create(&threads[producers + i], NULL, consume, (void *) i);
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    finish(&buffer);
    for (int i = 0; i < consumers; i++)
        pthread_join(threads[producers + i], NULL);
    return 0;
}
