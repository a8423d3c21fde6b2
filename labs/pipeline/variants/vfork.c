/* Unusual: vfork(2) instead of fork.

   Still right: between vfork and execvp the child shares our memory, so it only makes system calls and writes one
   variable that we read afterwards on purpose: the errno of a failed exec. It has descriptors, dispositions and a
   mask of its own. The parent sleeps until the child has executed or exited, so it can say what went wrong itself.
   Dispositions are put right in the parent before, for the parent never touches a pipe. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int exec_error;

static pid_t launch(char **argv, int in, int out, int unused)
{
    exec_error = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        if (unused != -1)
            close(unused);
        if (in != -1 && in != 0) {
            dup2(in, 0);
            close(in);
        }
        if (out != -1 && out != 1) {
            dup2(out, 1);
            close(out);
        }
        execvp(argv[0], argv);
        exec_error = errno;
        _exit(exec_error == ENOENT ? 127 : 126);
    }
    if (pid == -1)
        exec_error = errno;
    if (exec_error != 0)
        fprintf(stderr, "pipeline: %s: %s\n", argv[0], strerror(exec_error));
    return pid;
}

int main(int argc, char **argv)
{
    char ***stages = calloc(argc + 1, sizeof *stages);
    pid_t *pids = calloc(argc + 1, sizeof *pids);
    if (stages == NULL || pids == NULL)
        return 1;
    int count = 0, fresh = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "|") == 0) {
            if (fresh)
                count = -argc;
            argv[i] = NULL;
            fresh = 1;
        } else if (fresh) {
            if (count >= 0)
                stages[count++] = argv + i;
            fresh = 0;
        }
    }
    if (count <= 0 || fresh) {
        fprintf(stderr, "usage: %s CMD [ARG]... ['|' CMD [ARG]...]...\n", "pipeline");
        return 2;
    }

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);

    int in = -1;
    for (int i = 0; i < count; i++) {
        int ends[2] = { -1, -1 };
        if (i < count - 1 && pipe(ends) == -1) {
            perror("pipeline: pipe");
            return 1;
        }
        pids[i] = launch(stages[i], in, ends[1], ends[0]);
        if (in != -1)
            close(in);
        if (ends[1] != -1)
            close(ends[1]);
        in = ends[0];
    }

    signal(SIGINT, SIG_IGN);             /* only now, so that no stage inherits it; we stay to reap */
    int status = 0, result = 126;
    for (int i = 0; i < count; i++) {
        if (pids[i] == -1)
            continue;
        while (waitpid(pids[i], &status, 0) == -1)
            if (errno != EINTR)
                return 1;
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    free(stages);
    free(pids);
    return result;
}
