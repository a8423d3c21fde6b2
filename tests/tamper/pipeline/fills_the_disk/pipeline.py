# Tries: to fill every file system that it may write to, and then to use up the names.
import os

block = b"\0" * (1 << 20)
for folder in ("/tmp", ".", "/dev/shm", "/var/tmp", "/run", "/dev"):
    for count in range(4096):
        try:
            with open(f"{folder}/filler{count}", "wb", buffering=0) as filler:
                while True:
                    filler.write(block)
        except OSError as error:
            if count and error.errno != 27:  # EFBIG: this file is full, the disk is not
                break
    for count in range(100_000):
        try:
            os.mkdir(f"{folder}/d{count}")
        except OSError:
            break
