/* The shim for C: linked into a student's program, it counts the points of its main thread, and raises a signal at one.

   The student's files are compiled with -fsanitize=thread and -fsanitize-coverage=trace-pc, so the compiler calls
   __tsan_read4 and its like before every access to memory, and __sanitizer_cov_trace_pc at every place to which
   the program can jump; those functions are here, and not in a library. Calls that may block are redirected by
   the linker (--wrap) to the functions that WRAP defines. Each of them is a point, known by its address.

   grader/exploring/points.py says what is in the folder of the probe. Only the process that the grader started is
   counted: its children, also those that run the same program anew, are not. What is written here comes from the
   student's own address space, and nothing is judged by it.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/run/probe/"
#define HERE ((uintptr_t) __builtin_return_address(0))

/* Declares the real function and begins the one that takes its place. The build reads the names from here. */
#define WRAP(type, name, parameters) extern type __real_##name parameters; type __wrap_##name parameters

/* The linker redirects this file too. */
extern int __real_main(int, char **, char **);
extern int __real_open(const char *, int, ...);
extern ssize_t __real_read(int, void *, size_t);

/* ------------------------------------------------------------------ the plan and the board */

enum state { COUNTING = 1, BLOCKING, RAISED, PASSED };
enum kind { LINE, BEFORE, AFTER };

struct entry {
    uint64_t where;
    uint32_t kind, call;
};

struct board {
    volatile uint32_t armed, state, count, taken;
    volatile struct entry entries[];
};

enum { SIGNALS = 16, CALLS = 128 };

static struct board *board;
static size_t room;                     /* entries of the board */
static char plan[16384];
static const char *calls[CALLS];
static int call_count;
static int signals[SIGNALS];
static int signal_count;
static bool from_start, owed;
static bool has_target, from_outside;
static struct entry target;
static uint32_t earlier, reached;       /* how often the target is passed by; how often it was reached */
static pid_t main_process;

static __thread bool followed;          /* this is the main thread of the process that is counted */
static volatile bool busy, over;

static void parse_line(char *line)
{
    char *rest = NULL, *word = strtok_r(line, " ", &rest);
    if (word == NULL)
        return;
    char what = word[0];
    uint64_t numbers[5] = {0};
    for (int index = 0; (word = strtok_r(NULL, " ", &rest)) != NULL; index++) {
        if (what == 's' && signal_count < SIGNALS)
            signals[signal_count++] = atoi(word);
        else if (what == 'f')           /* "from start", "files ..." */
            from_start |= strcmp(word, "start") == 0;
        else if (what == 'c' && call_count < CALLS)
            calls[call_count++] = word;
        else if (what == 't' && index < 5)
            numbers[index] = strtoull(word, NULL, 10);
    }
    if (what == 't') {
        has_target = true;
        target = (struct entry) {numbers[0], (uint32_t) numbers[1], (uint32_t) numbers[2]};
        earlier = (uint32_t) numbers[3];
        from_outside = numbers[4] != 0;
    }
}

static void child(void) { followed = false; }

/* Whether this is the process that the grader started: the first that takes the board. */
static bool begin(void)
{
    int file = __real_open(FOLDER "plan", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t size = __real_read(file, plan, sizeof plan - 1);
    close(file);
    if (size <= 0 || (file = __real_open(FOLDER "board", O_RDWR | O_CLOEXEC)) < 0)
        return false;
    struct stat status;
    if (fstat(file, &status) == 0 && (size_t) status.st_size >= sizeof *board)
        board = mmap(NULL, (size_t) status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (board == NULL || board == MAP_FAILED || __atomic_exchange_n(&board->taken, 1, __ATOMIC_SEQ_CST) != 0)
        return false;
    room = ((size_t) status.st_size - sizeof *board) / sizeof *board->entries;
    char *rest = NULL;
    for (char *line = strtok_r(plan, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        parse_line(line);
    pthread_atfork(NULL, NULL, child);
    main_process = getpid();
    owed = !from_start;
    board->state = COUNTING;
    return true;
}

int __wrap_main(int argc, char **argv, char **environment)
{
    followed = begin();
    errno = 0;
    return __real_main(argc, argv, environment);
}

/* ------------------------------------------------------------------ points */

/* Whether the program has said by now that it deals with the signals; before, they only end it. */
static bool owes(void)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    for (int index = 0; index < signal_count; index++) {
        struct sigaction known;
        if (sigaction(signals[index], NULL, &known) != 0)
            return false;
        if (known.sa_handler == SIG_DFL && !sigismember(&blocked, signals[index]))
            return false;
    }
    owed = true;
    return true;
}

static bool sent_before(int index)
{
    for (int other = 0; other < index; other++)
        if (signals[other] == signals[index])
            return true;
    return false;
}

static void arrive(void)
{
    board->state = RAISED;
    over = true;
    if (signal_count == 1) {
        kill(main_process, signals[0]);
        return;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (int index = 0; index < signal_count; index++)
        if (!sent_before(index))
            kill(main_process, signals[index]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);        /* now all of them come at once */
    for (int index = 0; index < signal_count; index++)
        if (sent_before(index))
            kill(main_process, signals[index]);
}

static void reach(uintptr_t where, enum kind kind, uint32_t call)
{
    uint32_t count = board->count;
    if (!has_target && count < room) {
        board->entries[count].where = where;
        board->entries[count].kind = kind;
        board->entries[count].call = call;
    }
    board->count = count + 1;
    if (!has_target)
        return;
    if (where == target.where && kind == target.kind && call == target.call) {
        if (reached++ != earlier)
            return;
        if (from_outside)
            board->state = BLOCKING;
        else
            arrive();
    } else if (from_outside && kind == AFTER && reached == earlier + 1) {
        board->state = PASSED;
        over = true;
    }
}

static void point(uintptr_t where, enum kind kind, uint32_t call)
{
    if (!followed || busy || over || !board->armed)
        return;
    int error = errno;
    busy = true;                /* a handler that comes in between has no points for that moment */
    if (owed || owes())
        reach(where, kind, call);
    busy = false;
    errno = error;
}

/* ------------------------------------------------------------------ what the compiler calls */

void __sanitizer_cov_trace_pc(void) { point(HERE, LINE, 0); }
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void) caller; }
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **at, void *value) { (void) at, (void) value; }
void __tsan_vptr_read(void **at) { (void) at; }
void __tsan_read_range(void *at, unsigned long size) { (void) at, (void) size; point(HERE, LINE, 0); }
void __tsan_write_range(void *at, unsigned long size) { (void) at, (void) size; point(HERE, LINE, 0); }

#define ACCESS(name) void __tsan_##name(void *at) { (void) at; point(HERE, LINE, 0); }
#define ACCESSES(size) \
    ACCESS(read##size) ACCESS(write##size) ACCESS(volatile_read##size) ACCESS(volatile_write##size) \
    ACCESS(unaligned_read##size) ACCESS(unaligned_write##size)
ACCESSES(1) ACCESSES(2) ACCESSES(4) ACCESSES(8) ACCESSES(16)

void __tsan_atomic_thread_fence(int order) { (void) order; __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int order) { (void) order; __atomic_signal_fence(__ATOMIC_SEQ_CST); }

#define CHANGE(bits, type, name) \
    type __tsan_atomic##bits##_##name(volatile type *at, type value, int order) \
    { \
        (void) order; \
        point(HERE, LINE, 0); \
        return __atomic_##name(at, value, __ATOMIC_SEQ_CST); \
    }
#define COMPARE(bits, type, name) \
    int __tsan_atomic##bits##_##name(volatile type *at, type *expected, type value, int order, int other) \
    { \
        (void) order, (void) other; \
        point(HERE, LINE, 0); \
        return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    }
#define __atomic_exchange __atomic_exchange_n
#define ATOMIC(bits, type) \
    type __tsan_atomic##bits##_load(const volatile type *at, int order) \
    { \
        (void) order; \
        point(HERE, LINE, 0); \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST); \
    } \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order) \
    { \
        (void) order; \
        point(HERE, LINE, 0); \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST); \
    } \
    CHANGE(bits, type, exchange) CHANGE(bits, type, fetch_add) CHANGE(bits, type, fetch_sub) \
    CHANGE(bits, type, fetch_and) CHANGE(bits, type, fetch_or) CHANGE(bits, type, fetch_xor) \
    CHANGE(bits, type, fetch_nand) \
    COMPARE(bits, type, compare_exchange_strong) COMPARE(bits, type, compare_exchange_weak) \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type old, type value, int order, int other) \
    { \
        (void) order, (void) other; \
        point(HERE, LINE, 0); \
        __atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return old; \
    }
ATOMIC(8, uint8_t) ATOMIC(16, uint16_t) ATOMIC(32, uint32_t) ATOMIC(64, uint64_t)

/* ------------------------------------------------------------------ calls that may block */

static void around(const char *name, uintptr_t where, enum kind kind)
{
    for (int index = 0; followed && index < call_count; index++)
        if (strcmp(calls[index], name) == 0)
            point(where, kind, (uint32_t) index);
}

/* Whether a call on this descriptor can wait: regular files never let one wait. */
static bool waits(int file)
{
    struct stat status;
    int error = errno, flags = followed ? fcntl(file, F_GETFL) : -1;
    bool answer = flags >= 0 && !(flags & O_NONBLOCK) && fstat(file, &status) == 0 && !S_ISREG(status.st_mode);
    errno = error;
    return answer;
}

static bool waits_to_read(FILE *file) { return waits(fileno(file)); }
static bool some_time(const struct timespec *limit) { return limit == NULL || limit->tv_sec != 0 || limit->tv_nsec != 0; }

#define AROUND_IF(condition, name, arguments) \
    { \
        bool may_wait = condition; \
        if (may_wait) \
            around(#name, HERE, BEFORE); \
        __auto_type result = __real_##name arguments; \
        if (may_wait) \
            around(#name, HERE, AFTER); \
        return result; \
    }
#define AROUND(name, arguments) AROUND_IF(true, name, arguments)

WRAP(int, pause, (void)) AROUND(pause, ())
WRAP(int, sigsuspend, (const sigset_t *mask)) AROUND(sigsuspend, (mask))
WRAP(int, sigwait, (const sigset_t *set, int *number)) AROUND(sigwait, (set, number))
WRAP(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info)) AROUND(sigwaitinfo, (set, info))
WRAP(int, sigtimedwait, (const sigset_t *set, siginfo_t *info, const struct timespec *limit))
    AROUND_IF(some_time(limit), sigtimedwait, (set, info, limit))

WRAP(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *limit))
    AROUND_IF(limit == NULL || limit->tv_sec != 0 || limit->tv_usec != 0, select, (n, r, w, e, limit))
WRAP(int, pselect, (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *limit, const sigset_t *mask))
    AROUND_IF(some_time(limit), pselect, (n, r, w, e, limit, mask))
WRAP(int, poll, (struct pollfd *set, nfds_t n, int limit)) AROUND_IF(limit != 0, poll, (set, n, limit))
WRAP(int, ppoll, (struct pollfd *set, nfds_t n, const struct timespec *limit, const sigset_t *mask))
    AROUND_IF(some_time(limit), ppoll, (set, n, limit, mask))
WRAP(int, epoll_wait, (int set, struct epoll_event *events, int n, int limit))
    AROUND_IF(limit != 0, epoll_wait, (set, events, n, limit))
WRAP(int, epoll_pwait, (int set, struct epoll_event *events, int n, int limit, const sigset_t *mask))
    AROUND_IF(limit != 0, epoll_pwait, (set, events, n, limit, mask))

WRAP(int, accept, (int listener, struct sockaddr *who, socklen_t *size))
    AROUND_IF(waits(listener), accept, (listener, who, size))
WRAP(int, accept4, (int listener, struct sockaddr *who, socklen_t *size, int flags))
    AROUND_IF(waits(listener), accept4, (listener, who, size, flags))
WRAP(int, connect, (int file, const struct sockaddr *to, socklen_t size))
    AROUND_IF(waits(file), connect, (file, to, size))
WRAP(ssize_t, recv, (int file, void *data, size_t size, int flags))
    AROUND_IF(!(flags & MSG_DONTWAIT) && waits(file), recv, (file, data, size, flags))
WRAP(ssize_t, recvfrom, (int file, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length))
    AROUND_IF(!(flags & MSG_DONTWAIT) && waits(file), recvfrom, (file, data, size, flags, from, length))
WRAP(ssize_t, recvmsg, (int file, struct msghdr *message, int flags))
    AROUND_IF(!(flags & MSG_DONTWAIT) && waits(file), recvmsg, (file, message, flags))
WRAP(ssize_t, send, (int file, const void *data, size_t size, int flags))
    AROUND_IF(!(flags & MSG_DONTWAIT) && waits(file), send, (file, data, size, flags))

WRAP(ssize_t, read, (int file, void *data, size_t size)) AROUND_IF(waits(file), read, (file, data, size))
WRAP(ssize_t, readv, (int file, const struct iovec *pieces, int n))
    AROUND_IF(waits(file), readv, (file, pieces, n))
WRAP(ssize_t, write, (int file, const void *data, size_t size))
    AROUND_IF(waits(file), write, (file, data, size))
WRAP(char *, fgets, (char *line, int size, FILE *file))
    AROUND_IF(waits_to_read(file), fgets, (line, size, file))
WRAP(int, fgetc, (FILE *file)) AROUND_IF(waits_to_read(file), fgetc, (file))
WRAP(int, getc, (FILE *file)) AROUND_IF(waits_to_read(file), getc, (file))
WRAP(int, getchar, (void)) AROUND_IF(waits_to_read(stdin), getchar, ())
WRAP(ssize_t, getline, (char **line, size_t *size, FILE *file))
    AROUND_IF(waits_to_read(file), getline, (line, size, file))
WRAP(size_t, fread, (void *data, size_t size, size_t n, FILE *file))
    AROUND_IF(waits_to_read(file), fread, (data, size, n, file))

WRAP(pid_t, wait, (int *status)) AROUND(wait, (status))
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options))
    AROUND_IF(!(options & WNOHANG), waitpid, (pid, status, options))
WRAP(pid_t, wait3, (int *status, int options, struct rusage *usage))
    AROUND_IF(!(options & WNOHANG), wait3, (status, options, usage))
WRAP(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *usage))
    AROUND_IF(!(options & WNOHANG), wait4, (pid, status, options, usage))
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options))
    AROUND_IF(!(options & WNOHANG), waitid, (type, id, info, options))

WRAP(unsigned, sleep, (unsigned seconds)) AROUND(sleep, (seconds))
WRAP(int, usleep, (useconds_t time)) AROUND(usleep, (time))
WRAP(int, nanosleep, (const struct timespec *time, struct timespec *left)) AROUND(nanosleep, (time, left))
WRAP(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left))
    AROUND(clock_nanosleep, (clock, flags, time, left))

WRAP(int, flock, (int file, int operation)) AROUND(flock, (file, operation))
WRAP(int, lockf, (int file, int operation, off_t size)) AROUND(lockf, (file, operation, size))
WRAP(int, sem_wait, (sem_t *semaphore)) AROUND(sem_wait, (semaphore))
WRAP(int, sem_timedwait, (sem_t *semaphore, const struct timespec *until))
    AROUND(sem_timedwait, (semaphore, until))
WRAP(int, semop, (int set, struct sembuf *operations, size_t n)) AROUND(semop, (set, operations, n))
WRAP(ssize_t, msgrcv, (int queue, void *message, size_t size, long type, int flags))
    AROUND_IF(!(flags & IPC_NOWAIT), msgrcv, (queue, message, size, type, flags))
WRAP(int, msgsnd, (int queue, const void *message, size_t size, int flags))
    AROUND_IF(!(flags & IPC_NOWAIT), msgsnd, (queue, message, size, flags))
WRAP(ssize_t, mq_receive, (mqd_t queue, char *message, size_t size, unsigned *priority))
    AROUND(mq_receive, (queue, message, size, priority))
WRAP(int, mq_send, (mqd_t queue, const char *message, size_t size, unsigned priority))
    AROUND(mq_send, (queue, message, size, priority))

WRAP(int, open, (const char *path, int flags, ...))
{
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    struct stat status;
    int error = errno;
    bool may_wait = !(flags & O_NONBLOCK) && stat(path, &status) == 0 && S_ISFIFO(status.st_mode);
    errno = error;
    if (may_wait)
        around("open", HERE, BEFORE);
    int result = __real_open(path, flags, mode);
    if (may_wait)
        around("open", HERE, AFTER);
    return result;
}
