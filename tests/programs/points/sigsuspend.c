/* Right: SIGUSR1 is blocked but for the one call that tests for it and waits in one step. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t seen;

static void note(int number)
{
    (void) number;
    seen = 1;
}

int main(void)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGUSR1, &action, NULL);
    puts("ready");
    fflush(stdout);
    while (!seen)
        sigsuspend(&before);
    puts("seen");
    return 0;
}
