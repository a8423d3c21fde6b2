/* Right, but it spins: C11 atomics for a lock, and each side looks again and again. */
#include "common.h"

static atomic_flag lock = ATOMIC_FLAG_INIT;
static atomic_int left;
static int in, out, count;
static long slots[16];

static void take(void)
{
    while (atomic_flag_test_and_set(&lock))
        ;
}

static void give(void)
{
    atomic_flag_clear(&lock);
}

static void put(long item)
{
    for (;;) {
        take();
        if (count < capacity)
            break;
        give();
    }
    slots[in] = item;
    in = (in + 1) % capacity;
    count++;
    give();
}

static void *produce(void *number)
{
    for (int i = 0; i < items; i++)
        put(made((int) (long) number, i));
    return NULL;
}

static void *consume(void *number)
{
    while (atomic_load(&left) > 0) {
        long item = -1;
        take();
        if (count > 0) {
            item = slots[out];
            out = (out + 1) % capacity;
            count--;
            atomic_fetch_sub(&left, 1);
        }
        give();
        if (item != -1)
            report((int) (long) number, item);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    atomic_store(&left, producers * items);
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, produce, (void *) i);
    for (long i = 0; i < consumers; i++)
        pthread_create(&threads[producers + i], NULL, consume, (void *) i);
    for (int i = 0; i < producers + consumers; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
