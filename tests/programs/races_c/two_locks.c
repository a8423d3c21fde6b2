/* Threads that take two locks; right as long as all take them in the same order. */
#include "common.h"

static pthread_mutex_t left = PTHREAD_MUTEX_INITIALIZER, right = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void *forward(void *number)
{
    (void) number;
    for (int i = 0; i < items; i++) {
        pthread_mutex_lock(&left);
        pthread_mutex_lock(&right);
        total++;
        pthread_mutex_unlock(&right);
        pthread_mutex_unlock(&left);
    }
    return NULL;
}

static void *backward(void *number)
{
    (void) number;
    for (int i = 0; i < items; i++) {
        pthread_mutex_lock(&left);
        pthread_mutex_lock(&right);
        total++;
        pthread_mutex_unlock(&right);
        pthread_mutex_unlock(&left);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[32];
    (void) argc;
    read_arguments(argv);
    for (long i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, i % 2 == 0 ? forward : backward, NULL);
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    printf("%ld\n", total);
    return 0;
}
