/* One condition for both sides, and everybody is woken each time. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int in, out, count, done;
static long slots[16];

static void put(long item)
{
    pthread_mutex_lock(&lock);
    while (count == capacity)
        pthread_cond_wait(&changed, &lock);
    slots[in] = item;
    in = (in + 1) % capacity;
    count++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static long get(void)
{
    long item = -1;
    pthread_mutex_lock(&lock);
    while (count == 0 && !done)
        pthread_cond_wait(&changed, &lock);
    if (count > 0) {
        item = slots[out];
        out = (out + 1) % capacity;
        count--;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
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
    long item;
    while ((item = get()) != -1)
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
    pthread_mutex_lock(&lock);
    done = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < consumers; i++)
        pthread_join(threads[producers + i], NULL);
    return 0;
}
