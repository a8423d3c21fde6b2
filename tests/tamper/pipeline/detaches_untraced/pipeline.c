// Tries: what Python cannot: a static constructor that detaches a deaf process with raw clone before main, untraced.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((constructor)) static void before_main(void)
{
    if (syscall(SYS_clone, CLONE_UNTRACED | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
        setsid();
        for (int number = 1; number < 65; number++)
            signal(number, SIG_IGN);
        for (;;)
            pause();
    }
}

int main(void)
{
    return 0;
}
