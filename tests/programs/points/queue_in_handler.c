/* The handler adds to a queue while main may be just adding: both take the same slot. */
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
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    puts("ready");
    fflush(stdout);
    char letter;
    while (read(0, &letter, 1) > 0)
        add(letter);
    printf("%d\n", tail);
    return 0;
}
