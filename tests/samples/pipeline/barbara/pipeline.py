"""Barbara's pipeline"""

import subprocess
import sys

args = sys.argv[1:]
stages = [[]]
for a in args:
    if a == "|":
        stages.append([])
    else:
        stages[-1].append(a)
if [] in stages:
    sys.exit("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...")

procs = []
prev = None
for i, s in enumerate(stages):
    last = i == len(stages) - 1
    try:
        p = subprocess.Popen(s, stdin=prev, stdout=None if last else subprocess.PIPE)
    except FileNotFoundError as e:
        print(f"pipeline: {s[0]}: {e.strerror}", file=sys.stderr)
        sys.exit(127)
    if prev:
        prev.close()
    prev = p.stdout
    procs.append(p)
for p in procs:
    p.wait()
sys.exit(procs[-1].returncode)
