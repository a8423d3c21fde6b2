"""What a program leaves behind in its IPC namespace: System V objects and POSIX queues and memory.

/proc/sysvipc shows the namespace of whoever reads it, so a short-lived child of the grader joins the
sandbox's namespace and reads for us.
"""

from __future__ import annotations

import json
import os
import re

from grader.model import Leftover
from grader.running.namespaces import IPC, join

_TABLES = (("msg", "message queue"), ("sem", "semaphore set"), ("shm", "shared memory segment"))


def _read_tables(ipc: int) -> list[tuple[str, str]]:
    """In the child: join, then read the three tables."""
    join(ipc, IPC)
    found = []
    for table, words in _TABLES:
        with open(f"/proc/sysvipc/{table}", encoding="ascii") as lines:
            head = lines.readline().split()
            for line in lines:
                row = dict(zip(head, line.split(), strict=False))
                key = int(row["key"]) & 0xFFFFFFFF
                found.append((words, f"id {row[head[1]]}, key {key:#x}"))
    return found


def system_v(ipc: int) -> tuple[Leftover, ...]:
    """System V queues, semaphores and segments of an IPC namespace.

    :raises OSError: if the namespace cannot be joined
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(_read_tables(ipc)).encode())
            os._exit(0)
        except BaseException as error:  # nothing of the child may run on in the parent's place
            os.write(write, json.dumps({"error": str(error)}).encode())
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    found = json.loads(text or b'{"error": "no answer"}')
    if isinstance(found, dict):
        raise OSError(found["error"])
    return tuple(Leftover(kind=kind, name=name) for kind, name in found)


def posix(queues: int | None, memory: int | None) -> tuple[Leftover, ...]:
    """POSIX queues, semaphores and shared memory, from descriptors of a sandbox's two folders."""
    found = []
    for folder, words in ((queues, "POSIX message queue"), (memory, "shared memory object")):
        if folder is None:
            continue
        for name in sorted(os.listdir(folder)):
            kind = "POSIX semaphore" if re.match(r"sem\.", name) else words
            found.append(Leftover(kind=kind, name="/" + name.removeprefix("sem.")))
    return tuple(found)
