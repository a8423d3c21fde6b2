/* Right: every wait ends after a while and looks again; the main thread sleeps until all is done. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int in, out, count, left;
static long slots[16];

static void wait_a_while(pthread_cond_t *condition)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(condition, &lock, &until);
}

static void *produce(void *number)
{
    for (int i = 0; i < items; i++) {
        pthread_mutex_lock(&lock);
        while (count == capacity)
            wait_a_while(&not_full);
        slots[in] = made((int) (long) number, i);
        in = (in + 1) % capacity;
        count++;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *consume(void *number)
{
    pthread_mutex_lock(&lock);
    while (left > 0) {
        while (count == 0 && left > 0)
            wait_a_while(&not_empty);
        if (left == 0)
            break;
        long item = slots[out];
        out = (out + 1) % capacity;
        count--;
        left--;
        report((int) (long) number, item);
        pthread_cond_signal(&not_full);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    left = producers * items;
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, produce, (void *) i);
    for (long i = 0; i < consumers; i++)
        pthread_create(&threads[producers + i], NULL, consume, (void *) i);
    for (int over = 0; !over; usleep(1000)) {
        pthread_mutex_lock(&lock);
        over = left == 0;
        pthread_mutex_unlock(&lock);
    }
    for (int i = 0; i < producers + consumers; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
