/* Waits for one SIGUSR1, and tests its flag before it pauses: a signal between the two is lost. */
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
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGUSR1, &action, NULL);
    puts("ready");
    fflush(stdout);
    while (!seen)
        pause();
    puts("seen");
    return 0;
}
