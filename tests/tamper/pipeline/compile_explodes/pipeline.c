// Tries: a compilation that doubles its work with each level: 2 to the power of 200 copies of its own text, and a
// macro that expands to 2 to the power of 30 words.
#if __INCLUDE_LEVEL__ < 199
#include __FILE__
#include __FILE__
#endif
#define A(x) x x x x x x x x
#define B(x) A(A(A(A(A(A(A(A(A(A(x))))))))))
static const char text[] = B("a");

int main(void)
{
    return 0;
}
