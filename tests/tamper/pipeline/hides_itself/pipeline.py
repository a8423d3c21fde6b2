# Tries: to hide from the observer: not dumpable, so that /proc/self belongs to root; then waits for good.
import ctypes
import os
import sys

ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
read_end, write_end = os.pipe()
os.set_inheritable(write_end, True)
sys.stdout.write("hidden\n")
sys.stdout.flush()
os.read(read_end, 1)
