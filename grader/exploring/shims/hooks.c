/* The shim for C: linked into a student's program, it asks the grader before each step that matters.

   The student's files are compiled with -fsanitize=thread, so the compiler calls __tsan_read4 and its like before
   every access to memory; those functions are here, and not in libtsan. Calls that synchronise or wait are
   redirected by the linker (--wrap) to the functions that WRAP defines. Each of them is a *point*: the task, a
   thread or a process, says what it will do next and sleeps until the grader lets it. So one task runs at a time.

   Nothing here ever waits in the kernel for another task. A call that might is tried; if it would wait, the
   task says so ("blocked") and is let try again when something has changed. Conditions and barriers, which cannot be
   tried, are kept by the grader.

   The program is its own fork server: `main` waits at a socket for the word to run, forks, and the child is the
   program. So a schedule costs a fork and no execve, and all begin with the same memory.

   Whatever is said here comes from the student's own address space. The grader believes nothing of it that
   could earn points.
*/
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ what is said; see grader/exploring/remote.py */

enum kind {
    MEMORY = 1, LOCK, SEMAPHORE, CONDITION, BARRIER, EVENT, PIPE, QUEUE, SEMAPHORE_SET, SIGNALS, ONCE, FILE_LOCK, TIME,
};

enum flag {
    WRITES = 1,     /* the step may change the thing */
    GLOBAL = 2,     /* the thing is the same for all processes; else each process has its own at this address */
    PROCESS = 4,    /* about a process, not a thread */
    NO_WAIT = 8,    /* gives up at once */
    OTHER_GLOBAL = 16,          /* as GLOBAL, about the other thing */
};

struct note {
    uint8_t operation, flags;
    uint16_t kind;              /* and in its upper byte the length of the text */
    int32_t result;             /* of the step before this one */
    uint64_t place, thing, other;
    int64_t number;
    char text[64];
} __attribute__((packed));

struct answer {
    char code;                  /* g: go on, t: time is over, i: interrupted, x: cancelled, n: none, e: no such child */
    uint8_t unused[3];
    uint32_t value;
    int64_t now;                /* virtual time, ns since the start of the run */
} __attribute__((packed));

#define HERE ((uintptr_t) __builtin_return_address(0))
#define EXPORT __attribute__((visibility("default"), used))

/* Declares the real function and begins the one that takes its place. The build reads the names from here. */
#define WRAP(type, name, parameters) extern type __real_##name parameters; EXPORT type __wrap_##name parameters

/* What the shim itself calls is not to be redirected: the linker redirects this file too. */
extern int __real_close(int);
extern ssize_t __real_read(int, void *, size_t);
extern ssize_t __real_write(int, const void *, size_t);
extern pid_t __real_fork(void);
extern pid_t __real_waitpid(pid_t, int *, int);
extern pid_t __real_wait4(pid_t, int *, int, struct rusage *);
extern void *__real_malloc(size_t);
extern void __real_free(void *);
extern int __real_kill(pid_t, int);
extern int __real_poll(struct pollfd *, nfds_t, int);
extern int __real_dup2(int, int);
extern int __real_pthread_mutex_trylock(pthread_mutex_t *);
extern int __real_pthread_mutex_unlock(pthread_mutex_t *);
extern void __real_pthread_exit(void *) __attribute__((noreturn));
extern void __real__exit(int) __attribute__((noreturn));
extern int __real_main(int, char **, char **);

/* ------------------------------------------------------------------ tasks of this process */

enum { TASKS = 128, BLOCKS = 256, REGIONS = 64, ESCAPED = 1024 };

struct task {
    bool alive;
    int socket;                 /* to the grader; -1 once it has ended */
    unsigned number;            /* the grader's */
    pthread_t thread;
    uintptr_t low, high;        /* its stack */
};

static struct task tasks[TASKS];
static int known, living;       /* entries of `tasks`; those of them that are alive */
static unsigned process;        /* the number of its first task */
static bool forked;             /* there is, or was, another process */
static volatile int64_t now;    /* virtual */

static __thread struct task *self;
static __thread int32_t result;

/* From where the functions were called that this task is in: a call in a helper of the student's (``P(&empty)``) says
   more with the place that called the helper. */
enum { DEPTH = 64 };
static __thread uintptr_t callers[DEPTH];
static __thread unsigned depth;

static uintptr_t caller(void)
{
    return depth > 0 && depth <= DEPTH ? callers[depth - 1] : 0;
}

/* What this task has done since it last asked, and nobody had to be asked about: that it gave something back. It
   goes with the next question, and no task ends without a last one. */
enum { BACKLOG = 32 };
static __thread struct note backlog[BACKLOG];
static __thread unsigned behind;

/* The system call itself, since write(2) and _exit(2) may fail in any way if the socket has been closed. */
static void give_up(void)
{
    for (;;)
        syscall(SYS_exit_group, 121);
}

/* Say something and sleep until the answer.

   Signals wait until the task is let go on: a handler is a part of its own task, and runs when that may run. */
static struct answer ask(struct note *note, const char *text, int *descriptor)
{
    struct answer answer = { .code = 'g', .now = now };
    int saved = errno, state;
    sigset_t all, before;
    size_t length = offsetof(struct note, text), past = offsetof(struct note, text);

    if (self == NULL || !self->alive)
        return answer;
    if (text != NULL) {
        size_t size = strnlen(text, sizeof note->text);
        for (size_t i = 0; i < size; i++)
            note->text[i] = text[i];
        length += size;
        note->kind |= (uint16_t) (size << 8);
    }
    note->result = result;
    result = 0;
    sigfillset(&all);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct iovec pieces[BACKLOG + 1];
    for (unsigned i = 0; i < behind; i++)
        pieces[i] = (struct iovec) { &backlog[i], past };
    pieces[behind] = (struct iovec) { note, length };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = behind + 1 };
    if (sendmsg(self->socket, &message, MSG_NOSIGNAL) != (ssize_t) (behind * past + length))
        give_up();
    behind = 0;
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec vector = { &answer, sizeof answer };
    message = (struct msghdr) {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
    };
    ssize_t got;
    while ((got = recvmsg(self->socket, &message, MSG_CMSG_CLOEXEC)) == -1 && errno == EINTR)
        ;
    if (got != sizeof answer)
        give_up();
    if (descriptor != NULL) {
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *descriptor = header != NULL && header->cmsg_type == SCM_RIGHTS ? *(int *) CMSG_DATA(header) : -1;
    }
    now = answer.now;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(state, NULL);
    errno = saved;
    return answer;
}

static struct answer say(char operation, int flags, enum kind kind, uint64_t thing, int64_t number, uintptr_t place)
{
    struct note note = {
        .operation = operation, .flags = flags, .kind = kind, .thing = thing, .number = number, .place = place,
        .other = caller(),
    };
    return ask(&note, NULL, NULL);
}

/* Tell with the next question. */
static void later(char operation, int flags, enum kind kind, uint64_t thing, uintptr_t place)
{
    if (self == NULL || !self->alive)
        return;
    if (behind == BACKLOG)
        say('.', 0, 0, 0, 0, 0);
    backlog[behind] = (struct note) {
        .operation = operation, .flags = flags, .kind = kind, .thing = thing, .place = place, .result = result,
        .other = caller(),
    };
    behind++;
    result = 0;
}

static void unmodelled(const char *what, uintptr_t place)
{
    struct note note = { .operation = '!', .place = place };
    ask(&note, what, NULL);
}

/* Descriptors that the student may not close: a program closes 3 and all that follow, and means no harm. */
static bool ours(int descriptor)
{
    for (int i = 0; i < known; i++)
        if (tasks[i].alive && tasks[i].socket == descriptor)
            return true;
    return false;
}

/* Where programs that close all descriptors, or count on the lowest free ones, do not come. */
static int move_high(int descriptor)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int from = limit.rlim_cur > 1024 ? 900 : (int) limit.rlim_cur - 72;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, from < 16 ? 16 : from);
    if (moved == -1)
        return descriptor;
    __real_close(descriptor);
    return moved;
}

static struct task *enter(int socket, unsigned number)
{
    struct task *task = NULL;
    for (int i = 0; i < known && task == NULL; i++)
        if (tasks[i].socket == -1)
            task = &tasks[i];
    if (task == NULL && known < TASKS)
        task = &tasks[known++];
    if (task == NULL)
        return NULL;
    *task = (struct task) { .alive = true, .socket = move_high(socket), .number = number };
    living++;
    return task;
}

/* ------------------------------------------------------------------ memory: whose is it */

static struct region { uintptr_t start, end; uint64_t offset, inode; } regions[REGIONS];
static int region_count;
static bool regions_stale = true;

static uint64_t number_at(const char **text, int base)
{
    char *end;
    uint64_t value = strtoull(*text, &end, base);
    *text = *end != '\0' ? end + 1 : end;
    return value;
}

/* Memory that processes share, from /proc/self/maps: an access there is the same thing for all of them, at
   whatever address each has it. */
static void read_regions(void)
{
    static char text[65536];
    size_t length = 0;
    ssize_t got;
    int saved = errno, file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    region_count = 0;
    regions_stale = false;
    if (file == -1)
        return;
    while (length < sizeof text - 1 && (got = __real_read(file, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t) got;
    __real_close(file);
    text[length] = '\0';
    for (const char *line = text; *line != '\0' && region_count < REGIONS;) {
        const char *at = line;
        struct region region = { 0 };
        region.start = number_at(&at, 16);
        region.end = number_at(&at, 16);
        bool shared = strnlen(at, 5) == 5 && at[3] == 's';
        if (shared) {
            at += 5;
            region.offset = number_at(&at, 16);
            number_at(&at, 16);
            number_at(&at, 16);
            region.inode = number_at(&at, 10);
            regions[region_count++] = region;
        }
        while (*line != '\0' && *line++ != '\n')
            ;
    }
    errno = saved;
}

static const struct region *shared_at(uintptr_t address)
{
    if (regions_stale)
        read_regions();
    for (int i = 0; i < region_count; i++)
        if (address >= regions[i].start && address < regions[i].end)
            return &regions[i];
    return NULL;
}

/* The name of an address that all who can reach the memory agree on. */
static uint64_t thing_at(const void *pointer, int *flags)
{
    uintptr_t address = (uintptr_t) pointer;
    const struct region *region = shared_at(address);
    if (region == NULL)
        return address;
    *flags |= GLOBAL;
    return (uint64_t) 1 << 63 | (region->inode & 0x7ffffff) << 36 | ((address - region->start + region->offset) & 0xfffffffff);
}

/* Pieces of the heap that one thread has made while others ran, and no other thread has touched yet. As long as
   that is so, nobody else can tell when they are accessed. */
static struct block { uintptr_t start, end; struct task *owner; } blocks[BLOCKS];
static int block_count;

static bool own_block(uintptr_t address)
{
    for (int i = 0; i < block_count; i++)
        if (address >= blocks[i].start && address < blocks[i].end) {
            if (blocks[i].owner == self)
                return true;
            blocks[i] = blocks[--block_count];      /* from now on it is shared */
            return false;
        }
    return false;
}

static void *note_block(void *start, size_t size)
{
    if (start != NULL && self != NULL && self->alive && living > 1 && block_count < BLOCKS)
        blocks[block_count++] = (struct block) { (uintptr_t) start, (uintptr_t) start + size, self };
    return start;
}

static void forget_block(void *start)
{
    for (int i = 0; i < block_count; i++)
        if (blocks[i].start == (uintptr_t) start)
            blocks[i--] = blocks[--block_count];
}

/* Variables on a thread's stack that another thread has touched: from then on their owner's accesses count too. */
static uintptr_t escaped[ESCAPED];
static int escaped_count;

static void note_escape(uintptr_t address)
{
    for (int i = 0; i < known; i++)
        if (&tasks[i] != self && tasks[i].alive && address >= tasks[i].low && address < tasks[i].high) {
            size_t slot = (address >> 3) % ESCAPED;
            while (escaped[slot] != 0 && escaped[slot] != address >> 3)
                slot = (slot + 1) % ESCAPED;
            if (escaped[slot] == 0 && escaped_count < ESCAPED / 2) {
                escaped[slot] = address >> 3;
                escaped_count++;
            }
            return;
        }
}

static bool has_escaped(uintptr_t address)
{
    if (escaped_count == 0)
        return false;
    for (size_t slot = (address >> 3) % ESCAPED; escaped[slot] != 0; slot = (slot + 1) % ESCAPED)
        if (escaped[slot] == address >> 3)
            return true;
    return false;
}

/* Constants, and the C library's variables that the linker has copied into the program. */
static bool uninteresting(uintptr_t address)
{
    extern char __executable_start[], __data_start[];
    if (address >= (uintptr_t) __executable_start && address < (uintptr_t) __data_start)
        return true;
    return (address >= (uintptr_t) &stdin && address < (uintptr_t) (&stdin + 1))
        || (address >= (uintptr_t) &stdout && address < (uintptr_t) (&stdout + 1))
        || (address >= (uintptr_t) &stderr && address < (uintptr_t) (&stderr + 1))
        || (address >= (uintptr_t) &environ && address < (uintptr_t) (&environ + 1));
}

/* What has been written since there is more than one task. As long as nobody writes it, it does not matter when
   something is read, and such a read is no point: constants, arguments, what was made ready beforehand. All
   processes of a run share this table; the server empties it. */
enum { WRITTEN = 4096, GRANULE = 8, MOST_GRANULES = 64, UNSEEN_LOOKS = 16 };
static struct written {
    bool full;                  /* then everything counts as written */
    unsigned count;
    uint64_t things[WRITTEN];
} *written;
static __thread unsigned looks; /* reads without a point since the last one: a loop may do nothing else */
static bool telling;            /* a story is wanted: such reads are told with the next question */

static uint64_t granule_of(uint64_t thing, int where)
{
    uint64_t key = thing / GRANULE;
    return (where & GLOBAL ? key : key ^ (uint64_t) (process + 1) << 48) | 1;
}

static bool find_written(uint64_t key, bool enter)
{
    size_t slot = key * 0x9e3779b97f4a7c15 >> 52;
    while (written->things[slot] != 0 && written->things[slot] != key)
        slot = (slot + 1) % WRITTEN;
    if (written->things[slot] == key)
        return true;
    if (enter) {
        written->things[slot] = key;
        written->full |= ++written->count > WRITTEN / 2;
    }
    return false;
}

static bool is_written(uint64_t thing, size_t size, int where, bool enter)
{
    if (written->full)
        return true;
    uint64_t last = thing + (size > 0 ? size - 1 : 0);
    if (last / GRANULE - thing / GRANULE > MOST_GRANULES) {
        written->full |= enter;
        return true;
    }
    bool found = false;
    for (uint64_t at = thing; at / GRANULE <= last / GRANULE; at += GRANULE)
        found |= find_written(granule_of(at, where), enter);
    return found;
}

/* Before memory is read or written. Whether there was a point. */
static bool access_to(const volatile void *pointer, size_t size, int flags, uintptr_t place)
{
    uintptr_t address = (uintptr_t) pointer, thread = (uintptr_t) __builtin_thread_pointer();
    if (self == NULL || !self->alive || (living < 2 && !forked) || size == 0)
        return false;
    if (address >= thread - 8192 && address < thread + 4096)
        return false;           /* thread-local variables and errno lie round the thread pointer */
    if (address >= self->low && address < self->high && !has_escaped(address))
        return false;
    int where = 0;
    uint64_t thing = thing_at((const void *) address, &where);
    if (!(where & GLOBAL)) {
        if (living < 2 || uninteresting(address) || own_block(address))
            return false;
        note_escape(address);
    } else if (!forked && living < 2) {
        return false;
    }
    if (flags & WRITES) {
        is_written(thing, size, where, true);
    } else if (!is_written(thing, size, where, false) && looks++ < UNSEEN_LOOKS) {
        if (telling)
            later('R', where, MEMORY, thing, place);
        return false;
    }
    looks = 0;
    say(flags & WRITES ? 'w' : 'r', flags | where, MEMORY, thing, 0, place);
    return true;
}

/* ------------------------------------------------------------------ what the compiler calls */

EXPORT void __tsan_init(void) {}
EXPORT void __tsan_func_entry(void *caller)
{
    if (depth < DEPTH)
        callers[depth] = (uintptr_t) caller;
    depth++;
}
EXPORT void __tsan_func_exit(void) { depth--; }

#define ACCESS(name) \
    EXPORT void __tsan_read##name(void *at) { access_to(at, name, 0, HERE); } \
    EXPORT void __tsan_write##name(void *at) { access_to(at, name, WRITES, HERE); } \
    EXPORT void __tsan_volatile_read##name(void *at) { access_to(at, name, 0, HERE); } \
    EXPORT void __tsan_volatile_write##name(void *at) { access_to(at, name, WRITES, HERE); } \
    EXPORT void __tsan_unaligned_read##name(void *at) { access_to(at, name, 0, HERE); } \
    EXPORT void __tsan_unaligned_write##name(void *at) { access_to(at, name, WRITES, HERE); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)

EXPORT void __tsan_read_range(void *at, unsigned long size) { access_to(at, size, 0, HERE); }
EXPORT void __tsan_write_range(void *at, unsigned long size) { access_to(at, size, WRITES, HERE); }
EXPORT void __tsan_vptr_update(void **at, void *value) { (void) value; access_to(at, sizeof *at, WRITES, HERE); }
EXPORT void __tsan_vptr_read(void **at) { access_to(at, sizeof *at, 0, HERE); }
EXPORT void __tsan_atomic_thread_fence(int order) { (void) order; __atomic_thread_fence(__ATOMIC_SEQ_CST); }
EXPORT void __tsan_atomic_signal_fence(int order) { (void) order; }

/* One task runs at a time and each step is seen by all that follow, so every order is sequential consistency.
   The result tells the grader whether the value changed: an exchange that changes nothing is a look. */
#define CHANGE(bits, type, name, expression) \
    EXPORT type __tsan_atomic##bits##_##name(volatile type *at, type value, int order) \
    { \
        (void) order; \
        bool point = access_to(at, sizeof *at, WRITES, HERE); \
        type old = *at; \
        *at = (type) (expression); \
        if (point) \
            result = *at == old; \
        return old; \
    }
#define ATOMIC(bits, type) \
    EXPORT type __tsan_atomic##bits##_load(const volatile type *at, int order) \
    { \
        (void) order; \
        access_to(at, sizeof *at, 0, HERE); \
        return *at; \
    } \
    EXPORT void __tsan_atomic##bits##_store(volatile type *at, type value, int order) \
    { \
        (void) order; \
        access_to(at, sizeof *at, WRITES, HERE); \
        *at = value; \
    } \
    CHANGE(bits, type, exchange, value) \
    CHANGE(bits, type, fetch_add, old + value) \
    CHANGE(bits, type, fetch_sub, old - value) \
    CHANGE(bits, type, fetch_and, old & value) \
    CHANGE(bits, type, fetch_or, old | value) \
    CHANGE(bits, type, fetch_xor, old ^ value) \
    CHANGE(bits, type, fetch_nand, ~(old & value)) \
    static type compare##bits(volatile type *at, type expected, type value, uintptr_t place) \
    { \
        bool point = access_to(at, sizeof *at, WRITES, place); \
        type old = *at; \
        if (old == expected) \
            *at = value; \
        if (point) \
            result = *at == old; \
        return old; \
    } \
    EXPORT type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected, type value, int o, int f) \
    { \
        (void) o, (void) f; \
        return compare##bits(at, expected, value, HERE); \
    } \
    EXPORT int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected, type value, int o, int f) \
    { \
        (void) o, (void) f; \
        type old = compare##bits(at, *expected, value, HERE); \
        bool equal = old == *expected; \
        *expected = old; \
        return equal; \
    } \
    EXPORT int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected, type value, int o, int f) \
    { \
        (void) o, (void) f; \
        type old = compare##bits(at, *expected, value, HERE); \
        bool equal = old == *expected; \
        *expected = old; \
        return equal; \
    }
ATOMIC(8, uint8_t) ATOMIC(16, uint16_t) ATOMIC(32, uint32_t) ATOMIC(64, uint64_t)
#ifdef __SIZEOF_INT128__
ATOMIC(128, unsigned __int128)
#endif

/* Whole objects, which the library would copy without a word. */
WRAP(void *, memcpy, (void *to, const void *from, size_t size))
{
    access_to(from, size, 0, HERE);
    access_to(to, size, WRITES, HERE);
    return __real_memcpy(to, from, size);
}

WRAP(void *, memmove, (void *to, const void *from, size_t size))
{
    access_to(from, size, 0, HERE);
    access_to(to, size, WRITES, HERE);
    return __real_memmove(to, from, size);
}

WRAP(void *, memset, (void *to, int value, size_t size))
{
    access_to(to, size, WRITES, HERE);
    return __real_memset(to, value, size);
}

WRAP(char *, strcpy, (char *to, const char *from))
{
    access_to(from, strlen(from) + 1, 0, HERE);
    access_to(to, strlen(from) + 1, WRITES, HERE);
    return __real_strcpy(to, from);
}

WRAP(char *, strncpy, (char *to, const char *from, size_t size))
{
    access_to(from, strnlen(from, size), 0, HERE);
    access_to(to, size, WRITES, HERE);
    return __real_strncpy(to, from, size);
}

WRAP(void *, malloc, (size_t size)) { return note_block(__real_malloc(size), size); }
WRAP(void *, calloc, (size_t count, size_t size)) { return note_block(__real_calloc(count, size), count * size); }

WRAP(void *, realloc, (void *old, size_t size))
{
    forget_block(old);
    return note_block(__real_realloc(old, size), size);
}

WRAP(void, free, (void *start))
{
    forget_block(start);
    __real_free(start);
}

/* Whatever maps memory may make some of it shared. */
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int file, off_t offset))
{
    regions_stale = true;
    return __real_mmap(at, size, protection, flags, file, offset);
}

WRAP(void *, mmap64, (void *at, size_t size, int protection, int flags, int file, off64_t offset))
{
    regions_stale = true;
    return __real_mmap64(at, size, protection, flags, file, offset);
}

WRAP(int, munmap, (void *at, size_t size))
{
    regions_stale = true;
    return __real_munmap(at, size);
}

WRAP(void *, shmat, (int id, const void *at, int flags))
{
    regions_stale = true;
    return __real_shmat(id, at, flags);
}

WRAP(int, shmdt, (const void *at))
{
    regions_stale = true;
    return __real_shmdt(at);
}

/* ------------------------------------------------------------------ time, which is the grader's */

static const int64_t SECOND = 1000000000, REAL = 1767225600, SINCE_BOOT = 1000;

static bool virtual(clockid_t clock)
{
    return clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID;
}

static bool real_time(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static int64_t read_clock(bool real)
{
    return (real ? REAL : SINCE_BOOT) * SECOND + now;
}

/* From a moment on one of the program's clocks to one of ours. Our clocks are so far apart that a moment tells
   which of them is meant: a condition may use either (pthread_condattr_setclock(3)). */
static int64_t deadline_at(const struct timespec *moment)
{
    bool real = moment->tv_sec > REAL / 2;
    int64_t at = moment->tv_sec * SECOND + moment->tv_nsec - read_clock(real) + now;
    return at < now ? now : at;
}

WRAP(int, clock_gettime, (clockid_t clock, struct timespec *time))
{
    if (self == NULL || !virtual(clock))
        return __real_clock_gettime(clock, time);
    say('l', 0, TIME, 0, 0, HERE);
    int64_t at = read_clock(real_time(clock));
    *time = (struct timespec) { at / SECOND, at % SECOND };
    return 0;
}

WRAP(int, timespec_get, (struct timespec *time, int base))
{
    if (self == NULL)
        return __real_timespec_get(time, base);
    say('l', 0, TIME, 0, 0, HERE);
    int64_t at = read_clock(true);
    *time = (struct timespec) { at / SECOND, at % SECOND };
    return base;
}

WRAP(int, gettimeofday, (struct timeval *time, void *zone))
{
    if (self == NULL)
        return __real_gettimeofday(time, zone);
    say('l', 0, TIME, 0, 0, HERE);
    int64_t at = read_clock(true);
    *time = (struct timeval) { at / SECOND, at % SECOND / 1000 };
    return 0;
}

WRAP(time_t, time, (time_t *where))
{
    if (self == NULL)
        return __real_time(where);
    say('l', 0, TIME, 0, 0, HERE);
    time_t at = (time_t) (read_clock(true) / SECOND);
    if (where != NULL)
        *where = at;
    return at;
}

static int64_t span(const struct timespec *time)
{
    return time->tv_sec > INT32_MAX ? INT32_MAX * SECOND : time->tv_sec * SECOND + time->tv_nsec;
}

static int handler_flags(int number);

/* Whether a wait that a signal has interrupted ends with EINTR. */
static bool ends_the_wait(struct answer answer)
{
    int flags = handler_flags((int) answer.value);
    return answer.code == 'i' && flags != -1 && !(flags & SA_RESTART);
}

static int sleep_until(int64_t until, uintptr_t place)
{
    for (;;) {
        pthread_testcancel();
        struct answer answer = say('z', 0, TIME, 0, until, place);
        pthread_testcancel();
        if (answer.code != 'i')
            return 0;
        if (handler_flags((int) answer.value) != -1)
            return EINTR;
    }
}

WRAP(int, nanosleep, (const struct timespec *time, struct timespec *left))
{
    if (self == NULL)
        return __real_nanosleep(time, left);
    int64_t until = now + span(time);
    int error = sleep_until(until, HERE);
    if (error == 0)
        return 0;
    if (left != NULL)
        *left = (struct timespec) { (until - now) / SECOND, (until - now) % SECOND };
    errno = error;
    return -1;
}

WRAP(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *time, struct timespec *left))
{
    if (self == NULL)
        return __real_clock_nanosleep(clock, flags, time, left);
    int64_t until = flags & TIMER_ABSTIME ? deadline_at(time) : now + span(time);
    return sleep_until(until, HERE);
}

WRAP(int, usleep, (useconds_t time))
{
    if (self == NULL)
        return __real_usleep(time);
    int error = sleep_until(now + time * (int64_t) 1000, HERE);
    errno = error != 0 ? error : errno;
    return error != 0 ? -1 : 0;
}

WRAP(unsigned, sleep, (unsigned time))
{
    if (self == NULL)
        return __real_sleep(time);
    int64_t until = now + time * SECOND;
    return sleep_until(until, HERE) == 0 ? 0 : (unsigned) ((until - now + SECOND - 1) / SECOND);
}

WRAP(int, thrd_sleep, (const struct timespec *time, struct timespec *left))
{
    (void) left;
    return sleep_until(now + span(time), HERE) == 0 ? 0 : -1;
}

/* Alarms go by the real clock. Whoever waits while one is set may be woken by it, so it is no deadlock. */
static void alarmed(void) { later('A', 0, TIME, 0, 0); }

WRAP(unsigned, alarm, (unsigned seconds)) { alarmed(); return __real_alarm(seconds); }
WRAP(useconds_t, ualarm, (useconds_t time, useconds_t period)) { alarmed(); return __real_ualarm(time, period); }
WRAP(int, setitimer, (int which, const struct itimerval *new, struct itimerval *old))
{
    alarmed();
    return __real_setitimer(which, new, old);
}
WRAP(int, timer_settime, (timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old))
{
    alarmed();
    return __real_timer_settime(timer, flags, new, old);
}
WRAP(int, timerfd_settime, (int timer, int flags, const struct itimerspec *new, struct itimerspec *old))
{
    alarmed();
    return __real_timerfd_settime(timer, flags, new, old);
}

WRAP(int, sched_yield, (void)) { say('z', 0, TIME, 0, now, HERE); return 0; }
WRAP(void, thrd_yield, (void)) { say('z', 0, TIME, 0, now, HERE); }

/* ------------------------------------------------------------------ locks and semaphores: tried, never waited for */

static const int64_t FOR_EVER = -1;

struct wanted {
    enum kind kind;
    uint64_t thing;
    int flags;
    int64_t deadline;
    uintptr_t place;
};

static struct wanted want(enum kind kind, const volatile void *object, int64_t deadline, uintptr_t place)
{
    struct wanted wanted = { .kind = kind, .flags = WRITES, .deadline = deadline, .place = place };
    wanted.thing = thing_at((const void *) object, &wanted.flags);
    return wanted;
}

static struct answer tell(char operation, struct wanted wanted)
{
    return say(operation, wanted.flags, wanted.kind, wanted.thing, wanted.deadline, wanted.place);
}

static void release(struct wanted wanted)
{
    later('u', wanted.flags, wanted.kind, wanted.thing, wanted.place);
}

/* The step before could not be done: sleep until it may be tried again. */
static char blocked(struct wanted wanted)
{
    bool cancellable = wanted.kind != LOCK && wanted.kind != ONCE;     /* pthreads(7) */
    if (cancellable)
        pthread_testcancel();
    struct answer answer = tell('b', wanted);
    if (cancellable)
        pthread_testcancel();
    return ends_the_wait(answer) ? 'e' : answer.code;
}

/* 0, or the error number of a lock that nobody can wait for. */
static int lock(pthread_mutex_t *mutex, int64_t deadline, uintptr_t place)
{
    struct wanted wanted = want(LOCK, mutex, deadline, place);
    tell('a', wanted);
    for (;;) {
        result = __real_pthread_mutex_trylock(mutex);
        if (result != EBUSY)
            return result;
#ifdef __GLIBC__
        if ((mutex->__data.__kind & 3) == PTHREAD_MUTEX_ERRORCHECK_NP && mutex->__data.__owner == (int) syscall(SYS_gettid))
            return result = EDEADLK;
#endif
        if (blocked(wanted) == 't')
            return ETIMEDOUT;
    }
}

static int try_lock(pthread_mutex_t *mutex, uintptr_t place)
{
    tell('t', want(LOCK, mutex, FOR_EVER, place));
    return result = __real_pthread_mutex_trylock(mutex);
}

static int unlock(pthread_mutex_t *mutex, uintptr_t place)
{
    release(want(LOCK, mutex, FOR_EVER, place));
    return result = __real_pthread_mutex_unlock(mutex);
}

WRAP(int, pthread_mutex_lock, (pthread_mutex_t *mutex)) { return lock(mutex, FOR_EVER, HERE); }
WRAP(int, pthread_mutex_trylock, (pthread_mutex_t *mutex)) { return try_lock(mutex, HERE); }
WRAP(int, pthread_mutex_unlock, (pthread_mutex_t *mutex)) { return unlock(mutex, HERE); }
WRAP(int, pthread_mutex_timedlock, (pthread_mutex_t *mutex, const struct timespec *time))
{
    return lock(mutex, deadline_at(time), HERE);
}

WRAP(int, pthread_mutex_clocklock, (pthread_mutex_t *mutex, clockid_t clock, const struct timespec *time))
{
    (void) clock;
    return lock(mutex, deadline_at(time), HERE);
}

#define SIMPLE_LOCK(name, type, attempt, busy, deadline, ...) \
    { \
        struct wanted wanted = want(LOCK, object, deadline, HERE); \
        tell('a', wanted); \
        for (;;) { \
            result = attempt(object); \
            if (result != busy) \
                return result; \
            if (blocked(wanted) == 't') \
                return ETIMEDOUT; \
        } \
    }

extern int __real_pthread_spin_trylock(pthread_spinlock_t *);
extern int __real_pthread_rwlock_tryrdlock(pthread_rwlock_t *);
extern int __real_pthread_rwlock_trywrlock(pthread_rwlock_t *);

WRAP(int, pthread_spin_lock, (pthread_spinlock_t *object))
    SIMPLE_LOCK(spin, pthread_spinlock_t, __real_pthread_spin_trylock, EBUSY, FOR_EVER)
WRAP(int, pthread_spin_trylock, (pthread_spinlock_t *object))
{
    tell('t', want(LOCK, object, FOR_EVER, HERE));
    return result = __real_pthread_spin_trylock(object);
}
WRAP(int, pthread_spin_unlock, (pthread_spinlock_t *object))
{
    release(want(LOCK, object, FOR_EVER, HERE));
    return result = __real_pthread_spin_unlock(object);
}

WRAP(int, pthread_rwlock_rdlock, (pthread_rwlock_t *object))
    SIMPLE_LOCK(read, pthread_rwlock_t, __real_pthread_rwlock_tryrdlock, EBUSY, FOR_EVER)
WRAP(int, pthread_rwlock_wrlock, (pthread_rwlock_t *object))
    SIMPLE_LOCK(write, pthread_rwlock_t, __real_pthread_rwlock_trywrlock, EBUSY, FOR_EVER)
WRAP(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t *object, const struct timespec *time))
    SIMPLE_LOCK(read, pthread_rwlock_t, __real_pthread_rwlock_tryrdlock, EBUSY, deadline_at(time))
WRAP(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t *object, const struct timespec *time))
    SIMPLE_LOCK(write, pthread_rwlock_t, __real_pthread_rwlock_trywrlock, EBUSY, deadline_at(time))
WRAP(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *object))
{
    tell('t', want(LOCK, object, FOR_EVER, HERE));
    return result = __real_pthread_rwlock_tryrdlock(object);
}
WRAP(int, pthread_rwlock_trywrlock, (pthread_rwlock_t *object))
{
    tell('t', want(LOCK, object, FOR_EVER, HERE));
    return result = __real_pthread_rwlock_trywrlock(object);
}
WRAP(int, pthread_rwlock_unlock, (pthread_rwlock_t *object))
{
    release(want(LOCK, object, FOR_EVER, HERE));
    return result = __real_pthread_rwlock_unlock(object);
}

extern int __real_sem_trywait(sem_t *);

static int wait_for_semaphore(sem_t *semaphore, int64_t deadline, uintptr_t place)
{
    struct wanted wanted = want(SEMAPHORE, semaphore, deadline, place);
    tell('a', wanted);
    for (;;) {
        result = __real_sem_trywait(semaphore);
        if (result == 0 || errno != EAGAIN)
            return result;
        char code = blocked(wanted);
        if (code == 't' || code == 'e') {
            result = -1;
            errno = code == 't' ? ETIMEDOUT : EINTR;
            return -1;
        }
    }
}

WRAP(int, sem_wait, (sem_t *semaphore)) { return wait_for_semaphore(semaphore, FOR_EVER, HERE); }
WRAP(int, sem_timedwait, (sem_t *semaphore, const struct timespec *time))
{
    return wait_for_semaphore(semaphore, deadline_at(time), HERE);
}
WRAP(int, sem_clockwait, (sem_t *semaphore, clockid_t clock, const struct timespec *time))
{
    (void) clock;
    return wait_for_semaphore(semaphore, deadline_at(time), HERE);
}
WRAP(int, sem_trywait, (sem_t *semaphore))
{
    tell('t', want(SEMAPHORE, semaphore, FOR_EVER, HERE));
    return result = __real_sem_trywait(semaphore);
}
WRAP(int, sem_post, (sem_t *semaphore))
{
    release(want(SEMAPHORE, semaphore, FOR_EVER, HERE));
    return result = __real_sem_post(semaphore);
}
WRAP(int, sem_getvalue, (sem_t *semaphore, int *value))
{
    struct wanted wanted = want(SEMAPHORE, semaphore, FOR_EVER, HERE);
    wanted.flags &= ~WRITES;
    tell('l', wanted);
    return __real_sem_getvalue(semaphore, value);
}

WRAP(sem_t *, sem_open, (const char *name, int flags, ...))
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    unsigned value = flags & O_CREAT ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    regions_stale = true;
    sem_t *semaphore = __real_sem_open(name, flags, mode, value);
    if (semaphore != SEM_FAILED) {
        struct note note = { .operation = 'N', .kind = SEMAPHORE, .place = HERE };
        int where = 0;
        note.thing = thing_at(semaphore, &where);
        note.flags = (uint8_t) where;
        ask(&note, name, NULL);
    }
    return semaphore;
}

/* ------------------------------------------------------------------ conditions and barriers: kept by the grader */

static int wait_for_condition(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline, uintptr_t place)
{
    struct wanted wanted = want(CONDITION, condition, deadline, place), mine = want(LOCK, mutex, FOR_EVER, place);
    struct note note = {
        .operation = 'c', .flags = wanted.flags | (mine.flags & GLOBAL ? OTHER_GLOBAL : 0), .kind = CONDITION, .thing = wanted.thing, .other = mine.thing,
        .number = deadline, .place = place,
    };
    pthread_testcancel();
    ask(&note, NULL, NULL);
    result = __real_pthread_mutex_unlock(mutex);
    if (result != 0)
        return result;
    struct answer answer;
    do {
        note.operation = 'C';
        answer = ask(&note, NULL, NULL);
    } while (answer.code == 'i');
    while ((result = __real_pthread_mutex_trylock(mutex)) == EBUSY)
        tell('b', mine);
    pthread_testcancel();
    return answer.code == 't' ? ETIMEDOUT : result;
}

WRAP(int, pthread_cond_wait, (pthread_cond_t *condition, pthread_mutex_t *mutex))
{
    return wait_for_condition(condition, mutex, FOR_EVER, HERE);
}
WRAP(int, pthread_cond_timedwait, (pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time))
{
    return wait_for_condition(condition, mutex, deadline_at(time), HERE);
}
WRAP(int, pthread_cond_clockwait, (pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock, const struct timespec *time))
{
    (void) clock;
    return wait_for_condition(c, m, deadline_at(time), HERE);
}
WRAP(int, pthread_cond_signal, (pthread_cond_t *condition))
{
    struct wanted wanted = want(CONDITION, condition, 1, HERE);
    tell('n', wanted);
    return 0;
}
WRAP(int, pthread_cond_broadcast, (pthread_cond_t *condition))
{
    struct wanted wanted = want(CONDITION, condition, 0, HERE);
    tell('n', wanted);
    return 0;
}

/* How many a barrier waits for, by its address; after a fork the child has its own copy of this table. */
static struct { const void *barrier; unsigned count; } barriers[64];

WRAP(int, pthread_barrier_init, (pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes, unsigned count))
{
    for (int i = 0; i < 64; i++)
        if (barriers[i].barrier == NULL || barriers[i].barrier == barrier) {
            barriers[i].barrier = barrier;
            barriers[i].count = count;
            break;
        }
    return __real_pthread_barrier_init(barrier, attributes, count);
}

WRAP(int, pthread_barrier_wait, (pthread_barrier_t *barrier))
{
    unsigned count = 0;
    for (int i = 0; i < 64 && count == 0; i++)
        if (barriers[i].barrier == barrier)
            count = barriers[i].count;
#ifdef __GLIBC__
    if (count == 0)             /* another process has made it: glibc keeps the number as the third word */
        count = ((const unsigned *) barrier)[2];
#endif
    struct wanted wanted = want(BARRIER, barrier, count, HERE);
    struct answer answer = tell('B', wanted);
    while (answer.code == 'i')
        answer = tell('B', wanted);
    return answer.value ? PTHREAD_BARRIER_SERIAL_THREAD : 0;
}

/* pthread_once(3) may run the student's code while others wait for it to end. */
static struct { pthread_once_t *control; bool done; } onces[64];

WRAP(int, pthread_once, (pthread_once_t *control, void (*routine)(void)))
{
    struct wanted wanted = want(ONCE, control, FOR_EVER, HERE);
    tell('a', wanted);
    for (int i = 0; i < 64; i++) {
        if (onces[i].control == control) {
            while (!onces[i].done) {
                result = EBUSY;
                blocked(wanted);
            }
            return 0;
        }
        if (onces[i].control == NULL) {
            onces[i].control = control;
            int error = __real_pthread_once(control, routine);
            release(wanted);
            onces[i].done = true;
            return error;
        }
    }
    return __real_pthread_once(control, routine);
}

/* C11's names for the same objects: glibc's are the POSIX ones underneath (threads.h). */
static int c11(int error)
{
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : error == EBUSY ? thrd_busy : thrd_error;
}

WRAP(int, mtx_lock, (mtx_t *mutex)) { return c11(lock((pthread_mutex_t *) mutex, FOR_EVER, HERE)); }
WRAP(int, mtx_trylock, (mtx_t *mutex)) { return c11(try_lock((pthread_mutex_t *) mutex, HERE)); }
WRAP(int, mtx_unlock, (mtx_t *mutex)) { return c11(unlock((pthread_mutex_t *) mutex, HERE)); }
WRAP(int, mtx_timedlock, (mtx_t *mutex, const struct timespec *time))
{
    return c11(lock((pthread_mutex_t *) mutex, deadline_at(time), HERE));
}
WRAP(int, cnd_wait, (cnd_t *condition, mtx_t *mutex))
{
    return c11(wait_for_condition((pthread_cond_t *) condition, (pthread_mutex_t *) mutex, FOR_EVER, HERE));
}
WRAP(int, cnd_timedwait, (cnd_t *condition, mtx_t *mutex, const struct timespec *time))
{
    return c11(wait_for_condition((pthread_cond_t *) condition, (pthread_mutex_t *) mutex, deadline_at(time), HERE));
}
WRAP(int, cnd_signal, (cnd_t *condition))
{
    tell('n', want(CONDITION, condition, 1, HERE));
    return thrd_success;
}
WRAP(int, cnd_broadcast, (cnd_t *condition))
{
    tell('n', want(CONDITION, condition, 0, HERE));
    return thrd_success;
}

/* ------------------------------------------------------------------ threads */

/* The numbers of all threads that this process has made, the latest last: the system gives a thread's id again
   once it was joined. */
enum { NUMBERS = 512 };
static struct { pthread_t thread; unsigned number; } numbers[NUMBERS];
static unsigned number_count;

static void note_number(pthread_t thread, unsigned number)
{
    numbers[number_count % NUMBERS].thread = thread;
    numbers[number_count++ % NUMBERS].number = number;
}

static unsigned number_of(pthread_t thread)
{
    for (unsigned i = number_count; i > 0 && number_count - i < NUMBERS; i--)
        if (numbers[(i - 1) % NUMBERS].thread == thread)
            return numbers[(i - 1) % NUMBERS].number;
    return UINT_MAX;
}

struct birth {
    void *(*start)(void *);
    void *argument;
    struct task *task;
};

static void find_stack(struct task *task)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &size);
        pthread_attr_destroy(&attributes);
    }
    task->low = (uintptr_t) low;
    task->high = (uintptr_t) low + size;
}

/* A thread is over: by return, pthread_exit or cancellation. What it does after this touches nothing shared. */
static void finish(void *unused)
{
    (void) unused;
    struct task *task = self;
    if (task == NULL || !task->alive)
        return;
    say('d', 0, 0, 0, 0, 0);
    task->alive = false;
    living--;
    int socket = task->socket;
    task->socket = -1;
    __real_close(socket);
}

static void *live(void *given)
{
    struct birth birth = *(struct birth *) given;
    void *value;
    __real_free(given);
    self = birth.task;
    find_stack(self);
    pthread_cleanup_push(finish, NULL);
    say('h', 0, 0, 0, 0, 0);
    value = birth.start(birth.argument);
    pthread_cleanup_pop(1);
    return value;
}

extern int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static int create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument, uintptr_t place)
{
    if (self == NULL || !self->alive) {
        return __real_pthread_create(thread, attributes, start, argument);
    }
    int socket = -1;
    struct note note = { .operation = 's', .place = place };
    struct answer answer = ask(&note, NULL, &socket);
    struct birth *birth = __real_malloc(sizeof *birth);
    struct task *task = socket != -1 ? enter(socket, answer.value) : NULL;
    if (birth == NULL || task == NULL)
        give_up();
    *birth = (struct birth) { start, argument, task };
    int error = __real_pthread_create(&task->thread, attributes, live, birth);
    if (error != 0) {
        task->alive = false;
        living--;
        __real_close(task->socket);
        task->socket = -1;
        __real_free(birth);
    } else {
        *thread = task->thread;
        note_number(task->thread, answer.value);
    }
    result = error;
    say('S', 0, 0, 0, error, place);
    return error;
}

WRAP(int, pthread_create, (pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument))
{
    return create(thread, attributes, start, argument, HERE);
}

static int join(pthread_t thread, void **value, int64_t deadline, int flags, uintptr_t place)
{
    extern int __real_pthread_join(pthread_t, void **);
    unsigned number = number_of(thread);
    if (self == NULL || !self->alive || number == UINT_MAX)
        return __real_pthread_join(thread, value);
    struct note note = { .operation = 'j', .flags = flags, .thing = number, .number = deadline, .place = place };
    struct answer answer;
    do {
        pthread_testcancel();
        answer = ask(&note, NULL, NULL);
        pthread_testcancel();
    } while (answer.code == 'i');
    if (answer.code == 't')
        return result = ETIMEDOUT;
    if (answer.code == 'n')
        return result = EBUSY;
    return result = __real_pthread_join(thread, value);     /* it is ending: the wait is short */
}

WRAP(int, pthread_join, (pthread_t thread, void **value)) { return join(thread, value, FOR_EVER, 0, HERE); }
WRAP(int, pthread_tryjoin_np, (pthread_t thread, void **value)) { return join(thread, value, FOR_EVER, NO_WAIT, HERE); }
WRAP(int, pthread_timedjoin_np, (pthread_t thread, void **value, const struct timespec *time))
{
    return join(thread, value, deadline_at(time), 0, HERE);
}

WRAP(void, pthread_exit, (void *value))
{
    if (self == &tasks[0])      /* the first thread has no `live` round it */
        finish(NULL);
    __real_pthread_exit(value);
}

WRAP(int, pthread_cancel, (pthread_t thread))
{
    unsigned number = number_of(thread);
    say('K', 0, 0, number, 0, HERE);
    return __real_pthread_cancel(thread);
}

WRAP(int, thrd_create, (thrd_t *thread, thrd_start_t start, void *argument))
{
    /* its result is an int, in a register that thrd_join takes it from again */
    return c11(create(thread, NULL, (void *(*)(void *)) (void (*)(void)) start, argument, HERE));
}

WRAP(int, thrd_join, (thrd_t thread, int *value))
{
    void *pointer = NULL;
    int error = join(thread, &pointer, FOR_EVER, 0, HERE);
    if (value != NULL)
        *value = (int) (intptr_t) pointer;
    return c11(error);
}

WRAP(void, thrd_exit, (int value))
{
    if (self == &tasks[0])
        finish(NULL);
    __real_pthread_exit((void *) (intptr_t) value);
}

/* ------------------------------------------------------------------ processes */

/* The one thread that a child has after fork(2). */
static void begin_process(int socket, unsigned number, uintptr_t low, uintptr_t high)
{
    for (int i = 0; i < known; i++)
        if (tasks[i].alive)
            __real_close(tasks[i].socket);
    known = living = 0;
    block_count = escaped_count = 0;
    number_count = 0;
    __real_memset(escaped, 0, sizeof escaped);  /* not memset: the linker redirects this file too */
    process = number;
    self = enter(socket, number);
    self->low = low;
    self->high = high;
    self->thread = pthread_self();
    note_number(self->thread, number);
    say('h', PROCESS, 0, 0, getpid(), 0);
}

static pid_t fork_here(uintptr_t place)
{
    if (self == NULL || !self->alive)
        return __real_fork();
    int socket = -1;
    struct note note = { .operation = 's', .flags = PROCESS, .place = place };
    struct answer answer = ask(&note, NULL, &socket);
    if (socket == -1)
        give_up();
    forked = true;
    uintptr_t low = self->low, high = self->high;
    pid_t child = __real_fork();
    if (child == 0) {
        begin_process(socket, answer.value, low, high);
        return 0;
    }
    int error = errno;
    __real_close(socket);
    result = child == -1;
    say('S', PROCESS, 0, 0, child, place);
    errno = error;
    return child;
}

WRAP(pid_t, fork, (void)) { return fork_here(HERE); }
WRAP(pid_t, vfork, (void)) { return fork_here(HERE); }

static pid_t wait_for_child(pid_t which, int *status, int options, struct rusage *usage, uintptr_t place)
{
    if (self == NULL || !self->alive)
        return __real_wait4(which, status, options, usage);
    for (;;) {
        int flags = PROCESS | (options & WNOHANG ? NO_WAIT : 0), local = 0;
        struct answer answer = say('j', flags, 0, (uint64_t) (int64_t) which, FOR_EVER, place);
        if (answer.code == 'n')
            return 0;
        pthread_testcancel();
        if (answer.code == 'i') {
            if (!ends_the_wait(answer))
                continue;
            errno = EINTR;
            return -1;
        }
        pid_t child = answer.code == 'e' ? __real_wait4(which, &local, options, usage)       /* the kernel says so */
                                         : __real_wait4((pid_t) answer.value, &local, options & ~WNOHANG, usage);
        if (status != NULL && child > 0)
            *status = local;
        result = child > 0 && WIFSIGNALED(local);
        return child;
    }
}

WRAP(pid_t, wait, (int *status)) { return wait_for_child(-1, status, 0, NULL, HERE); }
WRAP(pid_t, waitpid, (pid_t child, int *status, int options)) { return wait_for_child(child, status, options, NULL, HERE); }
WRAP(pid_t, wait3, (int *status, int options, struct rusage *usage)) { return wait_for_child(-1, status, options, usage, HERE); }
WRAP(pid_t, wait4, (pid_t child, int *status, int options, struct rusage *usage))
{
    return wait_for_child(child, status, options, usage, HERE);
}

WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options))
{
    if (self == NULL || !self->alive || !(options & WEXITED))
        return __real_waitid(type, id, info, options);
    pid_t which = type == P_PID ? (pid_t) id : -1;
    int flags = PROCESS | (options & WNOHANG ? NO_WAIT : 0);
    for (;;) {
        struct answer answer = say('j', flags, 0, (uint64_t) (int64_t) which, FOR_EVER, HERE);
        if (answer.code == 'n' || answer.code == 'e')
            return __real_waitid(type, id, info, options | WNOHANG);
        if (answer.code == 'i') {
            if (!ends_the_wait(answer))
                continue;
            errno = EINTR;
            return -1;
        }
        int outcome = __real_waitid(P_PID, (id_t) answer.value, info, options & ~WNOHANG);
        result = outcome == 0 && info != NULL && info->si_code != CLD_EXITED;
        return outcome;
    }
}

/* The last word of a process. Its output is flushed after this, and it is over when the grader sees its socket
   closed: so nothing that it did can be missing when another task goes on. */
static void last_word(int status)
{
    say('d', PROCESS, 0, 0, status, 0);
}

WRAP(void, _exit, (int status)) { last_word(status); __real__exit(status); }
WRAP(void, _Exit, (int status)) { last_word(status); __real__exit(status); }
WRAP(void, quick_exit, (int status)) { last_word(status); __real__exit(status); }

__attribute__((destructor(101))) static void at_exit(void)
{
    last_word(0);
}

#define START(what) unmodelled("starts another program (" what ")", HERE)
#define EXEC(what) unmodelled("replaces itself by another program (" what ")", HERE)

WRAP(int, execve, (const char *path, char *const argv[], char *const envp[]))
{
    EXEC("execve");
    return __real_execve(path, argv, envp);
}
WRAP(int, execv, (const char *path, char *const argv[])) { EXEC("execv"); return __real_execv(path, argv); }
WRAP(int, posix_spawn, (pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]))
{
    START("posix_spawn");
    return __real_posix_spawn(child, path, actions, attributes, argv, envp);
}
WRAP(int, posix_spawnp, (pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]))
{
    START("posix_spawnp");
    return __real_posix_spawnp(child, path, actions, attributes, argv, envp);
}
WRAP(FILE *, popen, (const char *command, const char *how)) { START("popen"); return __real_popen(command, how); }
WRAP(int, execvp, (const char *path, char *const argv[])) { EXEC("execvp"); return __real_execvp(path, argv); }
WRAP(int, execl, (const char *path, const char *first, ...)) { EXEC("execl"); (void) path, (void) first; return -1; }
WRAP(int, execlp, (const char *path, const char *first, ...)) { EXEC("execlp"); (void) path, (void) first; return -1; }

/* ------------------------------------------------------------------ signals */

static int installed[65];       /* 0, or the flags of a handler with HANDLER set */
enum { HANDLER = 1 << 30 };

static int handler_flags(int number)
{
    return number > 0 && number < 65 && installed[number] & HANDLER ? installed[number] : -1;
}

WRAP(int, sigaction, (int number, const struct sigaction *new, struct sigaction *old))
{
    int outcome = __real_sigaction(number, new, old);
    if (outcome == 0 && new != NULL && number > 0 && number < 65) {
        bool handled = new->sa_flags & SA_SIGINFO || (new->sa_handler != SIG_IGN && new->sa_handler != SIG_DFL);
        installed[number] = handled ? HANDLER | (new->sa_flags & SA_RESTART) : 0;
    }
    return outcome;
}

WRAP(sighandler_t, signal, (int number, sighandler_t handler))
{
    sighandler_t old = __real_signal(number, handler);
    if (old != SIG_ERR && number > 0 && number < 65)
        installed[number] = handler != SIG_IGN && handler != SIG_DFL ? HANDLER | SA_RESTART : 0;
    return old;
}

WRAP(int, kill, (pid_t to, int number))
{
    struct note note = {
        .operation = 'k', .flags = PROCESS, .place = HERE, .thing = (uint64_t) (int64_t) to, .number = number,
    };
    if (to == getpid() || number == 0)
        return __real_kill(to, number);
    ask(&note, NULL, NULL);
    return result = __real_kill(to, number);
}

WRAP(int, pthread_kill, (pthread_t thread, int number))
{
    unsigned to = number_of(thread);
    if (self != NULL && self->thread != thread && number != 0 && to != UINT_MAX) {
        struct note note = { .operation = 'k', .place = HERE, .thing = to, .number = number };
        ask(&note, NULL, NULL);
    }
    return __real_pthread_kill(thread, number);
}

/* ppoll(2) for no time at all lets every signal in that may come now, and says whether a handler ran. */
static int wait_for_signal(const sigset_t *mask, uintptr_t place)
{
    static const struct timespec at_once = { 0, 0 };
    struct wanted wanted = { .kind = SIGNALS, .deadline = FOR_EVER, .place = place };
    tell('a', wanted);
    while (ppoll(NULL, 0, &at_once, mask) == 0) {
        struct answer answer = tell('b', wanted);
        if (answer.code == 'i' && mask == NULL && handler_flags((int) answer.value) != -1)
            break;              /* it has run already, when `ask` let it in */
    }
    errno = EINTR;
    return -1;
}

WRAP(int, pause, (void))
{
    return self == NULL ? __real_pause() : wait_for_signal(NULL, HERE);
}
WRAP(int, sigsuspend, (const sigset_t *mask))
{
    return self == NULL ? __real_sigsuspend(mask) : wait_for_signal(mask, HERE);
}

static int take_signal(const sigset_t *set, siginfo_t *info, uintptr_t place)
{
    static const struct timespec at_once = { 0, 0 };
    struct wanted wanted = { .kind = SIGNALS, .deadline = FOR_EVER, .place = place };
    int number;
    tell('a', wanted);
    while ((number = sigtimedwait(set, info, &at_once)) == -1)
        tell('b', wanted);
    return number;
}

WRAP(int, sigwait, (const sigset_t *set, int *number))
{
    if (self == NULL)
        return __real_sigwait(set, number);
    *number = take_signal(set, NULL, HERE);
    return 0;
}
WRAP(int, sigwaitinfo, (const sigset_t *set, siginfo_t *info))
{
    return self == NULL ? __real_sigwaitinfo(set, info) : take_signal(set, info, HERE);
}

/* ------------------------------------------------------------------ descriptors that can make one wait */

/* A number for a pipe, FIFO or socket, the same for all who have it; 0 for what never waits. */
static uint64_t pipe_at(int descriptor)
{
    struct stat status;
    if (self == NULL || !self->alive || fstat(descriptor, &status) != 0)
        return 0;
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
        return 0;
    return status.st_ino != 0 ? status.st_ino : 1;
}

static bool waits(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    return flags != -1 && !(flags & O_NONBLOCK);
}

/* Sleep until the descriptor can be read or written; false if a signal ends the wait. */
static bool await(int descriptor, short events, struct wanted wanted)
{
    struct pollfd look = { descriptor, events, 0 };
    while (__real_poll(&look, 1, 0) == 0)
        if (blocked(wanted) == 'e') {
            errno = EINTR;
            return false;
        }
    return true;
}

WRAP(ssize_t, read, (int descriptor, void *data, size_t size))
{
    uint64_t thing = pipe_at(descriptor);
    if (thing == 0)
        return __real_read(descriptor, data, size);
    struct wanted wanted = { .kind = PIPE, .thing = thing, .flags = GLOBAL | WRITES, .deadline = FOR_EVER, .place = HERE };
    tell('V', wanted);
    if (waits(descriptor) && !await(descriptor, POLLIN, wanted))
        return -1;
    return __real_read(descriptor, data, size);
}

WRAP(ssize_t, write, (int descriptor, const void *data, size_t size))
{
    uint64_t thing = pipe_at(descriptor);
    if (thing == 0)
        return __real_write(descriptor, data, size);
    struct wanted wanted = { .kind = PIPE, .thing = thing, .flags = GLOBAL | WRITES, .deadline = FOR_EVER, .place = HERE };
    size_t done = 0;
    do {                        /* a pipe is writable when PIPE_BUF bytes go in, pipe(7) */
        size_t piece = size - done > PIPE_BUF ? PIPE_BUF : size - done;
        tell('v', wanted);
        if (waits(descriptor) && !await(descriptor, POLLOUT, wanted))
            return done > 0 ? (ssize_t) done : -1;
        ssize_t written = __real_write(descriptor, (const char *) data + done, piece);
        if (written <= 0)
            return done > 0 ? (ssize_t) done : written;
        done += (size_t) written;
    } while (done < size);
    return (ssize_t) done;
}

WRAP(int, poll, (struct pollfd *descriptors, nfds_t count, int timeout))
{
    if (self == NULL || !self->alive)
        return __real_poll(descriptors, count, timeout);
    struct wanted wanted = {
        .kind = PIPE, .thing = 0, .flags = GLOBAL, .place = HERE,
        .deadline = timeout < 0 ? FOR_EVER : now + timeout * (int64_t) 1000000,
    };
    tell('V', wanted);
    for (;;) {
        int ready = __real_poll(descriptors, count, 0);
        if (ready != 0 || timeout == 0)
            return ready;
        char code = blocked(wanted);
        if (code == 't')
            return 0;
        if (code == 'e') {
            errno = EINTR;
            return -1;
        }
    }
}

WRAP(int, select, (int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout))
{
    if (self == NULL || !self->alive)
        return __real_select(count, in, out, except, timeout);
    fd_set given[3];
    fd_set *sets[3] = { in, out, except };
    struct wanted wanted = {
        .kind = PIPE, .thing = 0, .flags = GLOBAL, .place = HERE,
        .deadline = timeout == NULL ? FOR_EVER : now + timeout->tv_sec * SECOND + timeout->tv_usec * 1000,
    };
    bool at_once = timeout != NULL && timeout->tv_sec == 0 && timeout->tv_usec == 0;
    for (int i = 0; i < 3; i++)
        if (sets[i] != NULL)
            given[i] = *sets[i];
    tell('V', wanted);
    for (;;) {
        struct timeval zero = { 0, 0 };
        for (int i = 0; i < 3; i++)
            if (sets[i] != NULL)
                *sets[i] = given[i];
        int ready = __real_select(count, in, out, except, &zero);
        if (ready != 0 || at_once)
            return ready;
        char code = blocked(wanted);
        if (code == 't')
            return 0;
        if (code == 'e') {
            errno = EINTR;
            return -1;
        }
    }
}

/* The end of a pipe's last writer is news for its readers. */
static void told_closed(int descriptor)
{
    uint64_t thing = pipe_at(descriptor);
    if (thing != 0)
        later('p', GLOBAL | WRITES, PIPE, thing, 0);
}

static int close_one(int descriptor)
{
    if (ours(descriptor)) {
        errno = EBADF;
        return -1;
    }
    uint64_t thing = pipe_at(descriptor);
    int outcome = __real_close(descriptor);
    if (thing != 0)
        later('p', GLOBAL | WRITES, PIPE, thing, 0);
    return outcome;
}

WRAP(int, close, (int descriptor)) { return close_one(descriptor); }
WRAP(int, close_range, (unsigned first, unsigned last, int flags))
{
    if (flags != 0)
        return __real_close_range(first, last, flags);
    for (unsigned i = first; i <= last && i < 4096; i++)
        close_one((int) i);
    return 0;
}
WRAP(void, closefrom, (int first))
{
    for (int i = first; i < 4096; i++)
        close_one(i);
}
WRAP(int, dup2, (int from, int to))
{
    if (ours(to)) {
        errno = EBADF;
        return -1;
    }
    int outcome = __real_dup2(from, to);
    told_closed(to);
    return outcome;
}
WRAP(int, dup3, (int from, int to, int flags))
{
    if (ours(to)) {
        errno = EBADF;
        return -1;
    }
    return __real_dup3(from, to, flags);
}

WRAP(int, flock, (int descriptor, int how))
{
    struct stat status = { 0 };
    fstat(descriptor, &status);
    struct wanted wanted = {
        .kind = FILE_LOCK, .thing = status.st_ino, .flags = GLOBAL | WRITES, .deadline = FOR_EVER, .place = HERE,
    };
    if (how & LOCK_UN)
        release(wanted);
    else
        tell(how & LOCK_NB ? 't' : 'a', wanted);
    for (;;) {
        result = __real_flock(descriptor, how | LOCK_NB);
        if (result == 0 || errno != EWOULDBLOCK || how & (LOCK_NB | LOCK_UN))
            return result;
        if (blocked(wanted) == 'e') {
            errno = EINTR;
            return -1;
        }
    }
}

/* ------------------------------------------------------------------ System V */

static int operate(int set, struct sembuf *operations, size_t count, int64_t deadline, uintptr_t place)
{
    extern int __real_semop(int, struct sembuf *, size_t);
    struct wanted wanted = {
        .kind = SEMAPHORE_SET, .thing = (uint64_t) set, .flags = GLOBAL | WRITES, .deadline = deadline, .place = place,
    };
    struct sembuf mine[64];
    char operation = 'u';
    if (count == 0 || count > 64 || self == NULL || !self->alive)
        return __real_semop(set, operations, count);
    for (size_t i = 0; i < count; i++) {
        mine[i] = operations[i];
        if (operations[i].sem_op <= 0)
            operation = operations[i].sem_flg & IPC_NOWAIT ? 't' : 'a';
        mine[i].sem_flg |= IPC_NOWAIT;
    }
    if (operation == 'u')
        release(wanted);
    else
        tell(operation, wanted);
    for (;;) {
        result = __real_semop(set, mine, count);
        if (result == 0 || errno != EAGAIN || operation == 't')
            return result;
        char code = blocked(wanted);
        if (code == 't' || code == 'e') {
            errno = code == 't' ? EAGAIN : EINTR;
            return -1;
        }
    }
}

WRAP(int, semop, (int set, struct sembuf *operations, size_t count))
{
    return operate(set, operations, count, FOR_EVER, HERE);
}
WRAP(int, semtimedop, (int set, struct sembuf *operations, size_t count, const struct timespec *time))
{
    return operate(set, operations, count, time == NULL ? FOR_EVER : now + span(time), HERE);
}

/* Setting a value may let others go on, and so does taking the set away. */
WRAP(int, semctl, (int set, int number, int command, ...))
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (command == SETVAL || command == SETALL || command == IPC_RMID)
        later('u', GLOBAL | WRITES, SEMAPHORE_SET, (uint64_t) set, HERE);
    return __real_semctl(set, number, command, argument);
}

WRAP(int, msgsnd, (int queue, const void *message, size_t size, int flags))
{
    struct wanted wanted = {
        .kind = QUEUE, .thing = (uint64_t) queue, .flags = GLOBAL | WRITES, .deadline = FOR_EVER, .place = HERE,
    };
    tell('v', wanted);
    for (;;) {
        int outcome = __real_msgsnd(queue, message, size, flags | IPC_NOWAIT);
        if (outcome == 0 || errno != EAGAIN || flags & IPC_NOWAIT)
            return outcome;
        if (blocked(wanted) == 'e') {
            errno = EINTR;
            return -1;
        }
    }
}

WRAP(ssize_t, msgrcv, (int queue, void *message, size_t size, long type, int flags))
{
    struct wanted wanted = {
        .kind = QUEUE, .thing = (uint64_t) queue, .flags = GLOBAL | WRITES, .deadline = FOR_EVER, .place = HERE,
    };
    tell('V', wanted);
    for (;;) {
        ssize_t outcome = __real_msgrcv(queue, message, size, type, flags | IPC_NOWAIT);
        if (outcome != -1 || errno != ENOMSG || flags & IPC_NOWAIT)
            return outcome;
        if (blocked(wanted) == 'e') {
            errno = EINTR;
            return -1;
        }
    }
}

WRAP(int, msgctl, (int queue, int command, struct msqid_ds *data))
{
    if (command == IPC_RMID)
        say('v', GLOBAL | WRITES, QUEUE, (uint64_t) queue, 0, HERE);
    return __real_msgctl(queue, command, data);
}

/* ------------------------------------------------------------------ the fork server */

static struct original { char folder; char name[256]; struct stat status; } originals[256];
static int original_count;
enum { LARGEST_FILE = 2 << 20 }; /* a small set-up that writes more is ended, and tells so by what it wrote */
static bool touched;            /* a run has changed a file that was there before */

static char report[8192];
static size_t report_length;

static void left_behind(const char *kind, const char *name)
{
    int length = snprintf(report + report_length, sizeof report - report_length, "%s\t%s\n", kind, name);
    if (length > 0 && (size_t) length < sizeof report - report_length)
        report_length += (size_t) length;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void) status, (void) type, (void) walk;
    return remove(path);
}

static void remember_files(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL && original_count < 256) {
        struct original *original = &originals[original_count];
        original->folder = path[0];
        snprintf(original->name, sizeof original->name, "%s", entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0
            && fstatat(dirfd(folder), entry->d_name, &original->status, AT_SYMLINK_NOFOLLOW) == 0)
            original_count++;
    }
    if (folder != NULL)
        closedir(folder);
}

static bool was_there(const char *path, const char *name)
{
    for (int i = 0; i < original_count; i++)
        if (originals[i].folder == path[0] && strcmp(originals[i].name, name) == 0)
            return true;
    return false;
}

/* Empty a folder but for what was there at the start; say what it was if that has a kind. */
static void empty(const char *path, const char *kind)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char full[600], name[300];
        bool semaphore = kind != NULL && strncmp(entry->d_name, "sem.", 4) == 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0
            || (kind == NULL && was_there(path, entry->d_name)))
            continue;
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        snprintf(name, sizeof name, "/%s", entry->d_name + (semaphore ? 4 : 0));
        if (kind != NULL)
            left_behind(semaphore ? "POSIX semaphore" : kind, name);
        nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    if (folder != NULL)
        closedir(folder);
}

static void empty_table(const char *table, const char *kind)
{
    char line[512], path[64], name[64];
    snprintf(path, sizeof path, "/proc/sysvipc/%s", table);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        int key, id;
        if (sscanf(line, "%d %d", &key, &id) != 2)
            continue;
        snprintf(name, sizeof name, "id %d, key %#x", id, (unsigned) key);
        left_behind(kind, name);
        if (table[0] == 's' && table[1] == 'e')
            __real_semctl(id, 0, IPC_RMID);
        else if (table[0] == 's')
            shmctl(id, IPC_RMID, NULL);
        else
            __real_msgctl(id, IPC_RMID, NULL);
    }
    fclose(file);
}

/* The next run finds nothing of this one. */
static void clean(void)
{
    report_length = 0;
    empty("/dev/shm", "shared memory object");
    empty("/dev/mqueue", "POSIX message queue");
    empty_table("msg", "message queue");
    empty_table("sem", "semaphore set");
    empty_table("shm", "shared memory segment");
    empty("/tmp", NULL);
    empty(".", NULL);
    for (int i = 0; i < original_count; i++) {
        struct stat status;
        struct original *was = &originals[i];
        if (was->folder != '.')
            continue;
        if (lstat(was->name, &status) != 0 || status.st_ino != was->status.st_ino || status.st_size != was->status.st_size
            || memcmp(&status.st_mtim, &was->status.st_mtim, sizeof status.st_mtim) != 0)
            touched = true;
    }
}

static void refuse(const char *why)
{
    dprintf(2, "%s: %s\n", why, strerror(errno));
    give_up();
}

/* One run: the child comes back with the program's arguments, the server does not. */
static int serve(int control, int *argc, char ***argv)
{
    static char text[65536], *words[512];
    pid_t program = -1;
    for (;;) {
        union { struct cmsghdr header; char space[CMSG_SPACE(3 * sizeof(int))]; } rights;
        struct iovec vector = { text, sizeof text - 1 };
        struct msghdr message = {
            .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights,
        };
        ssize_t length;
        while ((length = recvmsg(control, &message, MSG_CMSG_CLOEXEC)) == -1 && errno == EINTR)
            ;
        if (length <= 0)
            give_up();
        text[length] = '\0';
        if (text[0] == 'R') {
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            if (header == NULL || header->cmsg_len < CMSG_LEN(3 * sizeof(int)))
                give_up();
            int given[3];
            memcpy(given, CMSG_DATA(header), sizeof given);
            __real_memset(written, 0, sizeof *written);
            program = __real_fork();
            if (program == 0) {
                int count = 1;
                words[0] = (*argv)[0];
                for (char *word = text + 2 + sizeof(int); word < text + length && count < 511; word += strlen(word) + 1)
                    words[count++] = word;
                words[count] = NULL;
                *argc = count;
                int cpu;
                __real_memcpy(&cpu, text + 2, sizeof cpu);
                telling = text[1];
                cpu_set_t one;
                CPU_ZERO(&one);
                if (cpu >= 0) {
                    CPU_SET(cpu, &one);
                    sched_setaffinity(0, sizeof one, &one);    /* the grader runs there too */
                }
                *argv = words;
                __real_close(control);
                struct rlimit largest = { LARGEST_FILE, LARGEST_FILE };
                setrlimit(RLIMIT_FSIZE, &largest);
                setsid();
                __real_dup2(given[1], 1);
                __real_dup2(given[2], 2);
                __real_close(given[1]);
                __real_close(given[2]);
                return given[0];
            }
            for (int i = 0; i < 3; i++)
                __real_close(given[i]);
        } else if (text[0] == 'E') {
            /* the program is over, or it is over now */
            int status = 0, one;
            if (text[1] == 'k')
                __real_kill(-1, SIGKILL);
            while (program > 0 && __real_waitpid(program, &status, 0) == -1 && errno == EINTR)
                ;
            __real_kill(-1, SIGKILL);
            while (__real_waitpid(-1, &one, 0) != -1 || errno == EINTR)
                ;
            clean();
            char head[64];
            int size = snprintf(head, sizeof head, "%d %d\n", status, touched);
            struct iovec parts[2] = { { head, (size_t) size }, { report, report_length } };
            struct msghdr answer = { .msg_iov = parts, .msg_iovlen = 2 };
            if (sendmsg(control, &answer, MSG_NOSIGNAL) == -1)
                give_up();
            program = -1;
        }
    }
}

/* Called in place of the student's main: `program CONTROL`, where CONTROL is the path of a socket to listen at. */
EXPORT int __wrap_main(int argc, char **argv, char **envp)
{
    int old = personality(0xffffffff);
    if (old != -1 && !(old & ADDR_NO_RANDOMIZE) && personality((unsigned) old | ADDR_NO_RANDOMIZE) != -1)
        __real_execve("/proc/self/exe", argv, envp);        /* addresses are the same in each sandbox */
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (argc != 2 || getpid() != 2)
        refuse("only for the grader");                      /* it kills everything but itself and process 1 */
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (listener == -1 || bind(listener, (struct sockaddr *) &address, sizeof address) == -1
        || chmod(argv[1], 0777) == -1 || listen(listener, 1) == -1)
        refuse("listen");
    written = __real_mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (written == MAP_FAILED)
        refuse("mmap");
    unsetenv("PYTHONPATH");     /* the sandbox's way to bring shims to Python */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct task first = { 0 };
    find_stack(&first);
    remember_files(".");
    remember_files("/tmp");
    __real_write(1, "ready\n", 6);
    int control = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (control == -1)
        refuse("accept");
    unlink(argv[1]);
    __real_close(listener);
    int socket = serve(control, &argc, &argv);
    begin_process(socket, 0, first.low, first.high);
    exit(__real_main(argc, argv, envp));
}
