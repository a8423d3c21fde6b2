"""What this machine can isolate and observe, found by trying, with the cure for what it cannot.

Looking at sysctls is not enough: AppArmor, seccomp filters of containers and masked /proc all say no
in their own way (the words below come from the refusals themselves). So one sandbox is started for
real, once in a process's life, and its refusal is read.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

from grader.model import Level
from grader.running import syscalls, trace

LOSSES: dict[Level, str] = {
    Level.FULL: "",
    Level.OWN_UID: "ports, IPC keys and /tmp are shared with this machine, so checks run one at a time",
    Level.SAME_USER: "no private ports, IPC keys or process ids, so checks run one at a time",
    Level.PROCESS_GROUP: (
        "the program runs with your own rights and is only ended as a process group: "
        "grade nothing here but your own code; results are provisional"
    ),
}
"""What each level loses, in the words that reports and `proclab doctor` use."""


@dataclass(frozen=True)
class MachineFact:
    """One thing that was tried."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Machine:
    """What checks can count on."""

    level: Level
    root: bool
    """The grader is root: student code then gets a user id of its own"""
    capabilities: frozenset[str]
    """namespaces, proc (looking into processes), trace (history), terminal, compiler"""
    facts: tuple[MachineFact, ...]


_UBUNTU = (
    "AppArmor refuses user namespaces: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, "
    "or an AppArmor profile for /usr/bin/bwrap with the line 'userns,'"
)
_DOCKER = (
    "the container refuses namespaces: start it with --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined, or with --privileged"
)
_REFUSALS = (
    ("setting up uid map", _UBUNTU),
    ("RTM_NEWADDR", _UBUNTU),
    ("No permissions to create new namespace", _DOCKER),
    ("Creating new namespace failed", _DOCKER),
    ("Can't mount proc", _DOCKER),
    ("Operation not permitted", _DOCKER),
    ("Unknown option", "bubblewrap is older than 0.8: install a newer one"),
)


def _cure(refusal: str) -> str:
    return next((cure for words, cure in _REFUSALS if words in refusal), "see the message above")


def _install(package: str) -> str:
    """The line to type, for the package managers that exist here."""
    for tool, line in (
        ("apt-get", f"sudo apt-get install {package}"),
        ("dnf", f"sudo dnf install {package}"),
        ("pacman", f"sudo pacman -S {package}"),
        ("apk", f"sudo apk add {package}"),
    ):
        if shutil.which(tool):
            return line
    return f"install {package} with this system's package manager"


def _try_namespaces() -> MachineFact:
    from grader.running import sandbox  # it needs this module's answer, and this one tries its command

    if sys.platform != "linux":
        return MachineFact(
            "sandbox", False, f"{platform.system()} has no namespaces", "use Linux or a Linux VM"
        )
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return MachineFact("sandbox", False, "bwrap is not installed", _install("bubblewrap"))
    try:
        refusal = sandbox.rehearse()
    except (OSError, subprocess.SubprocessError) as error:
        refusal = str(error)
    if refusal:
        return MachineFact("sandbox", False, f"bwrap refuses: {refusal.strip()}", _cure(refusal))
    version = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    own = "a user id of its own for each check" if os.geteuid() == 0 else "as this user, in a user namespace"
    return MachineFact("sandbox", True, f"{version}: own processes, IPC, network and mounts, {own}")


def _try_trace() -> MachineFact:
    strace = trace.available()
    if strace is None:
        return MachineFact("history", False, "strace is not installed", _install("strace"))
    done = subprocess.run(
        [strace, "-f", "--seccomp-bpf", "-e", "trace=execve", "-o", "/dev/null", "true"],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    if done.returncode:
        return MachineFact(
            "history", False, f"strace refuses: {done.stderr.strip()}",
            "in a container: start it with --cap-add SYS_PTRACE",
        )  # fmt: skip
    return MachineFact("history", True, "strace records how a program builds its processes and pipes")


def _try_proc() -> MachineFact:
    if not syscalls.NAMES:
        return MachineFact(
            "observation",
            False,
            f"system call numbers of {platform.machine()} are not known",
            "use x86-64 or arm64",
        )
    me = os.getpid()
    for name in ("syscall", "schedstat", "children"):
        if not os.path.exists(f"/proc/{me}/task/{me}/{name}"):
            return MachineFact(
                "observation", False, f"/proc has no '{name}'", "use a kernel of a common distribution"
            )
    return MachineFact("observation", True, "/proc says who is blocked on what, and who holds which end")


def _try_compiler() -> MachineFact:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return MachineFact("compiler", False, "no C compiler", _install("gcc libc6-dev"))
    return MachineFact("compiler", True, f"{compiler} compiles C submissions")


@functools.cache
def inspect() -> Machine:
    """Try what this machine can do; the answer holds for the life of the process."""
    facts = [_try_namespaces()]
    linux = sys.platform == "linux"
    facts += [_try_trace(), _try_proc()] if linux else []
    facts.append(_try_compiler())
    level = Level.FULL if facts[0].ok else Level.PROCESS_GROUP
    names = {"sandbox": "namespaces", "history": "trace", "observation": "proc", "compiler": "compiler"}
    capabilities = {names[fact.name] for fact in facts if fact.ok} | {"terminal"}
    return Machine(level, linux and os.geteuid() == 0, frozenset(capabilities), tuple(facts))
