"""What only the grader has: more data, more stages, and the nasty cases."""

import random

from grader import diagnose, needs, points


@points(2)
def test_carries_a_gigabyte(run):
    """A gigabyte flows through in bounded memory."""
    run("pipeline", "head", "-c", "1G", "/dev/zero", "|", "cat", "|", "wc", "-c", within=60).prints(
        "1073741824\n"
    )


@points(1)
def test_keeps_every_byte(run):
    """Binary data arrives as it was sent."""
    data = random.Random(1964).randbytes(300_001)  # noqa: S311 (any bytes, the same each time)
    run("pipeline", "cat", "|", "cat", "-u", "|", "cat", "-", stdin=data).prints(data)


@points(2)
def test_stops_at_end_of_file_in_long_pipelines(run):
    """A pipeline of twelve stages ends by itself once its input ends."""
    stages = "|".join(["cat"] * 11).replace("|", " | ").split()
    run("pipeline", *stages, "|", "wc", "-l", stdin="uno\ndos\n").prints("2\n")


@points(2)
def test_ends_every_writer_when_readers_leave(run):
    """SIGPIPE runs back through the whole pipeline when the last stage has read enough."""
    run("pipeline", "yes", "|", "cat", "|", "cat", "-u", "|", "head", "-n", "2").prints("y\ny\n")


@points(1)
def test_waits_for_every_stage(start):
    """The pipeline does not end before its slowest stage, also when that is the first."""
    program = start("pipeline", "cat", "|", "false")
    program.rest()  # 'false' has ended; 'cat' waits for input that is still open
    ran = program.finish(status=None)
    assert ran.status == 1, diagnose(
        "wrong-status", f"The status is {ran.status}, not that of the last stage, which ended first."
    )


@points(1)
def test_reports_a_signal_as_128_plus_n(run):
    """A last stage that was ended by signal N gives status 128+N."""
    for number in (9, 15):
        ran = run("pipeline", "true", "|", "sh", "-c", f"kill${{IFS}}-{number}${{IFS}}$$", status=None)
        assert ran.status == 128 + number, diagnose(
            "wrong-status",
            f"A last stage ended by signal {number} gave status {ran.status}, not {128 + number}.",
        )


@points(1)
def test_reports_what_cannot_be_executed(run):
    """A command that is there but cannot be executed gives status 126 and a message."""
    ran = run("pipeline", "echo", "uno", "|", "/etc/passwd", status=None)
    assert ran.status == 126, diagnose(
        "wrong-status", f"A file without execute permission gave status {ran.status}."
    )
    ran.says("/etc/passwd")


@points(1)
def test_closes_the_gap_of_a_missing_command(run):
    """A missing command in the middle reads nothing and writes nothing; its neighbours see that."""
    ran = run("pipeline", "yes", "|", "no-such-command", "|", "wc", "-c", status=None)
    assert ran.out.split() == ["0"], diagnose("missing-command-stops-others")
    assert ran.status == 0, diagnose(
        "wrong-status", f"The last stage ended with 0; the status is {ran.status}."
    )


@points(1)
def test_works_without_standard_input(run):
    """The pipeline also works when it is started with standard input closed."""
    run("pipeline", "echo", "uno", "|", "cat", "|", "cat", "-u", closed=(0,)).prints("uno\n")


@points(1)
def test_works_without_standard_output(run):
    """The pipeline also works when it is started with standard output closed."""
    ran = run("pipeline", "echo", "uno", "|", "cat", "|", "sort", "-o", "/dev/stderr", closed=(1,))
    assert ran.err == "uno\n", diagnose("wrong-output")


@points(1)
@needs("trace")
def test_reaps_children_whose_exec_failed(run):
    """A child whose command is not found ends at once, and is waited for like the others."""
    ran = run("pipeline", "no-such-command", "|", "no-such-command", "|", "true").reaped_all()
    again = [call for call in ran.history.forks if call.pid in _failed(ran.history)]
    assert not again, diagnose(
        "falls-through-after-exec",
        f"Process {again[0].pid if again else 0} made a child after its exec had failed.",
    )


def _failed(history):
    """Processes whose execve failed and never succeeded."""
    tried = {call.pid for call in history.calls if call.name == "execve" and call.error}
    return tried - {entry.pid for entry in history.execs}
