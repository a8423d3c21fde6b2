/* Radia: almost there, it just does not compile yet */
#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
    int fd[2];
    pipe(fd)
    if (fork() == 0) {
        dup2(fd[1], STDOUT_FILENO);
        close(fd[0]);
        close(fd[1]);
        execvp(argv[1], commands[0]);
    }
    close(fd[0]);
    close(fd[1]);
    wait(NULL);
    return 0;
}
