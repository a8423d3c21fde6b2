/* Unusual: a mutex and two conditions, for processes in System V shared memory as in the lecture (shmget, shmat), for
   threads in memory from malloc.

   Still right: the conditions are process-shared; each wait is a loop under the mutex; the state is a number of items that
   went in and one of items that came out, so that N slots are used. The segment is marked for removal as soon as it is
   attached: it goes with the last process that has it, however that ends. At SIGTERM threads leave with their process, and
   processes are killed and reaped. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

struct bb {
    pthread_mutex_t mutex;
    pthread_cond_t room, goods;
    unsigned size;
    unsigned long in, out;
    int closed, attached;
    long slot[];
};

static struct bb *prepare(struct bb *b, unsigned size, int attached)
{
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    memset(b, 0, sizeof *b);
    b->size = size;
    b->attached = attached;
    pthread_mutexattr_init(&ma);
    pthread_condattr_init(&ca);
    pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&b->mutex, &ma);
    pthread_cond_init(&b->room, &ca);
    pthread_cond_init(&b->goods, &ca);
    return b;
}

struct bb *bb_create(unsigned capacity)
{
    struct bb *b = malloc(sizeof *b + capacity * sizeof b->slot[0]);
    return b == NULL ? NULL : prepare(b, capacity, 0);
}

static struct bb *shared_create(unsigned capacity)
{
    int id = shmget(IPC_PRIVATE, sizeof(struct bb) + capacity * sizeof(long), IPC_CREAT | 0600);
    if (id == -1)
        return NULL;
    void *at = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    return at == (void *) -1 ? NULL : prepare(at, capacity, 1);
}

int bb_put(struct bb *b, long item)
{
    int closed;
    pthread_mutex_lock(&b->mutex);
    while (!b->closed && b->in - b->out == b->size)
        pthread_cond_wait(&b->room, &b->mutex);
    closed = b->closed;
    if (!closed)
        b->slot[b->in++ % b->size] = item;
    pthread_mutex_unlock(&b->mutex);
    if (closed) {
        errno = EPIPE;
        return -1;
    }
    pthread_cond_signal(&b->goods);      /* after the unlock: right as well, the change was made under the mutex */
    return 0;
}

int bb_get(struct bb *b, long *item)
{
    int empty;
    pthread_mutex_lock(&b->mutex);
    while (!b->closed && b->in == b->out)
        pthread_cond_wait(&b->goods, &b->mutex);
    empty = b->in == b->out;
    if (!empty)
        *item = b->slot[b->out++ % b->size];
    pthread_mutex_unlock(&b->mutex);
    if (empty) {
        errno = EPIPE;
        return -1;
    }
    pthread_cond_signal(&b->room);
    return 0;
}

void bb_close(struct bb *b)
{
    pthread_mutex_lock(&b->mutex);
    b->closed = 1;
    pthread_cond_broadcast(&b->room);
    pthread_cond_broadcast(&b->goods);
    pthread_mutex_unlock(&b->mutex);
}

void bb_destroy(struct bb *b)
{
    pthread_cond_destroy(&b->room);
    pthread_cond_destroy(&b->goods);
    pthread_mutex_destroy(&b->mutex);
    if (b->attached)
        shmdt(b);
    else
        free(b);
}

static struct bb *buffer;
static unsigned items;
static pid_t *children;
static unsigned born;

static void *producer(void *number)
{
    long me = (long) number;
    for (long i = 0; i < (long) items; i++)
        if (bb_put(buffer, me * 1000000000 + i) != 0)
            break;
    return NULL;
}

static void *consumer(void *number)
{
    long me = (long) number, item;
    char text[99];
    while (bb_get(buffer, &item) == 0) {
        int n = sprintf(text, "consumer-%ld producer-%ld %ld\n", me, item / 1000000000, item % 1000000000);
        if (write(1, text, n) != n)
            break;
    }
    return NULL;
}

static void leave(int number)
{
    (void) number;
    for (unsigned i = 0; i < born; i++)
        kill(children[i], SIGKILL);
    for (unsigned i = 0; i < born; i++)
        waitpid(children[i], NULL, 0);
    _exit(0);
}

static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(how, &set, NULL);
}

static void threads(unsigned producers, unsigned consumers)
{
    unsigned all = producers + consumers;
    pthread_t *ids = calloc(all, sizeof *ids);
    signal(SIGTERM, leave);
    for (unsigned i = 0; i < all; i++) {
        void *number = (void *) (long) (i < producers ? i : i - producers);
        if (pthread_create(&ids[i], NULL, i < producers ? producer : consumer, number) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < producers; i++)
        pthread_join(ids[i], NULL);
    bb_close(buffer);
    for (unsigned i = producers; i < all; i++)
        pthread_join(ids[i], NULL);
    free(ids);
}

static void processes(unsigned producers, unsigned consumers)
{
    unsigned all = producers + consumers;
    children = calloc(all, sizeof *children);
    mask(SIG_BLOCK);
    for (unsigned i = 0; i < all; i++) {
        pid_t pid = fork();
        if (pid == -1)
            leave(0);
        if (pid == 0) {
            mask(SIG_UNBLOCK);
            if (i < producers)
                producer((void *) (long) i);
            else
                consumer((void *) (long) (i - producers));
            _exit(0);
        }
        children[born++] = pid;
    }
    signal(SIGTERM, leave);
    mask(SIG_UNBLOCK);
    for (unsigned i = 0; i < all; i++) {
        if (i == producers)
            bb_close(buffer);
        siginfo_t info;    /* leave the zombie for a moment: until it is no longer in the list its id must stay its own */
        while (waitid(P_PID, children[i], &info, WEXITED | WNOWAIT) == -1 && errno == EINTR)
            ;
        mask(SIG_BLOCK);
        waitpid(children[i], NULL, 0);
        children[i] = children[all - 1];
        if (i < all - 1)
            mask(SIG_UNBLOCK);
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: bounded_buffer --capacity N --producers P --consumers C --items M "
                    "[--threads | --processes]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const char *names[] = { "--capacity", "--producers", "--consumers", "--items" };
    long value[4] = { -1, -1, -1, -1 };
    int forks = -1;
    for (int i = 1; i < argc; i++) {
        int wanted = strcmp(argv[i], "--processes") == 0 ? 1 : strcmp(argv[i], "--threads") == 0 ? 0 : -1;
        if (wanted >= 0 && (forks == -1 || forks == wanted)) {
            forks = wanted;
            continue;
        }
        int k = 0;
        while (k < 4 && strcmp(argv[i], names[k]) != 0)
            k++;
        char *end;
        if (k == 4 || i + 1 == argc)
            return usage();
        value[k] = strtol(argv[++i], &end, 10);
        if (*end || end == argv[i])
            return usage();
    }
    if (value[0] < 1 || value[1] < 1 || value[2] < 1 || value[3] < 0)
        return usage();
    items = value[3];
    buffer = forks == 1 ? shared_create(value[0]) : bb_create(value[0]);
    if (buffer == NULL) {
        perror("bounded_buffer");
        return 1;
    }
    (forks == 1 ? processes : threads)(value[1], value[2]);
    bb_destroy(buffer);
    return 0;
}
