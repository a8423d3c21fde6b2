/* Threads that count together: producers * items in the end. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void *count(void *number)
{
    (void) number;
    for (int i = 0; i < items; i++) {
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    printf("%ld\n", total);
    return 0;
}
