// Tries: a few lines that compile to a file of many gigabytes.
static char first[1L << 36] = { 1 };
static char second[1L << 36] = { 2 };

int main(void)
{
    return first[0] + second[0];
}
