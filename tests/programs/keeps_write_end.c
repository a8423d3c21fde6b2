/* The parent keeps the write end: cat never sees end-of-file. */
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int fd[2];
    if (pipe(fd) == -1)
        return 1;
    if (fork() == 0) {
        dup2(fd[0], 0);
        close(fd[0]);
        close(fd[1]);
        execlp("cat", "cat", (char *) NULL);
        _exit(127);
    }
    close(fd[0]);
    wait(NULL);
    return 0;
}
