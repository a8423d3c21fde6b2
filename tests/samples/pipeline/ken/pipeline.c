/* ken: pipeline.c */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int n = 0, fd[64][2];
    char **cmd[65];
    pid_t pid[65];

    cmd[n++] = argv + 1;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "|") == 0) {
            argv[i] = NULL;
            cmd[n++] = argv + i + 1;
        }
    for (int i = 0; i < n; i++)
        if (*cmd[i] == NULL) {
            fprintf(stderr, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
            return 2;
        }

    for (int i = 0; i < n - 1; i++)
        pipe(fd[i]);
    for (int i = 0; i < n; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            if (i > 0)
                dup2(fd[i - 1][0], 0);
            if (i < n - 1)
                dup2(fd[i][1], 1);
            for (int j = 0; j < n - 1; j++)
                close(fd[j][1]);         /* nobody may keep a write end */
            execvp(cmd[i][0], cmd[i]);
            fprintf(stderr, "pipeline: %s: %s\n", cmd[i][0], strerror(errno));
            _exit(errno == ENOENT ? 127 : 126);
        }
    }
    for (int j = 0; j < n - 1; j++)
        close(fd[j][1]);

    int st = 0;
    for (int i = 0; i < n; i++)
        waitpid(pid[i], &st, 0);
    return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}
