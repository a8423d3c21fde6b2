# Tries: to fill the grader's memory with output on both streams.
import os

line = b"All checks passed.\n" * 4096
while True:
    os.write(1, line)
    os.write(2, line)
