"""The sandbox: how a program is started so that it can harm nobody and hide nothing.

Theory of operation, level 1. The command line is a chain, each link replacing itself by the next but
for strace and bwrap, which stay::

    setpriv (dies with the grader) -> strace (history, outside) -> bwrap -> prlimit -> [setpriv: uid] -> program

* bwrap makes the namespaces and mounts. Its options travel through ``--args FD``, so that
  ``/proc/1/cmdline`` inside tells nothing of this machine.
* The submission's files travel as memory files into a tmpfs of limited size at ``/lab``: nothing of a
  run ever touches this machine's disk.
* The program starts only when we open a gate (``--block-fd``). Before that bwrap's monitor, which stands
  outside, is stopped: it would end the
  sandbox the moment the program exits; stopped, it leaves what the program left behind for us to see.
  Killing it (or the grader's death) ends everything inside.
* Processes are limited inside the namespace: a limit set outside would count all of the user's.
* A root grader needs no user namespace. It mounts as root and gives the program a user id of its own
  inside; this also works where user namespaces are refused (Ubuntu 24.04, hosted CI runners).

Level 4 has no namespaces: the program runs in a folder of its own, as a session of its own, and is
ended as a group. `proclab doctor` says what that loses.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grader.model import Leftover, Level, Limits, SourceFile
from grader.running import lines, namespaces, objects, trace, witness

_INNER = 2
"""The program's id inside: bwrap is process 1"""
_FIRST_UID = 60000
_UIDS = 5000
_LAST_WORDS_S = 5.0
"""How long the tracer may take to write down the end of what was killed"""
_START_S = 30.0
"""Patience with the sandbox's own start, on any load; over it the grader is broken, not the program."""


class SandboxError(Exception):
    """The sandbox could not be made or kept: the grader's fault, never the program's."""


@dataclass(frozen=True)
class Recipe:
    """What a sandbox is made of."""

    files: tuple[SourceFile, ...]
    limits: Limits = field(default_factory=Limits)
    level: Level = Level.FULL
    hide: tuple[Path, ...] = ()
    """Folders that must not be seen even where a bound system folder contains them"""
    history: bool = True
    lines: str = ""
    """``python`` or ``c``: record which line makes which call (`grader.running.lines`), for a report"""
    probe: tuple[SourceFile, ...] = ()
    """The grader's own files, in a folder of their own (`PROBE`): a shim that a Python program imports at its
    start, and through which it and the grader talk. The program may write there too."""


def slot_uid() -> int:
    """The user id of student code under a root grader: one for each grading process.

    Two processes may share one after five thousand: they then share a limit, nothing else, since
    neither sees the other's processes or files.
    """
    return _FIRST_UID + os.getpid() % _UIDS


def give(recipe: Recipe, descriptor: int) -> None:
    """Let the program open a standard stream again by name (``/dev/stdin``), as on any machine.

    A pipe or terminal belongs to whoever made it, and under a root grader the program is another user.
    """
    uid = owner(recipe)
    if uid is not None:
        os.fchown(descriptor, uid, uid)


def owner(recipe: Recipe) -> int | None:
    """The user id of the program, where that is not the grader's own."""
    return slot_uid() if os.geteuid() == 0 and recipe.level is Level.FULL else None


def _python_folders() -> list[str]:
    """The interpreter's own folders outside /usr: a virtual environment, pyenv, uv."""
    found = []
    for prefix in (sys.base_prefix, sys.prefix):
        path = os.path.realpath(prefix)
        if not path.startswith("/usr/") and path not in found and path not in ("/", "/usr"):
            found.append(path)
        if prefix != path and not prefix.startswith("/usr/") and prefix not in found:
            found.append(prefix)
    return found


def _system_binds() -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = f"/{name}"
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            options += ["--ro-bind", path, path]
    options += ["--perms", "0755", "--dir", "/etc"]
    for name in (
        "alternatives",
        "group",
        "hosts",
        "ld.so.cache",
        "nsswitch.conf",
        "passwd",
        "protocols",
        "services",
    ):
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return options


def _folder_binds(folders: Sequence[str]) -> list[str]:
    """Bind folders read-only; bwrap would make their parents with mode 0700, which only the owner enters."""
    options: list[str] = []
    made = {"/", "/usr", "/etc", "/tmp"}  # noqa: S108
    for folder in folders:
        for parent in reversed(Path(folder).parents):
            if str(parent) not in made:
                made.add(str(parent))
                options += ["--perms", "0755", "--dir", str(parent)]
        options += ["--ro-bind", folder, folder]
    return options


PROBE = "/run/probe"
"""Where `Recipe.probe` lies inside the sandbox."""

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb"}  # noqa: S108
"""All that a program finds in its environment: nothing of the grader's own, nothing of Python's."""


def _bwrap_options(recipe: Recipe, *, root: bool, terminal: bool, descriptors: list[int]) -> list[str]:
    """bwrap's options; the memory files that they name are appended to `descriptors`."""
    size = str(recipe.limits.file_mib * 2**20)
    options = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    options += ["--hostname", "lab", "--die-with-parent"]
    if root:
        options += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            options += ["--cap-add", capability]
    else:
        options += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    if not terminal:
        options.append("--new-session")
    options.append("--clearenv")
    for name, value in ENVIRONMENT.items():
        options += ["--setenv", name, value]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/dev/shm", "/tmp"):  # noqa: S108
        options += ["--size", size, "--perms", "1777", "--tmpfs", place]
    options += ["--mqueue", "/dev/mqueue"]
    options += _system_binds() + _folder_binds(_python_folders())
    for hidden in recipe.hide:
        if str(hidden.resolve()).startswith("/usr/"):
            options += ["--tmpfs", str(hidden.resolve())]
    options += ["--size", size, "--perms", "0777", "--tmpfs", "/lab"]
    folders = sorted({str(parent) for file in recipe.files for parent in Path(file.path).parents} - {"."})
    for folder in folders:
        options += ["--perms", "0777", "--dir", f"/lab/{folder}"]
    for file in recipe.files:
        options += _memory_file(file, "/lab", descriptors)
    if recipe.lines == "python":
        options += ["--size", "4194304", "--perms", "0777", "--tmpfs", lines.FOLDER]
        options += ["--setenv", "PYTHONPATH", lines.FOLDER]
        options += _memory_file(lines.recorder(), lines.FOLDER, descriptors)
    if recipe.probe:
        options += ["--size", "4194304", "--perms", "0777", "--tmpfs", PROBE, "--setenv", "PYTHONPATH", PROBE]
        for file in recipe.probe:
            options += _memory_file(file, PROBE, descriptors)
    # bwrap's own tmpfs at / and /dev have no size limit: nothing may be written there
    return [*options, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/lab"]


def _memory_file(file: SourceFile, folder: str, descriptors: list[int]) -> list[str]:
    """Options that make a file inside the sandbox from memory."""
    descriptor = os.memfd_create("file")
    descriptors.append(descriptor)
    with open(descriptor, "wb", closefd=False) as memory:
        memory.write(file.data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return [
        "--perms",
        "0777" if file.executable else "0666",
        "--file",
        str(descriptor),
        f"{folder}/{file.path}",
    ]


def _limit_options(limits: Limits, *, processes: int | None) -> list[str]:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        return []
    size = limits.file_mib * 2**20
    options = [
        prlimit, f"--as={limits.memory_mib * 2**20}", f"--cpu={limits.cpu_s}:{limits.cpu_s + 2}",
        f"--fsize={size}", f"--nofile={limits.descriptors}", "--core=0",
    ]  # fmt: skip
    return [*options, f"--nproc={processes}"] if processes else options


def _user_processes() -> int:
    """Processes and threads of this user: where there is no namespace, the limit counts them all."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{entry.name}/task"))
        except OSError:
            continue
    return count


@dataclass
class Sandbox:
    """One started program and all that surrounds it. `end` ends every process in it."""

    outer: subprocess.Popen[bytes]
    program: int | None
    """The machine's id of the program; none if it had ended before it could be seen"""
    inner: int
    """Its id inside"""
    init: int | None
    """The machine's id of the sandbox's process 1; none at level 4"""
    monitor: int | None
    log: trace.Log | None
    folder: tempfile.TemporaryDirectory[str] | None
    """The program's files, at level 4"""
    wrapper_execs: int
    held: dict[str, int] = field(default_factory=dict)
    """Descriptors of the namespaces (ipc, net), of /dev/mqueue and /dev/shm and of the program's folder (lab):
    they keep what the program made there until it has been looked at"""
    helper: int | None = None
    """The machine's id of the process that took the program into another's sandbox"""
    host: Sandbox | None = None
    """The sandbox that it shares"""

    def members(self) -> list[int]:
        """The machine's ids of the program and all that it started, as far as they can be found."""
        if self.init is not None:
            return witness.family(self.init)
        # A terminal's program has a session of its own below ours; orphans stay in one of the two.
        found = {*witness.session(self.outer.pid), *witness.family(self.outer.pid)} - {self.helper}
        if (
            self.host is not None and self.host.init is not None
        ):  # orphans of ours are children of its process 1
            theirs = {self.host.program, *(witness.family(self.host.program) if self.host.program else ())}
            found |= {*witness.family(self.host.init)} - theirs
        return sorted(found | ({self.outer.pid} if self.program == self.outer.pid else set()))

    def objects(self) -> tuple[Leftover, ...]:
        """IPC objects that exist in the sandbox now; nothing is known of them at level 4.

        In a shared sandbox they may be the other program's.
        """
        found = objects.posix(self.held.get("mqueue"), self.held.get("shm"))
        if "ipc" in self.held and (self.log is None or self.log.system_v_used):
            found = objects.system_v(self.held["ipc"]) + found
        return found

    def end(self) -> None:
        """Kill everything inside, wait for the outer processes, and take the folder away."""
        for pid in (self.monitor, self.init):
            if pid is not None:
                _kill(pid)
        if self.init is None:
            self._end_group()
        try:
            self.outer.wait(timeout=_START_S)
        except subprocess.TimeoutExpired:
            self.outer.kill()
            self.outer.wait()

    def history(self) -> trace.History | None:
        """The history of the run, complete once the sandbox has ended."""
        if self.log is None:
            return None
        outside = {pid for pid in (self.monitor, self.init, self.helper) if pid is not None}
        return trace.read(self.log.text(), outside=outside, root=self.inner, wrapper_execs=self.wrapper_execs)

    def line_log(self) -> str:
        """What the recorder wrote in a Python program; empty where lines are not recorded."""
        try:
            log = os.open("log", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.held["lines"])
        except (OSError, KeyError):
            return ""
        with open(log, "rb") as file:
            return file.read(2**20).decode(errors="replace")

    def clean(self) -> None:
        """Take away what the grader itself made for the run."""
        for descriptor in self.held.values():
            os.close(descriptor)
        self.held.clear()
        if self.log is not None:
            self.log.close()
        if self.folder is not None:
            self.folder.cleanup()
            self.folder = None

    def _end_group(self) -> None:
        """Without a process 1 of our own: all below the program that can still be found, and its process group.

        strace ends by itself when all that it traces has ended. Killed before that, it would not have written
        how the program ended.
        """
        deadline = time.monotonic() + _LAST_WORDS_S
        while True:
            for pid in self.members():
                _kill(pid)
            if self.helper is not None:
                _kill(self.helper)
            if self.log is None or time.monotonic() > deadline or _ended(self.outer, 0.02):
                break
        try:
            os.killpg(self.outer.pid, signal.SIGKILL)
        except OSError:
            pass  # the group is gone


def _ended(process: subprocess.Popen[bytes], patience: float) -> bool:
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def start(
    recipe: Recipe,
    argv: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    terminal: bool = False,
    closed: Sequence[int] = (),
    beside: Sandbox | None = None,
) -> Sandbox:
    """Start a program in a sandbox of its own, or in that of another program.

    :param terminal: the three descriptors are a terminal, which becomes the program's controlling one
    :param closed: standard descriptors that the program starts without
    :param beside: a sandbox whose program may have ended, but which was not ended itself
    :raises SandboxError: if the sandbox itself cannot be made
    """
    _default_signals()
    root = os.geteuid() == 0
    log = trace.Log() if recipe.history else None
    inside = list(argv)
    if closed:
        shut = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in closed)
        inside = ["/bin/sh", "-c", f'exec "$@" {shut}', "sh", *inside]
    if terminal:
        inside = [shutil.which("setsid") or "setsid", "-c", *inside]
    streams = (stdin, stdout, stderr)
    execs = terminal + bool(closed)
    if recipe.level is not Level.FULL:
        return _start_group(recipe, inside, log, streams, execs, beside)
    if beside is not None:
        return _start_beside(recipe, inside, log, root, streams, execs, beside)
    return _start_full(recipe, inside, log, root, streams, terminal, execs)


def _default_signals() -> None:
    """Let programs start with every signal at its default, as from a shell.

    What is ignored stays ignored over execve(2), and a grader under nohup or in the background has SIGINT
    ignored. A handler that does nothing is as good for us, and is not inherited. (SIGPIPE and SIGXFSZ, which
    Python itself ignores, are put back by `subprocess`.)
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; it has done so if it started a program before
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def _prefix(recipe: Recipe, log: trace.Log | None) -> list[str]:
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig=KILL", "--"] if setpriv and log else []
    if log is not None:
        prefix += trace.command(log.path, stacks=recipe.lines == "c")
    return prefix


def _start_full(
    recipe: Recipe,
    inside: list[str],
    log: trace.Log | None,
    root: bool,
    streams: tuple[int, int, int],
    terminal: bool,
    execs: int,
) -> Sandbox:
    descriptors: list[int] = []
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    try:
        options = _bwrap_options(recipe, root=root, terminal=terminal, descriptors=descriptors)
        options += ["--json-status-fd", str(status_write), "--block-fd", str(gate_read)]
        arguments = os.memfd_create("options")
        descriptors.append(arguments)
        os.write(arguments, b"\0".join(option.encode() for option in options) + b"\0")
        os.lseek(arguments, 0, os.SEEK_SET)
        wrappers = _limit_options(recipe.limits, processes=recipe.limits.processes)
        execs += bool(wrappers)
        if root:
            wrappers += [*_own_uid(), "--bounding-set=-all", "--"]
            execs += 1
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise SandboxError("bwrap is not installed")
        command = [*_prefix(recipe, log), bwrap, "--args", str(arguments), "--", *wrappers, *inside]
        outer = subprocess.Popen(
            command,
            stdin=streams[0], stdout=streams[1], stderr=streams[2],
            pass_fds=[*descriptors, status_write, gate_read], start_new_session=True, cwd="/",
            env={"PATH": ENVIRONMENT["PATH"]},  # bwrap's own is readable inside, as /proc/1/environ
        )  # fmt: skip
    except BaseException:
        for descriptor in (status_read, gate_read, gate_write):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (*descriptors, status_write):
            os.close(descriptor)
    try:
        init = _first_status(status_read, outer)
        _wait_for_gate(init, gate_read, outer)
        monitor = witness.parent(init)
        os.kill(monitor, signal.SIGSTOP)
        held = _hold(init)
        os.write(gate_write, b"go")
        program = _first_child(init, outer)
    except BaseException:
        outer.kill()
        outer.wait()
        raise
    finally:
        for descriptor in (status_read, gate_read, gate_write):
            os.close(descriptor)
    return Sandbox(outer, program, _INNER, init, monitor, log, None, execs, held)


def _own_uid() -> list[str]:
    uid = slot_uid()
    return [
        shutil.which("setpriv") or "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
    ]  # fmt: skip


def _start_beside(
    recipe: Recipe,
    inside: list[str],
    log: trace.Log | None,
    root: bool,
    streams: tuple[int, int, int],
    execs: int,
    beside: Sandbox,
) -> Sandbox:
    """Take a program into a sandbox that stands already: same network, files, IPC objects and process ids.

    It is a child of a process outside, so the other program's family does not count it.
    """
    target = str(beside.init)
    owner_of_all = namespaces.owner(beside.held["ipc"]) if not root else -1
    enter = [
        shutil.which("nsenter") or "nsenter", "--target", target, "--mount", "--ipc", "--net", "--pid", "--uts",
    ]  # fmt: skip
    if not root:  # by the grader's own entry in /proc: handed down, the descriptor would reach the program
        enter += [f"--user=/proc/{os.getpid()}/fd/{owner_of_all}", "--preserve-credentials"]
    limits = _limit_options(recipe.limits, processes=recipe.limits.processes)
    drop = _own_uid() if root else [shutil.which("setpriv") or "setpriv"]
    drop += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"]
    outer = subprocess.Popen(
        [*_prefix(recipe, log), *enter, "--", *limits, *drop, "/usr/bin/env", "--chdir=/lab", *inside],
        stdin=streams[0], stdout=streams[1], stderr=streams[2],
        start_new_session=True, cwd="/", env=ENVIRONMENT,
    )  # fmt: skip
    helper: int | None = outer.pid
    try:
        if log is not None:
            helper = _first_child(outer.pid, outer)
        program = _grandchild(helper, outer) if helper is not None else None
        if program is None and (log is None or not re.search(r" (clone3?|v?fork)\(", log.text())):
            raise SandboxError("a program could not be taken into the sandbox")
    except BaseException:
        outer.kill()
        outer.wait()
        raise
    finally:
        if owner_of_all != -1:
            os.close(owner_of_all)
    inner = witness.inner_pid(program) if program is not None else 0
    return Sandbox(
        outer, program, inner, None, None, log, None, execs + bool(limits) + 2, helper=helper, host=beside
    )


def _grandchild(helper: int, outer: subprocess.Popen[bytes]) -> int | None:
    """The program that a helper forked; none if it has ended already."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        for child in witness.children(helper):
            return child
        if witness.state(helper) in "ZX" or outer.poll() is not None:
            return None
        time.sleep(0.0003)  # a look at /proc, not a guess: bounded by the deadline above
    raise SandboxError("a program could not be taken into the sandbox")


def _wait_for_gate(init: int, gate: int, outer: subprocess.Popen[bytes]) -> None:
    """Wait until all mounts stand: process 1 then reads at the gate before it starts the program."""
    deadline = time.monotonic() + _START_S
    while witness.blocked_in(init) != ("read", gate):
        if outer.poll() is not None or time.monotonic() > deadline:
            raise SandboxError("the sandbox did not start")
        time.sleep(0.0003)  # a look at /proc, not a guess: bounded by the deadline above


def _first_status(descriptor: int, outer: subprocess.Popen[bytes]) -> int:
    """The machine's id of the sandbox's process 1, which bwrap tells when it has made it."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        deadline = time.monotonic() + _START_S
        while b"\n" not in line:
            if time.monotonic() > deadline or (outer.poll() is not None and not selector.select(0)):
                raise SandboxError("the sandbox did not start")
            if selector.select(0.05):
                piece = os.read(descriptor, 4096)
                if not piece:
                    raise SandboxError("the sandbox did not start")
                line += piece
    return int(json.loads(line.split(b"\n")[0])["child-pid"])


def _first_child(parent: int, outer: subprocess.Popen[bytes]) -> int | None:
    """The program: the only child of process 1, or of strace; none if it has ended already.

    strace first makes a child or two to try what the kernel can; those never leave its own image.
    """
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        for child in witness.children(parent):
            if parent == outer.pid:
                if witness.comm(child) not in ("strace", ""):
                    return child
            elif witness.inner_pid(child) == _INNER:
                return child
            else:
                return None  # an orphan of the program, which has ended and been reaped already
        if witness.state(parent) in "ZX":  # it ends when its last child has
            return None
        time.sleep(0.0003)  # a look at /proc, not a guess: bounded by the deadline above
    raise SandboxError("the sandbox's program did not start")


def _hold(init: int) -> dict[str, int]:
    """Open what must outlive the program until it has been looked at."""
    held = {}
    places = {
        "ipc": "ns/ipc",
        "net": "ns/net",
        "lab": "root/lab",
        "mqueue": "root/dev/mqueue",
        "shm": "root/dev/shm",
        "lines": f"root{lines.FOLDER}",
        "probe": f"root{PROBE}",
    }
    for name, place in places.items():
        try:
            held[name] = os.open(f"/proc/{init}/{place}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # the program has ended already, or hides; then nothing can be said
    return held


def _start_group(
    recipe: Recipe,
    inside: list[str],
    log: trace.Log | None,
    streams: tuple[int, int, int],
    execs: int,
    beside: Sandbox | None,
) -> Sandbox:
    shared = beside.folder if beside is not None else None
    folder = shared or tempfile.TemporaryDirectory(prefix="proclab-", ignore_cleanup_errors=True)
    lab = Path(folder.name)
    for file in recipe.files if shared is None else ():
        path = lab / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(0o755 if file.executable else 0o644)
    linux = sys.platform == "linux"
    wrappers = _limit_options(
        recipe.limits, processes=_user_processes() + recipe.limits.processes if linux else None
    )
    outer = subprocess.Popen(
        [*_prefix(recipe, log), *wrappers, *inside],
        stdin=streams[0], stdout=streams[1], stderr=streams[2],
        start_new_session=True, cwd=lab, env=ENVIRONMENT | {"PATH": os.environ["PATH"], "HOME": str(lab)},
    )  # fmt: skip
    program = outer.pid
    if log is not None:
        found = _first_child(outer.pid, outer)
        program = found if found is not None else trace.first_pid(log.text())
    held = {"lab": os.open(lab, os.O_RDONLY | os.O_CLOEXEC)}
    own = None if shared else folder
    return Sandbox(outer, program, program, None, None, log, own, execs + bool(wrappers), held)


def rehearse() -> str:
    """Start ``true`` in a sandbox; what bwrap said if it refused, else nothing."""
    read, write = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        box = start(Recipe((), history=False), ["/usr/bin/true"], stdin=null, stdout=null, stderr=write)
    except SandboxError as error:
        os.set_blocking(read, False)
        try:
            said = os.read(read, 4096).decode(errors="replace")
        except BlockingIOError:
            said = ""
        return said or str(error)
    else:
        box.end()
        box.clean()
        return ""
    finally:
        for descriptor in (read, write, null):
            os.close(descriptor)
