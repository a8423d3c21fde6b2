/* Unusual: nobody keeps a list of ends. The ends in use are duplicated above 9, each child copies its two down
   again, and close_range(2) closes everything above standard error, whatever it is.

   Still right: it closes more than it must, and never less. The parent keeps its one read end in a variable, and
   stages are spawned from a table. Status and reaping through waitid(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int result, const char *call)
{
    if (result == -1) {
        dprintf(2, "pipeline: %s: %s\n", call, strerror(errno));
        _exit(1);
    }
}

static int lift(int end)
{
    int high = fcntl(end, F_DUPFD, 10);
    check(high, "fcntl");
    check(close(end), "close");
    return high;
}

int main(int argc, char **argv)
{
    sigset_t keyboard, none;
    sigemptyset(&none);
    sigemptyset(&keyboard);
    sigaddset(&keyboard, SIGINT);

    int bars = 0;
    for (int i = 1; i <= argc; i++) {
        int here = i == argc || strcmp(argv[i], "|") == 0;
        int before = i == 1 || strcmp(argv[i - 1], "|") == 0;
        if (here && before) {
            dprintf(2, "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n");
            return 2;
        }
        bars += here;
    }

    check(sigprocmask(SIG_BLOCK, &keyboard, NULL), "sigprocmask");
    signal(SIGCHLD, SIG_DFL);
    pid_t last = 0;
    int input = -1, running = 0;
    char **next = argv + 1;
    while (bars-- > 0) {
        char **command = next;
        while (*next != NULL && strcmp(*next, "|") != 0)
            next++;
        *next++ = NULL;
        int ends[2] = { -1, -1 };
        if (bars > 0) {
            check(pipe(ends), "pipe");
            ends[0] = lift(ends[0]);
            ends[1] = lift(ends[1]);
        }
        last = fork();
        check(last, "fork");
        if (last == 0) {
            if (input != -1)
                check(dup2(input, 0), "dup2");
            if (ends[1] != -1)
                check(dup2(ends[1], 1), "dup2");
            check(close_range(3, ~0u, 0), "close_range");
            signal(SIGPIPE, SIG_DFL);
            check(sigprocmask(SIG_SETMASK, &none, NULL), "sigprocmask");
            execvp(*command, command);
            int status = errno == ENOENT ? 127 : 126;
            dprintf(2, "pipeline: %s: %s\n", *command, strerror(errno));
            _exit(status);
        }
        running++;
        if (input != -1)
            check(close(input), "close");
        if (ends[1] != -1)
            check(close(ends[1]), "close");
        input = ends[0];
    }

    int status = 0;
    while (running-- > 0) {
        siginfo_t info;
        check(waitid(P_ALL, 0, &info, WEXITED), "waitid");
        if (info.si_pid == last)
            status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    }
    return status;
}
