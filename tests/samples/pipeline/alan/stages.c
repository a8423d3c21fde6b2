#define _POSIX_C_SOURCE 200809L
#include "stages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void redirect(int from, int to)
{
    if (from == NONE || from == to)
        return;
    if (dup2(from, to) == -1)
        _exit(126);
    close(from);
}

pid_t start(char **argv, int in, int out, int unused)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;

    if (unused != NONE)
        close(unused);
    redirect(in, STDIN_FILENO);
    redirect(out, STDOUT_FILENO);

    struct sigaction standard = { .sa_handler = SIG_DFL };
    sigaction(SIGPIPE, &standard, NULL);
    sigaction(SIGINT, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    execvp(argv[0], argv);
    int reason = errno;
    dprintf(STDERR_FILENO, "pipeline: %s: %s\n", argv[0], strerror(reason));
    _exit(reason == ENOENT ? 127 : 126);
}

int reap(const pid_t *children, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++)
        if (waitpid(children[i], &status, 0) == -1)
            perror("pipeline: waitpid");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
