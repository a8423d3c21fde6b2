/* Unusual: the stages are waited for from the last to the first. Nothing is done about Ctrl-C at all: the terminal
   sends it to the whole group, and this program dies of it together with its stages.

   Still right: waiting makes nobody run. By the time of the first wait the parent holds no end of any pipe, so each
   stage ends for reasons of its own; one that has ended stays a zombie until its turn. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 4096

static void connect_end(int from, int to)
{
    if (from == to)
        fcntl(to, F_SETFD, 0);           /* dup2 to itself would leave close-on-exec set */
    else if (from >= 0)
        dup2(from, to);
}

int main(int argc, char *argv[])
{
    int begin[MOST], stages = 0, ok = argc > 1;
    if (argc > MOST)
        return 1;
    for (int i = 1, open = 1; i < argc; i++) {
        if (strcmp(argv[i], "|") == 0) {
            ok = ok && !open && i + 1 < argc;
            argv[i] = NULL;
            open = 1;
        } else if (open) {
            begin[stages++] = i;
            open = 0;
        }
    }
    if (!ok) {
        fprintf(stderr, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
        exit(2);
    }

    pid_t child[MOST];
    signal(SIGCHLD, SIG_DFL);
    int input = -1;
    for (int k = 0; k < stages; k++) {
        int p[2] = { -1, -1 };
        if (k + 1 < stages && pipe2(p, O_CLOEXEC) != 0) {
            perror("pipeline: pipe2");
            exit(1);
        }
        child[k] = fork();
        if (child[k] == -1) {
            perror("pipeline: fork");
            exit(1);
        }
        if (child[k] == 0) {
            char **command = argv + begin[k];
            connect_end(input, 0);
            connect_end(p[1], 1);
            sigset_t none;
            sigemptyset(&none);
            sigprocmask(SIG_SETMASK, &none, NULL);
            signal(SIGPIPE, SIG_DFL);
            execvp(command[0], command);
            int e = errno;
            dprintf(2, "pipeline: %s: %s\n", command[0], e == ENOENT ? "command not found" : strerror(e));
            _exit(e == ENOENT ? 127 : 126);
        }
        if (p[1] >= 0)
            close(p[1]);
        if (input >= 0)
            close(input);
        input = p[0];
    }

    int result = 0;
    for (int k = stages - 1; k >= 0; k--) {
        int status;
        waitpid(child[k], &status, 0);
        if (k == stages - 1)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return result;
}
