/* Processes that count together in memory that they share. */
#include "common.h"

struct shared {
    sem_t mutex;
    long total;
};

int main(int argc, char **argv)
{
    (void) argc;
    read_arguments(argv);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(&shared->mutex, 1, 1);
    for (int i = 0; i < producers; i++)
        if (fork() == 0) {
            for (int number = 0; number < items; number++) {
                sem_wait(&shared->mutex);
                shared->total++;
                sem_post(&shared->mutex);
            }
            exit(0);
        }
    while (wait(NULL) > 0)
        ;
    printf("%ld\n", shared->total);
    return 0;
}
