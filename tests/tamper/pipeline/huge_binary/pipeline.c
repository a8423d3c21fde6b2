// Tries: a few lines that compile to a file of a gigabyte.
char block[1L << 30] = { 1 };

int main(void)
{
    return block[0];
}
