/* Unusual: the pipeline is set up by recursion, one call for each stage, and the waits happen on the way back,
   so the last stage is waited for first.

   Still right: only the main process recurses. Each call makes the pipe to the next stage, forks one child, closes
   what that child took, and calls itself for the rest; so every stage is a child of the one program, and all are
   running before the deepest call returns. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "pipeline: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char **after_bar(char **argv)
{
    while (*argv != NULL && strcmp(*argv, "|") != 0)
        argv++;
    return *argv == NULL ? NULL : argv + 1;
}

static int chain(char **argv, int in)
{
    char **rest = after_bar(argv);
    int ends[2] = { -1, -1 };
    if (rest != NULL && pipe(ends) == -1)
        die("pipe");

    pid_t pid = fork();
    if (pid == -1)
        die("fork");
    if (pid == 0) {
        if (rest != NULL) {
            rest[-1] = NULL;
            close(ends[0]);
        }
        if (in > 0) {
            dup2(in, 0);
            close(in);
        }
        if (ends[1] != -1 && ends[1] != 1) {
            dup2(ends[1], 1);
            close(ends[1]);
        }
        sigset_t none;
        sigemptyset(&none);
        signal(SIGINT, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(argv[0], argv);
        int status = errno == ENOENT ? 127 : 126;
        dprintf(2, "pipeline: %s: %s\n", argv[0], strerror(errno));
        _exit(status);
    }

    if (in != -1)
        close(in);
    if (ends[1] != -1)
        close(ends[1]);
    int last = rest == NULL ? -1 : chain(rest, ends[0]);

    int status;
    if (waitpid(pid, &status, 0) == -1)
        die("waitpid");
    if (last != -1)
        return last;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    char *previous = "|";
    for (int i = 1; i <= argc; i++) {
        char *word = i < argc ? argv[i] : "|";
        if (strcmp(word, "|") == 0 && strcmp(previous, "|") == 0) {
            fputs("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n", stderr);
            return 2;
        }
        previous = word;
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    return chain(argv + 1, -1);
}
