/* One small right program for each thing that the explorer models: features MODE. All print "ok" at the end. */
#include "common.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <threads.h>

static void demand(bool truth, const char *what)
{
    if (!truth) {
        dprintf(1, "not %s\n", what);
        _exit(1);
    }
}

static void *shared_memory(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static pthread_t threads[8];

static void together(void *(*work)(void *), int count)
{
    for (long i = 0; i < count; i++)
        demand(pthread_create(&threads[i], NULL, work, (void *) i) == 0, "created");
    for (int i = 0; i < count; i++)
        demand(pthread_join(threads[i], NULL) == 0, "joined");
}

/* ---- locks */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, recursive, checked;
static int value, copies[2];

static void *with_rwlock(void *number)
{
    if (number == NULL) {
        pthread_rwlock_wrlock(&rwlock);
        copies[0]++;
        copies[1]++;
        pthread_rwlock_unlock(&rwlock);
    } else {
        pthread_rwlock_rdlock(&rwlock);
        demand(copies[0] == copies[1], "one moment");
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void *with_spin(void *number)
{
    (void) number;
    pthread_spin_lock(&spin);
    value++;
    pthread_spin_unlock(&spin);
    return NULL;
}

static void *with_recursive(void *number)
{
    (void) number;
    pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&recursive);
    value++;
    pthread_mutex_unlock(&recursive);
    pthread_mutex_unlock(&recursive);
    demand(pthread_mutex_lock(&checked) == 0, "locked");
    demand(pthread_mutex_lock(&checked) == EDEADLK, "refused");
    pthread_mutex_unlock(&checked);
    demand(pthread_mutex_unlock(&checked) == EPERM, "not mine");
    return NULL;
}

static void *with_try(void *number)
{
    (void) number;
    while (pthread_mutex_trylock(&mutex) != 0)
        sched_yield();
    value++;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void locks(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checked, &attributes);
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    together(with_rwlock, 3);
    together(with_spin, 2);
    together(with_recursive, 2);
    together(with_try, 2);
    demand(value == 6, "six");
}

/* ---- barrier, once, C11 threads, cancellation */

static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ready, serial;

static void make_ready(void) { ready++; }

static void *with_barrier(void *number)
{
    (void) number;
    pthread_once(&once, make_ready);
    demand(ready == 1, "made ready once");
    for (int round = 1; round <= 2; round++) {
        __atomic_fetch_add(&value, 1, __ATOMIC_SEQ_CST);
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
        demand(__atomic_load_n(&value, __ATOMIC_SEQ_CST) == 3 * round, "all there");
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void barriers(void)
{
    pthread_barrier_init(&barrier, NULL, 3);
    together(with_barrier, 3);
    demand(serial == 2, "one of them each time");
}

static mtx_t mtx;
static cnd_t cnd;

static int with_c11(void *argument)
{
    mtx_lock(&mtx);
    *(int *) argument = 7;
    cnd_signal(&cnd);
    mtx_unlock(&mtx);
    return 5;
}

static void c11(void)
{
    thrd_t thread;
    int given = 0, got = 0;
    mtx_init(&mtx, mtx_plain);
    cnd_init(&cnd);
    demand(thrd_create(&thread, with_c11, &given) == thrd_success, "created");
    mtx_lock(&mtx);
    while (given == 0)
        cnd_wait(&cnd, &mtx);
    mtx_unlock(&mtx);
    demand(thrd_join(thread, &got) == thrd_success && got == 5, "five");
}

static sem_t semaphore;

static void *until_cancelled(void *number)
{
    (void) number;
    sem_wait(&semaphore);
    return NULL;
}

static void cancel(void)
{
    void *end;
    sem_init(&semaphore, 0, 0);
    pthread_create(&threads[0], NULL, until_cancelled, NULL);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &end);
    demand(end == PTHREAD_CANCELED, "cancelled");
}

/* ---- time */

static void in_ms(clockid_t clock, int ms, struct timespec *until)
{
    clock_gettime(clock, until);
    until->tv_sec += (until->tv_nsec / 1000000 + ms) / 1000;
    until->tv_nsec = (until->tv_nsec / 1000000 + ms) % 1000 * 1000000;
}

static void time_passes(void)
{
    pthread_condattr_t attributes;
    pthread_cond_t condition;
    struct timespec until;
    time_t before = time(NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition, &attributes);
    pthread_mutex_lock(&mutex);
    in_ms(CLOCK_MONOTONIC, 1500, &until);
    demand(pthread_cond_timedwait(&condition, &mutex, &until) == ETIMEDOUT, "timed out");
    in_ms(CLOCK_REALTIME, 1500, &until);
    demand(pthread_mutex_timedlock(&mutex, &until) == ETIMEDOUT, "timed out");
    sem_init(&semaphore, 0, 0);
    in_ms(CLOCK_REALTIME, 1500, &until);
    demand(sem_timedwait(&semaphore, &until) == -1 && errno == ETIMEDOUT, "timed out");
    sleep(3600);
    usleep(500000);
    demand(time(NULL) - before >= 3604 && time(NULL) - before < 3700, "an hour");
    struct timeval now;
    gettimeofday(&now, NULL);
    while (now.tv_sec < before + 3605)
        gettimeofday(&now, NULL);
}

/* ---- processes */

static void zombies(void)
{
    int status, ended = 0;
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            _exit(10 + i);
    while (ended < 2) {
        pid_t child = waitpid(-1, &status, WNOHANG);
        if (child > 0) {
            demand(WIFEXITED(status) && WEXITSTATUS(status) >= 10, "ended");
            ended++;
        } else {
            sched_yield();
        }
    }
    demand(wait(&status) > 0, "the last");
    demand(wait(&status) == -1 && errno == ECHILD, "no more");
}

static void post_and_exit(void)
{
    sem_t *sem = shared_memory(sizeof *sem);
    sem_init(sem, 1, 0);
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            sem_post(sem);
            _exit(0);
        }
    for (int i = 0; i < 3; i++)
        sem_wait(sem);
    while (wait(NULL) > 0)
        ;
}

static void pipes(void)
{
    int ends[2], back[2];
    char data[8192] = { 0 };
    demand(pipe(ends) == 0 && pipe(back) == 0, "pipe");
    if (fork() == 0) {
        ssize_t got, all = 0;
        close(ends[1]);
        while ((got = read(ends[0], data, sizeof data)) > 0)
            all += got;
        demand(write(back[1], &all, sizeof all) == sizeof all, "told");
        _exit(0);
    }
    close(ends[0]);
    for (int i = 0; i < 20; i++)
        demand(write(ends[1], data, sizeof data) == sizeof data, "written");
    close(ends[1]);
    ssize_t all = 0;
    fd_set set;
    struct pollfd look = { back[0], POLLIN, 0 };
    FD_ZERO(&set);
    FD_SET(back[0], &set);
    demand(select(back[0] + 1, &set, NULL, NULL, NULL) == 1, "readable");
    demand(poll(&look, 1, -1) == 1, "readable");
    demand(read(back[0], &all, sizeof all) == sizeof all && all == 20 * 8192, "all of it");
    wait(NULL);
}

static void named(void)
{
    sem_t *sem = sem_open("/turn", O_CREAT | O_EXCL, 0600, 0);
    demand(sem != SEM_FAILED, "opened");
    if (fork() == 0) {
        sem_post(sem_open("/turn", 0));
        _exit(0);
    }
    sem_wait(sem);
    wait(NULL);
    sem_unlink("/turn");
}

static void system_v(void)
{
    int set = semget(IPC_PRIVATE, 1, 0600), queue = msgget(IPC_PRIVATE, 0600), segment = shmget(IPC_PRIVATE, 4096, 0600);
    struct { long type; char text[8]; } message = { 1, "hello" };
    struct sembuf down = { 0, -1, 0 }, up = { 0, 1, 0 };
    int *total = shmat(segment, NULL, 0);
    semctl(set, 0, SETVAL, 1);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            semop(set, &down, 1);
            ++*total;
            semop(set, &up, 1);
            msgsnd(queue, &message, sizeof message.text, 0);
            _exit(0);
        }
    for (int i = 0; i < 2; i++)
        demand(msgrcv(queue, &message, sizeof message.text, 0, 0) > 0, "received");
    while (wait(NULL) > 0)
        ;
    demand(*total == 2, "two");
    semctl(set, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    shmctl(segment, IPC_RMID, NULL);
}

static void own_memory(void)
{
    static int mine;
    if (fork() == 0) {
        for (int i = 0; i < 1000; i++)
            mine++;
        _exit(mine == 1000 ? 0 : 1);
    }
    int status;
    wait(&status);
    demand(status == 0 && mine == 0, "my own");
}

static volatile sig_atomic_t got;
static void note(int number) { got = number; }

static void signals(void)
{
    struct sigaction action = { .sa_handler = note };
    sigset_t set, old;
    int number, status;
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t child = fork();
    if (child == 0) {
        kill(getppid(), SIGUSR1);
        kill(getppid(), SIGUSR2);
        for (;;)
            sleep(1000);
    }
    sigdelset(&set, SIGUSR1);
    while (got == 0)
        demand(sigsuspend(&set) == -1 && errno == EINTR, "interrupted");
    demand(sigwait(&set, &number) == 0 && number == SIGUSR2, "the second");
    kill(child, SIGTERM);
    demand(wait(&status) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "ended by it");
    struct { sem_t sem; atomic_int done; } *shared = shared_memory(sizeof *shared);
    sem_init(&shared->sem, 1, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if ((child = fork()) == 0) {
        while (!atomic_load(&shared->done)) {
            kill(getppid(), SIGUSR1);
            sched_yield();
        }
        _exit(0);
    }
    demand(sem_wait(&shared->sem) == -1 && errno == EINTR, "interrupted");
    atomic_store(&shared->done, 1);
    while (wait(NULL) == -1)
        demand(errno == EINTR, "interrupted");
}

static void file_locks(void)
{
    int *total = shared_memory(sizeof *total);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            int file = open("lock", O_RDWR | O_CREAT, 0600);
            flock(file, LOCK_EX);
            ++*total;
            flock(file, LOCK_UN);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    demand(*total == 2, "two");
}

static void closes_everything(void)
{
    for (int i = 3; i < 1024; i++)
        close(i);
    close_range(3, ~0U, 0);
    if (fork() == 0) {
        for (int i = 3; i < 1024; i++)
            close(i);
        _exit(0);
    }
    demand(wait(NULL) > 0, "waited for");
}

/* ---- memory */

static atomic_int turns;
static struct { long a, b, c; } pair[2];

static void *of_memory(void *number)
{
    int *block = malloc(4000);
    for (int i = 0; i < 1000; i++)
        block[i] = i;                       /* nobody else can see it */
    demand(block[999] == 999, "written");
    free(block);
    for (int i = 0; i < 3; i++) {
        int seen = atomic_load(&turns);
        while (!atomic_compare_exchange_weak(&turns, &seen, seen + 1))
            ;
    }
    if (number == NULL)
        memcpy(&pair[1], &pair[0], sizeof pair[0]);
    return NULL;
}

static void *of_stack(void *argument)
{
    pthread_mutex_lock(&mutex);
    ++*(int *) argument;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void memory(void)
{
    int mine = 0;
    together(of_memory, 2);
    demand(turns == 6, "six");
    pthread_create(&threads[0], NULL, of_stack, &mine);
    pthread_create(&threads[1], NULL, of_stack, &mine);
    pthread_mutex_lock(&mutex);
    mine++;
    pthread_mutex_unlock(&mutex);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    demand(mine == 3, "three");
}

static void *last_one(void *unused)
{
    (void) unused;
    dprintf(1, "ok\n");
    return NULL;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    static const struct { const char *name; void (*run)(void); } modes[] = {
        { "locks", locks }, { "barriers", barriers }, { "c11", c11 }, { "cancel", cancel }, { "time", time_passes },
        { "zombies", zombies }, { "post-and-exit", post_and_exit }, { "pipes", pipes }, { "named", named },
        { "system-v", system_v }, { "own-memory", own_memory }, { "signals", signals }, { "file-locks", file_locks },
        { "closes-everything", closes_everything }, { "memory", memory },
    };
    if (strcmp(mode, "main-leaves-first") == 0) {
        pthread_create(&threads[0], NULL, last_one, NULL);
        pthread_exit(NULL);
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode, modes[i].name) == 0)
            modes[i].run();
    printf("ok\n");
    return 0;
}
