/* Processes, shared memory and semaphores in it; each consumer is ended by an item of its own. */
#include "common.h"

struct shared {
    sem_t empty, full, mutex;
    int in, out;
    long slots[16];
};

static struct shared *shared;

static void put(long item)
{
    sem_wait(&shared->empty);
    sem_wait(&shared->mutex);
    shared->slots[shared->in] = item;
    shared->in = (shared->in + 1) % capacity;
    sem_post(&shared->mutex);
    sem_post(&shared->full);
}

static long get(void)
{
    sem_wait(&shared->full);
    sem_wait(&shared->mutex);
    long item = shared->slots[shared->out];
    shared->out = (shared->out + 1) % capacity;
    sem_post(&shared->mutex);
    sem_post(&shared->empty);
    return item;
}

static void produce(int number)
{
    for (int i = 0; i < items; i++)
        put(made(number, i));
}

static void consume(int number)
{
    for (long item = get(); item != -1; item = get())
        report(number, item);
}

int main(int argc, char **argv)
{
    pid_t children[32];
    (void) argc;
    read_arguments(argv);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(&shared->empty, 1, capacity);
    sem_init(&shared->full, 1, 0);
    sem_init(&shared->mutex, 1, 1);
    for (int i = 0; i < producers + consumers; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            if (i < producers)
                produce(i);
            else
                consume(i - producers);
            _exit(0);
        }
    }
    for (int i = 0; i < producers; i++)
        waitpid(children[i], NULL, 0);
    for (int i = 0; i < consumers; i++)
        put(-1);
    for (int i = 0; i < consumers; i++)
        wait(NULL);
    return 0;
}
