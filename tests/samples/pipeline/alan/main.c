#define _POSIX_C_SOURCE 200809L
#include "stages.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(void)
{
    fputs("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    pid_t *children = calloc((size_t) argc, sizeof *children);
    if (children == NULL)
        return 1;
    for (int i = 1; i <= argc; i++) {
        int end = i == argc || strcmp(argv[i], "|") == 0;
        if (end && (i == 1 || strcmp(argv[i - 1], "|") == 0))
            return usage();
    }

    struct sigaction ignore = { .sa_handler = SIG_IGN }, standard = { .sa_handler = SIG_DFL };
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGCHLD, &standard, NULL);
    size_t count = 0;
    int in = NONE;
    for (char **next = argv + 1; next <= argv + argc; count++) {
        char **command = next;
        while (*next != NULL && strcmp(*next, "|") != 0)
            next++;
        int ends[2] = { NONE, NONE };
        if (next < argv + argc && pipe(ends) == -1) {
            perror("pipeline: pipe");
            return 1;
        }
        *next++ = NULL;
        children[count] = start(command, in, ends[1], ends[0]);
        if (children[count] == -1) {
            perror("pipeline: fork");
            return 1;
        }
        if (in != NONE)
            close(in);
        if (ends[1] != NONE)
            close(ends[1]);
        in = ends[0];
    }
    int status = reap(children, count);
    free(children);
    return status;
}
