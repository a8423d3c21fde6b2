"""Edsger's pipeline. One stage after the other, so that nothing can get out of order."""

import os
import signal
import sys

stages = [[]]
for arg in sys.argv[1:]:
    if arg == "|":
        stages.append([])
    else:
        stages[-1].append(arg)
if not all(stages):
    print("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...", file=sys.stderr)
    sys.exit(2)

inp = None
for n, stage in enumerate(stages):
    if n < len(stages) - 1:
        r, w = os.pipe()
    else:
        r = w = None
    pid = os.fork()
    if pid == 0:
        if inp is not None:
            os.dup2(inp, 0)
        if w is not None:
            os.dup2(w, 1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execvp(stage[0], stage)
        except FileNotFoundError:
            print(f"pipeline: {stage[0]}: not found", file=sys.stderr, flush=True)
            os._exit(127)
        except OSError as e:
            print(f"pipeline: {stage[0]}: {e.strerror}", file=sys.stderr, flush=True)
            os._exit(126)
    if inp is not None:
        os.close(inp)
    if w is not None:
        os.close(w)
    inp = r
    status = os.waitpid(pid, 0)[1]

code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
