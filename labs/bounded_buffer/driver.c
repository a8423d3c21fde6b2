/* Calls a student's bb_put, bb_get and bb_close as a script says, each script in a thread of its own, and tells what
   came of it. Usage, scripts and lines are those of driver.py; a call that fails with another errno than EPIPE tells

       a put 2 errno EINVAL
*/
#define _GNU_SOURCE    /* strerrorname_np */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bb;
struct bb *bb_create(unsigned capacity);
int bb_put(struct bb *buffer, long item);
int bb_get(struct bb *buffer, long *item);
void bb_close(struct bb *buffer);
void bb_destroy(struct bb *buffer);
int student_main(int argc, char **argv);

enum { MOST = 26 };

static struct bb *buffer;

/* The calls of one thread */
struct script {
    char name[16];
    char *calls;
};

/* One line in one write(2): lines of several threads never mix. */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    char line[200];
    va_list words;
    va_start(words, format);
    int length = vsnprintf(line, sizeof line - 1, format, words);
    va_end(words);
    line[length++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t) length) != length)
        _exit(EXIT_FAILURE);
}

/* What a call that failed has to say */
static const char *failure(char *text, size_t size)
{
    const char *name = strerrorname_np(errno);
    if (errno == EPIPE)
        return "closed";
    snprintf(text, size, "errno %s", name != NULL ? name : "0");
    return text;
}

static bool get(const char *name)
{
    char text[40];
    long item;
    errno = 0;
    if (bb_get(buffer, &item) == 0) {
        tell("%s get %ld", name, item);
        return true;
    }
    tell("%s get %s", name, failure(text, sizeof text));
    return false;
}

/* Make the calls one after the other. */
static void *run(void *argument)
{
    struct script *script = argument;
    const char *name = script->name;
    char *rest = NULL, text[40];
    for (char *call = strtok_r(script->calls, ",", &rest); call; call = strtok_r(NULL, ",", &rest)) {
        call += strspn(call, " ");
        if (strncmp(call, "put ", 4) == 0) {
            long item = strtol(call + 4, NULL, 10);
            errno = 0;
            if (bb_put(buffer, item) == 0)
                tell("%s put %ld", name, item);
            else
                tell("%s put %ld %s", name, item, failure(text, sizeof text));
        } else if (strncmp(call, "get", 3) == 0) {
            get(name);
        } else if (strncmp(call, "drain", 5) == 0) {
            while (get(name))
                ;
        } else if (strncmp(call, "close", 5) == 0) {
            bb_close(buffer);
            tell("%s close", name);
        } else {
            dprintf(STDERR_FILENO, "driver: no call '%s'\n", call);
            _exit(3);
        }
    }
    return NULL;
}

/* Phases of scripts: those of one phase run at the same time. One alone needs no thread. */
static void side_by_side(int count, char **words)
{
    struct script phase[MOST];
    pthread_t threads[MOST];
    int waiting = 0;
    char name = 'a';
    for (int i = 0; i <= count; i++) {
        if (i < count && strcmp(words[i], "--") != 0) {
            phase[waiting] = (struct script) { .name = { name++ }, .calls = words[i] };
            waiting++;
        } else {
            if (waiting == 1) {
                run(&phase[0]);
            } else {
                for (int j = 0; j < waiting; j++)
                    if (pthread_create(&threads[j], NULL, run, &phase[j]) != 0)
                        _exit(3);
                for (int j = 0; j < waiting; j++)
                    pthread_join(threads[j], NULL);
            }
            waiting = 0;
        }
    }
    bb_destroy(buffer);
}

/* Lines of standard input, each begun in a thread of its own as soon as it comes. */
static void as_told(void)
{
    char *line = NULL;
    size_t size = 0;
    tell("ready");
    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        struct script *script = calloc(1, sizeof *script);    /* its thread may live as long as we do */
        size_t length = strcspn(line, " ");
        pthread_t thread;
        if (script == NULL || length >= sizeof script->name || line[length] == '\0')
            _exit(3);
        memcpy(script->name, line, length);
        script->calls = strdup(line + length + 1);
        if (script->calls == NULL || pthread_create(&thread, NULL, run, script) != 0)
            _exit(3);
        pthread_detach(thread);
    }
    _exit(EXIT_SUCCESS);    /* whoever still waits is not waited for */
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 3;
    if (strcmp(argv[1], "--program") == 0)
        return student_main(argc - 1, &argv[1]);
    buffer = bb_create((unsigned) strtoul(argv[1], NULL, 10));
    if (buffer == NULL) {
        perror("bb_create");
        return EXIT_FAILURE;
    }
    if (argc > 2)
        side_by_side(argc - 2, &argv[2]);
    else
        as_told();
    return EXIT_SUCCESS;
}
