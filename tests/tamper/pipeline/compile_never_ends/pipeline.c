// Tries: a compilation that never ends and needs ever more memory.
#include "/dev/zero"

int main(void)
{
    return 0;
}
