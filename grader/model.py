"""The values that flow through the grader: plain, frozen, and the same in memory as in JSON.

``Lab x Submission -> (per check) Observation -> Diagnosis? -> CheckResult -> Report -> words``

Nothing here does anything: no process is started, no file is read. Times are seconds, sizes are
bytes unless a name says otherwise, process ids are those that the student's program itself sees.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from pathlib import Path

import msgspec

FORMAT_VERSION = 1
"""Version of the JSON form of `Report`; raised whenever a reader of the old form would go wrong."""


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all values: frozen, strict about unknown keys (`kw_only` is not inherited, so each says it)."""


class Fault(Exception):
    """Bad input from a person, said as one message: what is wrong, where, and the cure.

    The command line prints it and exits with status 2; a class goes on with the next submission.
    """

    def __init__(self, what: str, *, where: Path | str | None = None, key: str | None = None, cure: str = ""):
        place = ": ".join(str(part) for part in (where, key) if part is not None)
        super().__init__(f"{place}: {what}" if place else what)
        self.what, self.where, self.key, self.cure = what, where, key, cure


# ---------------------------------------------------------------- what an instructor writes


class Language(StrEnum):
    """How a submission's program is made ready to run."""

    PYTHON = "python"
    C = "c"
    EXECUTABLE = "executable"
    """Any executable named as the lab, or a Makefile that builds one."""


class Limits(Value, frozen=True, kw_only=True):
    """Allowances of one sandbox. A lab changes what it must in ``[limits]`` of lab.toml."""

    cpu_s: int = 20
    """CPU seconds of one process (RLIMIT_CPU): ends a spin whatever the machine's load."""
    memory_mib: int = 512
    """Address space of one process (RLIMIT_AS)."""
    processes: int = 64
    """Processes and threads of the sandbox (RLIMIT_NPROC)."""
    descriptors: int = 256
    """Open descriptors of one process (RLIMIT_NOFILE)."""
    file_mib: int = 64
    """Size of one file (RLIMIT_FSIZE), of /tmp and of /dev/shm."""
    output_mib: int = 8
    """What the grader takes from standard output, and from standard error, before it ends the program."""


class DiagnosisKind(Value, frozen=True, kw_only=True):
    """A fault that has a name: what `proclab explain SLUG` shows, and what every report links to."""

    slug: str
    title: str
    """The fault in one sentence without the particulars."""
    why: str
    """Why it is a fault: what the kernel does, and what the program's user sees."""
    cure: str
    """What to do, without giving the solution away."""
    section: str = ""
    """The heading of the brief that helps."""
    source: str = ""
    """Man page or lecture."""


class CheckInfo(Value, frozen=True, kw_only=True):
    """One promise of a lab, as read from the source of its checks (never by running them)."""

    name: str
    claim: str
    points: float
    hidden: bool
    line: int


class Lab(Value, frozen=True, kw_only=True):
    """One assignment. `root` is its folder; everything else was validated when it was loaded."""

    slug: str
    root: Path
    title: str
    objectives: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    files: dict[Language, str]
    """The student's file for each language."""
    limits: Limits
    diagnoses: dict[str, DiagnosisKind]
    """Shared diagnoses and the lab's own, by slug."""
    own_diagnoses: tuple[str, ...]
    """Slugs of the lab's own"""
    checks: tuple[CheckInfo, ...]
    """Visible checks in the order of checks.py, then those of hidden.py where it is there."""
    version: str
    """Hash of everything that a verdict depends on: a report of another version is stale."""


# ---------------------------------------------------------------- what a student hands in


class SourceFile(Value, frozen=True, kw_only=True):
    """One file of a submission. `path` is relative, normalised, and never leaves the folder."""

    path: str
    data: bytes
    executable: bool = False


class Submission(Value, frozen=True, kw_only=True):
    """What one student handed in, read into memory once and never looked up on disk again."""

    student: str
    origin: str
    """Where it came from, as the instructor typed or found it; for messages only."""
    language: Language
    entry: str
    """Path of the program's file within `files`."""
    files: tuple[SourceFile, ...]
    notices: tuple[str, ...] = ()
    """What the reader of the submission had to decide: files passed over, an older attempt, ..."""


# ---------------------------------------------------------------- what was seen


class Level(IntEnum):
    """How far student code is kept apart, best first. Every report names it."""

    FULL = 1
    """bubblewrap: own processes, IPC, network, mounts."""
    OWN_UID = 2
    """A user id of its own for each check; no namespaces."""
    SAME_USER = 3
    """Landlock, seccomp and a subreaper."""
    PROCESS_GROUP = 4
    """A process group only: results are provisional."""


class Place(Value, frozen=True, kw_only=True):
    """A line of the student's own source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class State(StrEnum):
    """What a process is doing, in the man pages' words."""

    BLOCKED = "blocked"
    """In a system call that nothing but another process (or the grader) can end."""
    SLEEPING = "sleeping"
    """In a system call that ends by itself after a time."""
    RUNNING = "running"
    STOPPED = "stopped"
    ZOMBIE = "zombie"
    """Ended, not reaped by its parent."""


class Descriptor(Value, frozen=True, kw_only=True):
    """One open descriptor: `target` names the object (``pipe:[17]``, a path), `end` the direction."""

    number: int
    kind: str
    """pipe, fifo, socket, file, directory, terminal, device, queue or other"""
    target: str
    end: str = ""
    """read, write, both, or empty where it has no meaning"""


class Wait(Value, frozen=True, kw_only=True):
    """What one process is blocked in."""

    call: str
    """The system call, ``read``"""
    text: str
    """Words for people: ``end-of-file or data on the pipe between stage 1 and stage 2``"""
    descriptor: int | None = None
    target: str = ""
    """The object it waits for: the same string as in `Descriptor.target`, or ``child:7``"""


class Process(Value, frozen=True, kw_only=True):
    """One process of the student's program at one moment."""

    pid: int
    parent: int
    name: str
    """``sort``, ``pipeline.py``: the command as the student knows it"""
    role: str = ""
    """What the check calls it: ``stage 2``"""
    command: tuple[str, ...] = ()
    state: State
    wait: Wait | None = None
    stuck: bool = False
    """Proved: nothing that still runs, and nothing that the grader will do, can wake it."""
    descriptors: tuple[Descriptor, ...] = ()
    ignored: tuple[str, ...] = ()
    """Signals whose disposition is to ignore"""
    masked: tuple[str, ...] = ()
    """Signals that are blocked (the signal mask)"""
    foreground: bool = False
    """In the foreground process group of its terminal: Ctrl-C reaches it"""
    cpu_s: float = 0.0
    place: Place | None = None

    @property
    def label(self) -> str:
        """The process as messages name it: ``stage 2 (wc)``, ``the parent (pipeline.py)``, ``cat[7]``."""
        return f"{self.role} ({self.name})" if self.role else f"{self.name}[{self.pid}]"


class Edge(Value, frozen=True, kw_only=True):
    """One arrow of the drawing: who waits, for whom, and through what."""

    waiter: int
    holder: int
    """Process id, or 0 for the grader"""
    target: str
    descriptor: int | None = None
    """The holder's descriptor, where that is what keeps the waiter waiting"""
    text: str


class Event(Value, frozen=True, kw_only=True):
    """One system call of the history that matters, or an exit or a signal."""

    at_s: float
    pid: int
    call: str
    """``pipe2``, ``fork``, ``execve``, ``dup2``, ``wait4``, ``kill``, ``exit``, ``signal`` ..."""
    text: str
    place: Place | None = None


class Leftover(Value, frozen=True, kw_only=True):
    """Something that outlived the program: a process, a queue, a segment, a semaphore, a file."""

    kind: str
    name: str


class Turn(Value, frozen=True, kw_only=True):
    """One line of the conversation between the grader and the program."""

    speaker: str
    """grader (standard input), program (standard output), error (standard error), event, ``client 1`` (what this
    client sends) or ``to client 1`` (what the program sends to it)"""
    text: str
    """Decoded with backslashes for what is not UTF-8; control characters still in it"""


class Ending(StrEnum):
    """How a run came to its end."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    HUNG = "hung"
    """Every process was proved stuck; the grader ended it."""
    TIMED_OUT = "timed-out"
    """Still going when its time was over; the grader ended it."""
    FLOODED = "flooded"
    """Wrote more than the output limit; the grader ended it."""
    SPUN = "spun"
    """Made the same system calls again and again without getting on; the grader ended it"""
    STOPPED = "stopped"
    """Ended by the grader since the check had seen enough."""


class Step(Value, frozen=True, kw_only=True):
    """One line of the story of a schedule: what one thread or process did before another had its turn."""

    task: str
    """``main``, ``consumer 1``; empty for a remark between the lines"""
    place: Place | None = None
    source: str = ""
    """The text of that line"""
    text: str
    """``reads count``, ``notifies not_empty: nobody waits there``"""


class Schedule(Value, frozen=True, kw_only=True):
    """The order of steps that showed a fault."""

    strategy: str
    """The name of what chose it (`grader.exploring.strategy`)"""
    replay: str = ""
    """What repeats it: ``proclab check LAB --replay ID``; empty where a student cannot"""
    switches: int | None = None
    """Forced switches that it needs; none where that is not known to be few"""
    tried: int = 0
    """Schedules that were tried until one showed it"""
    steps: tuple[Step, ...] = ()
    waiting: tuple[str, ...] = ()
    """Who waits for what at the end"""


class Observation(Value, frozen=True, kw_only=True):
    """The facts of one run of one program. What they mean is judged elsewhere."""

    argv: tuple[str, ...]
    command: str
    """The same, as a line that the student can paste into a shell"""
    ending: Ending
    status: int | None = None
    """Exit status, where it exited"""
    signal: str = ""
    """Name of the signal that ended it"""
    stdout: bytes = b""
    stderr: bytes = b""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    within_s: float = 0.0
    """The patience that the check had"""
    processes: tuple[Process, ...] = ()
    """The processes when it hung or was out of time; else those that outlived the program"""
    edges: tuple[Edge, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    unreaped: tuple[int, ...] = ()
    """Children of the program that it had not waited for when it ended"""
    events: tuple[Event, ...] = ()
    names: dict[int, str] = {}
    """What each process of the history is called: ``stage 2 (wc)``"""
    turns: tuple[Turn, ...] = ()
    schedule: Schedule | None = None
    """Where it was one of many runs in which the order of steps was chosen"""


# ---------------------------------------------------------------- what it means


class Verdict(StrEnum):
    """The four verdicts. Only the first earns points; `BROKEN` is the grader's own fault."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Diagnosis(Value, frozen=True, kw_only=True):
    """A named fault of this submission, with its evidence."""

    slug: str
    title: str
    fact: str
    """What was seen, in one or two sentences, with process, descriptor and line"""
    evidence: tuple[str, ...] = ()
    why: str = ""
    cure: str = ""
    section: str = ""
    place: Place | None = None


class CheckResult(Value, frozen=True, kw_only=True):
    """The verdict on one promise, with all that a reader needs to believe and repeat it."""

    name: str
    claim: str
    verdict: Verdict
    points: float
    max_points: float
    hidden: bool = False
    reason: str = ""
    """For skipped and broken: why"""
    basis: str = ""
    """For passed: what was tried, where that is no proof"""
    diagnosis: Diagnosis | None = None
    expected: str = ""
    observed: str = ""
    observation: Observation | None = None
    """The run that decided; none where a check passed, was skipped or broke before a run"""
    duration_s: float = 0.0


class Report(Value, frozen=True, kw_only=True):
    """Everything about the grading of one submission; all further output is a function of this."""

    format_version: int = FORMAT_VERSION
    lab: str
    lab_title: str
    lab_version: str
    student: str
    origin: str
    language: str
    submission_version: str
    """Hash of the submission's files"""
    level: Level
    notices: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    started: str = ""
    """ISO 8601, UTC"""
    duration_s: float = 0.0

    @property
    def score(self) -> float:
        """Points earned."""
        return sum(check.points for check in self.checks)

    @property
    def max_score(self) -> float:
        """Points that can be earned."""
        return sum(check.max_points for check in self.checks)

    @property
    def broken(self) -> bool:
        """Whether the grader itself failed somewhere: the score is then not final."""
        return any(check.verdict is Verdict.BROKEN for check in self.checks)

    def count(self, verdict: Verdict) -> int:
        """How many checks had this verdict."""
        return sum(check.verdict is verdict for check in self.checks)
