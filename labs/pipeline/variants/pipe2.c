/* Unusual: all pipes first, with pipe2(O_CLOEXEC); the children close nothing themselves; the parent closes the
   read ends from the right to the left and then the write ends from the left to the right.

   Still right: close-on-exec closes in each child what dup2 did not copy, and a copy made by dup2 does not have the
   flag. A stage sees its end-of-file when the parent is through, in whatever order. Standard descriptors that were
   closed are plugged with close-on-exec copies, so that no pipe is made there, and are closed again in the stages. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int usage(void)
{
    dprintf(2, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
    return 2;
}

static void fatal(const char *call)
{
    dprintf(2, "pipeline: %s: %s\n", call, strerror(errno));
    exit(1);
}

int main(int argc, char **argv)
{
    int n = 1;
    if (argc < 2 || strcmp(argv[1], "|") == 0 || strcmp(argv[argc - 1], "|") == 0)
        return usage();
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "|") == 0) {
            if (strcmp(argv[i + 1], "|") == 0)
                return usage();
            n++;
        }

    char **stage[n];
    stage[0] = argv + 1;
    for (int i = 1, s = 1; i < argc; i++)
        if (strcmp(argv[i], "|") == 0) {
            stage[s++] = argv + i + 1;
            argv[i] = NULL;
        }

    int plug;
    while ((plug = open("/dev/null", O_RDWR | O_CLOEXEC)) <= 2)
        if (plug == -1)
            fatal("/dev/null");
    close(plug);

    struct sigaction ignore = { .sa_handler = SIG_IGN }, standard = { .sa_handler = SIG_DFL }, interrupt;
    sigaction(SIGINT, &ignore, &interrupt);
    sigaction(SIGCHLD, &standard, NULL);

    int pipes[n][2];                     /* pipes[i] lies after stage i; the last stays unused */
    for (int i = 0; i < n - 1; i++)
        if (pipe2(pipes[i], O_CLOEXEC) == -1)
            fatal("pipe2");

    pid_t pids[n];
    for (int i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == -1)
            fatal("fork");
        if (pids[i] > 0)
            continue;
        if (i < n - 1 && dup2(pipes[i][1], STDOUT_FILENO) == -1)
            fatal("dup2");
        if (i > 0 && dup2(pipes[i - 1][0], STDIN_FILENO) == -1)
            fatal("dup2");
        sigset_t none;
        sigemptyset(&none);
        sigaction(SIGINT, &interrupt, NULL);
        sigaction(SIGPIPE, &standard, NULL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(*stage[i], stage[i]);
        int code = errno == ENOENT ? 127 : 126;
        dprintf(2, "pipeline: %s: %s\n", *stage[i], strerror(errno));
        _exit(code);
    }

    for (int i = n - 2; i >= 0; i--)
        close(pipes[i][0]);
    for (int i = 0; i < n - 1; i++)
        close(pipes[i][1]);

    int code = 0;
    for (int left = n; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);
        if (pid == -1)
            fatal("wait");
        if (pid == pids[n - 1])
            code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) + 128;
    }
    return code;
}
