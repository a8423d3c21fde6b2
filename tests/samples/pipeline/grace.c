/* pipeline.c by Grace: all pipes close-on-exec, so exec does the closing in the children */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void place(int fd, int target)
{
    if (fd == target)
        fcntl(fd, F_SETFD, 0);
    else if (fd != -1)
        dup2(fd, target);
}

int main(int argc, char *argv[])
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "|") == 0 && (i == 1 || i == argc - 1 || strcmp(argv[i + 1], "|") == 0))
            bad = 1;
    if (bad) {
        fprintf(stderr, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
        return 2;
    }

    signal(SIGINT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    pid_t last = -1;
    int count = 0, from = -1;
    for (int i = 1; i < argc; i++) {
        char **cmd = &argv[i];
        while (i < argc && strcmp(argv[i], "|") != 0)
            i++;
        int more = i < argc, fd[2] = { -1, -1 };
        argv[i] = NULL;
        if (more && pipe2(fd, O_CLOEXEC) == -1) {
            perror("pipeline: pipe2");
            return 1;
        }
        last = fork();
        if (last == -1) {
            perror("pipeline: fork");
            return 1;
        }
        if (last == 0) {
            place(from, 0);
            place(fd[1], 1);
            sigset_t none;
            sigemptyset(&none);
            sigprocmask(SIG_SETMASK, &none, NULL);
            signal(SIGINT, SIG_DFL);
            signal(SIGPIPE, SIG_DFL);
            execvp(cmd[0], cmd);
            int e = errno;
            dprintf(2, "pipeline: %s: %s\n", cmd[0], strerror(e));
            _exit(e == ENOENT ? 127 : 126);
        }
        count++;
        if (from != -1)
            close(from);
        if (more)
            close(fd[1]);
        from = fd[0];
    }

    int result = 1;
    while (count-- > 0) {
        int status;
        pid_t pid = wait(&status);
        if (pid == last)
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return result;
}
