/* Right: a read that a signal has interrupted is done again. */
#include <errno.h>
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
    char data[4096];
    long total = 0, n;
    while ((n = read(0, data, sizeof data)) != 0)
        if (n > 0)
            total += n;
        else if (errno != EINTR)
            return 1;
    printf("%ld\n", total);
    return 0;
}
