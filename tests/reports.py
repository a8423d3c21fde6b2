"""Reports made by hand, one for each way in which a check can come out."""

from __future__ import annotations

from typing import Any

import msgspec

from grader.model import (
    CheckResult,
    Descriptor,
    Diagnosis,
    Edge,
    Ending,
    Event,
    Leftover,
    Level,
    Observation,
    Place,
    Process,
    Report,
    State,
    Turn,
    Verdict,
    Wait,
)


def report(*checks: CheckResult, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "lab": "pipeline",
        "lab_title": "A pipeline of processes",
        "lab_version": "0123456789abcdef",
        "student": "ada",
        "origin": "submissions/ada",
        "language": "python",
        "submission_version": "fedcba9876543210",
        "level": Level.FULL,
        "checks": checks,
        "started": "2026-11-24T09:00:00+00:00",
        "duration_s": 1.25,
    }
    return Report(**(values | changes))


def check(name: str, claim: str, verdict: Verdict, max_points: float = 2.0, **changes: Any) -> CheckResult:
    points = max_points if verdict is Verdict.PASSED else 0.0
    values: dict[str, Any] = {"name": name, "claim": claim, "verdict": verdict, "points": points}
    return CheckResult(**(values | {"max_points": max_points} | changes))


def failed(
    name: str, claim: str, diagnosis: Diagnosis, seen: Observation | None, **changes: Any
) -> CheckResult:
    return check(name, claim, Verdict.FAILED, diagnosis=diagnosis, observation=seen, **changes)


PASSED = check(
    "test_runs_one_command", "A single command runs as if it had been started alone.", Verdict.PASSED, 1.0
)
SKIPPED = check(
    "test_reaps_every_child",
    "Every child has been waited for when the pipeline ends.",
    Verdict.SKIPPED,
    reason="this machine lacks: trace (see proclab doctor)",
)
BROKEN = check(
    "test_passes_arguments_unchanged",
    "Arguments reach a command unchanged: blanks, quotes, stars and empty ones too.",
    Verdict.BROKEN,
    1.0,
    reason="NameError: name 'words' is not defined (checks.py, line 112)",
)


def _wait(call: str, text: str, descriptor: int | None, target: str) -> Wait:
    return Wait(call=call, text=text, descriptor=descriptor, target=target)


def _end(number: int, end: str, target: str = "pipe:[17]") -> Descriptor:
    return Descriptor(number=number, kind="pipe", target=target, end=end)


def hung() -> CheckResult:
    """The parent kept the write end of the pipe that stage 2 reads."""
    place = Place(file="pipeline.py", line=31)
    processes = (
        Process(
            pid=2,
            parent=1,
            name="pipeline.py",
            role="the parent",
            state=State.BLOCKED,
            stuck=True,
            place=place,
            wait=_wait("wait4", "stage 2 to end", None, "child:4"),
            descriptors=(_end(0, "read", "pipe:[11]"), _end(1, "write", "pipe:[12]"), _end(4, "write")),
        ),
        Process(pid=3, parent=2, name="cat", role="stage 1", state=State.ZOMBIE),
        Process(
            pid=4,
            parent=2,
            name="wc",
            role="stage 2",
            command=("wc", "-c"),
            state=State.BLOCKED,
            stuck=True,
            wait=_wait("read", "data or end-of-file on the pipe from stage 1 to stage 2", 0, "pipe:[17]"),
            descriptors=(_end(0, "read"), _end(1, "write", "pipe:[12]")),
            masked=("SIGINT",),
        ),
    )
    edges = (
        Edge(waiter=2, holder=4, target="child:4", text="stage 2 to end"),
        Edge(
            waiter=4,
            holder=2,
            target="pipe:[17]",
            descriptor=4,
            text="data or end-of-file on the pipe from stage 1 to stage 2",
        ),
    )
    events = (
        Event(at_s=0.0, pid=2, call="execve", text="exec: python3 pipeline.py cat | wc -c"),
        Event(
            at_s=0.0213, pid=2, call="pipe2", text="pipe(): read end 3, write end 4 of pipe:[17]", place=place
        ),
        Event(at_s=0.0219, pid=2, call="fork", text="fork(): child 3"),
        Event(at_s=0.0227, pid=3, call="dup2", text="dup2(4, 1): 1 is now pipe:[17]"),
        Event(at_s=0.0241, pid=2, call="fork", text="fork(): child 4"),
        Event(at_s=0.0302, pid=3, call="exit", text="exits with status 0"),
    )
    seen = Observation(
        argv=("python3", "pipeline.py", "cat", "|", "wc", "-c"),
        command="head -c 1048576 /dev/zero | tr '\\0' x | python3 pipeline.py cat '|' wc -c",
        ending=Ending.HUNG,
        wall_s=0.05,
        within_s=5.0,
        processes=processes,
        edges=edges,
        events=events,
        names={2: "the parent (pipeline.py)", 3: "stage 1 (cat)", 4: "stage 2 (wc)"},
        turns=(Turn(speaker="event", text="the grader writes 1048576 bytes to standard input"),),
    )
    diagnosis = Diagnosis(
        slug="write-end-left-open",
        title="A write end of a pipe stays open, so its reader never sees end-of-file.",
        fact="Stage 2 (wc) waits for end-of-file on the pipe from stage 1 to stage 2; its write end is "
        "still open in the parent (pipeline.py), descriptor 4.",
        evidence=(
            "the parent (pipeline.py) made this pipe at pipeline.py:31: read end 3, write end 4",
            "stage 2 (wc) waits for data or end-of-file on the pipe from stage 1 to stage 2 (read)",
        ),
        why="A reader sees end-of-file only when no process at all holds a write end. One forgotten copy, "
        "in the parent, in a sibling or in the reader itself, is enough to keep it waiting for ever.",
        cure="Close every write end that a process does not write to, in every process.",
        section="Who holds which end",
        place=place,
    )
    return failed(
        "test_stops_at_end_of_file",
        "The pipeline ends by itself once its input ends.",
        diagnosis,
        seen,
        expected="the program ends by itself, with status 0",
        observed="every process was blocked for good after 0.05 s",
    )


def signalled() -> CheckResult:
    seen = Observation(
        argv=("./pipeline", "cat", "|", "tr", "a-z", "A-Z"),
        command="printf 'uno\\n' | ./pipeline cat '|' tr a-z A-Z",
        ending=Ending.SIGNALLED,
        signal="SIGSEGV",
        wall_s=0.01,
        within_s=5.0,
        turns=(Turn(speaker="grader", text="uno\n"), Turn(speaker="error", text="stage 0: ")),
        stderr=b"stage 0: ",
        unreaped=(3,),
        names={3: "stage 1 (cat)"},
    )
    diagnosis = Diagnosis(
        slug="killed-by-signal",
        title="The program was ended by a signal.",
        fact="The program was ended by SIGSEGV.",
        evidence=("last line of standard error: stage 0: ",),
        why="A signal whose disposition is the default ends the process.",
        cure="Look at what the program did last.",
    )
    return failed(
        "test_connects_two_stages",
        "What the first command writes is what the second one reads.",
        diagnosis,
        seen,
        expected="the program ends by itself, with status 0",
        observed="it was ended by SIGSEGV",
    )


def timed_out() -> CheckResult:
    seen = Observation(
        argv=("python3", "pipeline.py", "sleep", "1"),
        command="python3 pipeline.py sleep 1",
        ending=Ending.TIMED_OUT,
        wall_s=5.0,
        cpu_s=4.9,
        within_s=5.0,
        processes=(
            Process(
                pid=2,
                parent=1,
                name="pipeline.py",
                role="the parent",
                state=State.RUNNING,
                cpu_s=4.9,
                place=Place(file="pipeline.py", line=40),
                ignored=("SIGPIPE",),
            ),
            Process(
                pid=3,
                parent=2,
                name="sleep",
                role="stage 1",
                state=State.SLEEPING,
                wait=_wait("clock_nanosleep", "its sleep to be over", None, ""),
            ),
        ),
    )
    diagnosis = Diagnosis(
        slug="spins",
        title="The program is busy without getting on.",
        fact="the parent (pipeline.py) used the processor for 4.9 s of 5 s and did not get on.",
        why="A loop asks again and again for what the kernel could wait for.",
        cure="Use a call that blocks: waitpid without WNOHANG, read, poll, sigsuspend.",
        section="All at the same time",
        place=Place(file="pipeline.py", line=40),
    )
    return failed(
        "test_waits_without_spinning",
        "The parent waits without using the processor.",
        diagnosis,
        seen,
        expected="the program ends by itself, with status 0",
        observed="it was not done after 5 s",
    )


def flooded() -> CheckResult:
    turns = tuple(Turn(speaker="program", text="y\n") for _ in range(400))
    seen = Observation(
        argv=("python3", "pipeline.py", "yes", "|", "head", "-n", "1"),
        command="python3 pipeline.py yes '|' head -n 1 < /dev/null",
        ending=Ending.FLOODED,
        wall_s=0.4,
        within_s=5.0,
        stdout=b"y\n" * 1000,
        turns=turns,
        processes=(
            Process(
                pid=2,
                parent=1,
                name="pipeline.py",
                role="the parent",
                state=State.BLOCKED,
                wait=_wait("wait4", "a child to end", None, "child:any"),
            ),
            Process(pid=3, parent=2, name="yes", role="stage 1", state=State.RUNNING, cpu_s=0.3),
        ),
    )
    diagnosis = Diagnosis(
        slug="too-much-output",
        title="The program writes without end.",
        fact="The program wrote over 8 MiB to standard output and went on; it was ended.",
        why="Output that nobody asked for fills what it is written to.",
        cure="Look for the loop that never ends.",
    )
    return failed(
        "test_ends_writer_when_reader_leaves",
        "A stage that writes without end is ended by SIGPIPE when the next one has read enough.",
        diagnosis,
        seen,
        expected="the program ends by itself, with status 0",
        observed="it wrote without end",
    )


def wrong_output() -> CheckResult:
    expected = "".join(f"line {number}\n" for number in range(1, 41)) + "DOS tres\tcuatro\n" + "the end\n" * 5
    observed = expected.replace("DOS tres\tcuatro", "DOS tre\u200bs cuatro ")
    seen = Observation(
        argv=("python3", "pipeline.py", "cat"),
        command="python3 pipeline.py cat   # with 412 bytes on standard input",
        ending=Ending.EXITED,
        status=0,
        stdout=observed.encode(),
        wall_s=0.03,
        within_s=5.0,
        turns=(
            Turn(speaker="grader", text="dos tres\tcuatro\n"),
            Turn(speaker="program", text="DOS tre\u200bs cuatro \n"),
            Turn(speaker="error", text="\x1b[31mwarning\x1b[0m \u202egnp\n"),
        ),
    )
    diagnosis = Diagnosis(
        slug="wrong-output",
        title="Standard output is not what was promised.",
        fact="Standard output is not what was promised.",
        why="The comparison below shows the first byte that differs.",
        cure="Run the command yourself and look at that place.",
    )
    return failed(
        "test_connects_many_stages",
        "Five commands in a row pass the data on from one to the next, in order.",
        diagnosis,
        seen,
        expected=expected,
        observed=observed,
    )


def wrong_status() -> CheckResult:
    seen = Observation(
        argv=("python3", "pipeline.py", "false", "|", "true"),
        command="python3 pipeline.py false '|' true < /dev/null",
        ending=Ending.EXITED,
        status=1,
        wall_s=0.03,
        within_s=5.0,
        stderr=b"pipeline.py: stage 1 failed\n",
    )
    diagnosis = Diagnosis(
        slug="wrong-status",
        title="The exit status is not that of the last stage",
        fact="'false | true' gave status 1; its last stage ended with 0.",
        why="Whoever calls the pipeline sees one number, and by convention it is the last stage's.",
        cure="Keep the wait status of the process that runs the last command.",
        section="One status for many processes",
    )
    return failed(
        "test_returns_status_of_last_stage",
        "The exit status is that of the last stage, whatever the others return.",
        diagnosis,
        seen,
        observed="assert 1 == 0\n +  where 1 = Ran(status=1).status",
    )


def leftovers() -> CheckResult:
    seen = Observation(
        argv=("./pipeline", "sleep", "100", "|", "true"),
        command="./pipeline sleep 100 '|' true < /dev/null",
        ending=Ending.EXITED,
        status=0,
        wall_s=0.02,
        within_s=5.0,
        processes=(
            Process(
                pid=3,
                parent=1,
                name="sleep",
                role="stage 1",
                state=State.SLEEPING,
                wait=_wait("clock_nanosleep", "its sleep to be over", None, ""),
            ),
        ),
        leftovers=(
            Leftover(kind="process", name="stage 1 (sleep)"),
            Leftover(kind="message queue", name="id 0, key 0x4d2"),
        ),
        unreaped=(3, 4),
        names={4: "stage 2 (true)"},
    )
    diagnosis = Diagnosis(
        slug="process-left-behind",
        title="Processes outlive the program.",
        fact="The program has ended, but stage 1 (sleep) still runs.",
        why="Whoever started the pipeline thinks that it is over.",
        cure="Wait for every child before the program ends.",
        section="Every child is waited for",
    )
    return failed(
        "test_waits_for_all_stages",
        "The pipeline ends after its last stage, and leaves no process.",
        diagnosis,
        seen,
        hidden=True,
        expected="the program ends by itself, with status 0",
        observed="it ended with status 0 and left behind: process stage 1 (sleep), "
        "message queue id 0, key 0x4d2",
    )


def unbuilt() -> tuple[CheckResult, ...]:
    words = b"pipeline.c: In function 'main':\npipeline.c:12:5: error: expected ';' before 'return'\n"
    seen = Observation(
        argv=("gcc", "pipeline.c"),
        command="gcc -g -O1 -o pipeline pipeline.c",
        ending=Ending.EXITED,
        status=1,
        stderr=words,
        wall_s=0.1,
        within_s=30.0,
    )
    diagnosis = Diagnosis(
        slug="does-not-compile",
        title="The program does not compile.",
        fact="pipeline.c:12:5: error: expected ';' before 'return'",
        why="There is nothing to run.",
        cure="Begin with the first message of the compiler.",
    )
    names = {
        "test_runs_one_command": "A single command runs as if it had been started alone.",
        "test_connects_two_stages": "What the first command writes is what the second one reads.",
    }
    return tuple(
        failed(name, claim, diagnosis, seen, expected="a program", observed=words.decode())
        for name, claim in names.items()
    )


REPORTS: dict[str, Report] = {
    "hung": report(PASSED, hung()),
    "signalled": report(PASSED, signalled(), language="c"),
    "timed_out": report(PASSED, timed_out()),
    "flooded": report(flooded()),
    "wrong_output": report(PASSED, wrong_output()),
    "wrong_status": report(PASSED, wrong_status()),
    "skipped": report(PASSED, SKIPPED, level=Level.PROCESS_GROUP),
    "broken": report(PASSED, BROKEN, notices=("submissions/ada.py is older and was not graded",)),
    "leftovers": report(PASSED, leftovers(), language="c"),
    "does_not_compile": report(*unbuilt(), language="c"),
    "twice": report(
        hung(),
        msgspec.structs.replace(hung(), name="test_connects_many_stages", observed="blocked after 0.06 s"),
    ),
    "all_passed": report(PASSED),
}
