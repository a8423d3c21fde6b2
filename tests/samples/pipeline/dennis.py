# first try, only two stages
import os, sys

args = sys.argv[1:]
i = args.index("|")
a, b = args[:i], args[i + 1:]
r, w = os.pipe()
if os.fork() == 0:
    os.dup2(w, 1)
    os.execvp(a[0], a)
if os.fork() == 0:
    os.dup2(r, 0)
    os.execvp(b[0], b)
os.close(r)
os.close(w)
os.wait()
os.wait()
