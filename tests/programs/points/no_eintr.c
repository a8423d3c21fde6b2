/* Takes EINTR for the end of its input: the handler has no SA_RESTART. */
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
    while ((n = read(0, data, sizeof data)) > 0)
        total += n;
    printf("%ld\n", total);
    return 0;
}
