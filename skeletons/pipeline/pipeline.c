/* pipeline.c

   Run commands side by side, each one's output flowing into the next: a shell's
   pipeline without the shell.

   Usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...

   Every command becomes a child of this process, all of them at the same time:

       our standard input -> stage 1 -> pipe -> ... -> stage N -> our standard output

   The parent makes one pipe after the other and never reads or writes any of them.
   At each moment it holds at most three ends: the read end that the next stage is
   going to use, and both ends of the newest pipe. It gives them away by fork(2) and
   closes its own copies at once, for an end-of-file comes only when *no* process
   holds the write end, and SIGPIPE only when none holds the read end.
*/
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NONE = -1 };                                /* no end: the first stage has no pipe before it */
enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126 };    /* what a shell reports */

/* Say what went wrong. dprintf(3) has no buffer that a child could inherit and print again. */
static void complain(const char *subject, const char *reason)
{
    dprintf(STDERR_FILENO, "pipeline: %s: %s\n", subject, reason);
}

/* For a call that cannot fail in a sane system: better no stage than a wrong one */
static void demand(bool succeeded, const char *call)
{
    if (!succeeded) {
        complain(call, strerror(errno));
        _exit(EXIT_FAILURE);
    }
}

/* Close an end of a pipe, where there is one */
static void close_end(int end)
{
    if (end != NONE)
        demand(close(end) == 0, "close");
}

/* Translate what waitpid(2) reports into the status that a shell would give */
static int exit_status(int wait_status)
{
    int status = EXIT_FAILURE;
    /* YOUR CODE HERE */
    fprintf(stderr, "pipeline.c: YOUR CODE HERE\n");
    exit(70);
    return status;
}

/* Make `end` the descriptor `target`, and nothing else */
static void move_end(int end, int target)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "pipeline.c: YOUR CODE HERE\n");
    exit(70);
}

/* In the child: read from `source`, write to `sink`, and turn into `command`. Never returns.
   Where an end is NONE, the stage keeps the standard input or output that it has. */
static void become(char **command, int source, int sink)
{
    /* YOUR CODE HERE */
    fprintf(stderr, "pipeline.c: YOUR CODE HERE\n");
    exit(70);
}

/* Run all stages at the same time, reap every one of them, and return the status of the last */
static int run(char ***stages, size_t count)
{
    int status = EXIT_FAILURE;
    /* YOUR CODE HERE */
    fprintf(stderr, "pipeline.c: YOUR CODE HERE\n");
    exit(70);
    return status;
}

int main(int argc, char **argv)
{
    /* Cut the command line at its bars, in place: each bar becomes the NULL that ends an argv. */
    char ***stages = calloc((size_t) argc + 1, sizeof *stages);
    demand(stages != NULL, "calloc");
    size_t count = 0;
    bool empty = argc < 2;
    for (int i = 1; i < argc; i++) {
        stages[count++] = &argv[i];
        int first = i;
        while (i < argc && strcmp(argv[i], "|") != 0)
            i++;
        if (i == first || i == argc - 1)    /* nothing before this bar, or nothing after it */
            empty = true;
        argv[i] = NULL;
    }
    if (empty) {
        dprintf(STDERR_FILENO, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
        free(stages);
        return 2;
    }
    int status = run(stages, count);
    free(stages);
    return status;
}
