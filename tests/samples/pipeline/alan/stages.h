#include <stddef.h>
#include <sys/types.h>

enum { NONE = -1 };

/* Start `argv` with the two ends as its input and output; `unused` is closed in the child. */
pid_t start(char **argv, int in, int out, int unused);

/* Reap `count` children; the status of the last as a shell gives it. */
int reap(const pid_t *children, size_t count);
