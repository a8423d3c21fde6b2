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
    // BEGIN SOLUTION
    if (WIFEXITED(wait_status))
        status = WEXITSTATUS(wait_status);
    else if (WIFSIGNALED(wait_status))
        status = 128 + WTERMSIG(wait_status);
    // END SOLUTION
    return status;
}

/* Make `end` the descriptor `target`, and nothing else */
static void move_end(int end, int target)
{
    // BEGIN SOLUTION
    if (end == NONE || end == target)    /* pipe(2) gives 0 or 1 if we were started without them: */
        return;                          /* already in place, and closing it would undo that */
    demand(dup2(end, target) == target, "dup2");
    close_end(end);                      /* its copy is what the command uses */
    // END SOLUTION
}

/* In the child: read from `source`, write to `sink`, and turn into `command`. Never returns.
   Where an end is NONE, the stage keeps the standard input or output that it has. */
static void become(char **command, int source, int sink)
{
    // BEGIN SOLUTION
    move_end(source, STDIN_FILENO);      /* first: `source` may be 1, and would be overwritten */
    move_end(sink, STDOUT_FILENO);

    struct sigaction fresh = { .sa_handler = SIG_DFL };
    demand(sigaction(SIGPIPE, &fresh, NULL) == 0, "sigaction");    /* ignored stays ignored over execve(2) */
    sigset_t nothing;
    sigemptyset(&nothing);
    demand(sigprocmask(SIG_SETMASK, &nothing, NULL) == 0, "sigprocmask");    /* the mask is kept too */

    execvp(command[0], command);
    int reason = errno;                  /* still here, so it failed */
    complain(command[0], strerror(reason));
    _exit(reason == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);    /* or we would be a second parent */
    // END SOLUTION
}

/* Run all stages at the same time, reap every one of them, and return the status of the last */
static int run(char ***stages, size_t count)
{
    int status = EXIT_FAILURE;
    // BEGIN SOLUTION
    /* The terminal sends Ctrl-C to all of us. What it means is for the stages to say; we stay to reap them. */
    sigset_t keyboard;
    sigemptyset(&keyboard);
    sigaddset(&keyboard, SIGINT);
    sigaddset(&keyboard, SIGQUIT);
    demand(sigprocmask(SIG_BLOCK, &keyboard, NULL) == 0, "sigprocmask");
    /* If SIGCHLD came ignored, nothing would be left to wait for, wait(2) */
    struct sigaction fresh = { .sa_handler = SIG_DFL };
    demand(sigaction(SIGCHLD, &fresh, NULL) == 0, "sigaction");

    pid_t *children = calloc(count, sizeof *children);
    demand(children != NULL, "calloc");
    size_t started = 0;
    int failure = 0;
    int source = NONE;                   /* read end of the pipe from the stage before */
    for (; started < count; started++) {
        int next[2] = { NONE, NONE };    /* the pipe to the stage after: read end, write end */
        if (started + 1 < count && pipe(next) == -1) {
            failure = errno;
            break;
        }
        pid_t child = fork();
        if (child == 0) {
            close_end(next[0]);          /* the next stage reads there; held here, `sink` would never break */
            become(stages[started], source, next[1]);
        }
        close_end(source);               /* this stage reads it now; held here, no writer would get SIGPIPE */
        close_end(next[1]);              /* this stage writes it; held here, the next sees no end-of-file */
        source = next[0];
        if (child == -1) {
            failure = errno;
            break;
        }
        children[started] = child;
    }
    close_end(source);                   /* only there after a failure: the stages that run come to their end */

    for (size_t i = 0; i < started; i++) {
        int wait_status;
        demand(waitpid(children[i], &wait_status, 0) == children[i], "waitpid");
        status = exit_status(wait_status);
    }
    if (failure != 0) {
        complain(stages[started][0], strerror(failure));
        status = EXIT_FAILURE;
    }
    free(children);
    // END SOLUTION
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
