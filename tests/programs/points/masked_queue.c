/* Right: SIGUSR1 is blocked while main adds. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char slots[100];
static volatile int tail;

static void add(char word)
{
    int place = tail;
    slots[place] = word;
    tail = place + 1;
}

static void note(int number)
{
    (void) number;
    add('s');
}

int main(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    puts("ready");
    fflush(stdout);
    char letter;
    while (read(0, &letter, 1) > 0) {
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        add(letter);
        sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    }
    printf("%d\n", tail);
    return 0;
}
