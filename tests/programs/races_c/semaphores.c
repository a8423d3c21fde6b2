/* Threads and semaphores; each consumer is ended by an item of its own. */
#include "common.h"

static sem_t empty, full, mutex;
static long slots[16];
static int in, out;

static void put(long item)
{
    sem_wait(&empty);
    sem_wait(&mutex);
    slots[in] = item;
    in = (in + 1) % capacity;
    sem_post(&mutex);
    sem_post(&full);
}

static long get(void)
{
    sem_wait(&full);
    sem_wait(&mutex);
    long item = slots[out];
    out = (out + 1) % capacity;
    sem_post(&mutex);
    sem_post(&empty);
    return item;
}

static void *produce(void *number)
{
    for (int i = 0; i < items; i++)
        put(made((int) (long) number, i));
    return NULL;
}

static void *consume(void *number)
{
    for (long item = get(); item != -1; item = get())
        report((int) (long) number, item);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    sem_init(&empty, 0, capacity);
    sem_init(&full, 0, 0);
    sem_init(&mutex, 0, 1);
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, produce, (void *) i);
    for (long i = 0; i < consumers; i++)
        pthread_create(&threads[producers + i], NULL, consume, (void *) i);
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < consumers; i++)
        put(-1);
    for (int i = 0; i < consumers; i++)
        pthread_join(threads[producers + i], NULL);
    return 0;
}
