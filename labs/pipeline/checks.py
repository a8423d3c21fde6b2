"""What `pipeline` promises, as far as students may see and run it."""

from grader import diagnose, needs, points

ALL_STAGES = {"stage 1", "stage 2", "stage 3"}


def started(ran, *stages):
    """Every stage was really executed; output that looks right is no evidence of that."""
    if ran.history is None:
        return ran
    seen = {(entry.argv[0].rpartition("/")[2], *entry.argv[1:]) for entry in ran.history.execs if entry.argv}
    missing = [stage for stage in stages if tuple(stage.split()) not in seen]
    assert not missing, diagnose(
        "stage-missing", f"The command '{missing[0] if missing else ''}' was never executed."
    )
    return ran


@points(1)
def test_runs_one_command(run):
    """A single command runs as if it had been started alone."""
    started(run("pipeline", "echo", "uno"), "echo uno").prints("uno\n")


@points(2)
def test_connects_two_stages(run):
    """What the first command writes is what the second one reads."""
    ran = run("pipeline", "cat", "|", "tr", "a-z", "A-Z", stdin="uno\ndos\n")
    started(ran, "cat", "tr a-z A-Z").prints("UNO\nDOS\n")


@points(2)
def test_connects_many_stages(run):
    """Five commands in a row pass the data on from one to the next, in order."""
    stages = ["cat", "|", "tr", "a", "b", "|", "tr", "b", "c", "|", "tr", "c", "d", "|", "tr", "d", "e"]
    run("pipeline", *stages, stdin="banana\n").prints("eenene\n")


@points(2)
def test_stops_at_end_of_file(run):
    """The pipeline ends by itself once its input ends."""
    ran = run("pipeline", "cat", "|", "wc", "-c", stdin=b"x" * 2**20)
    started(ran, "cat", "wc -c").prints("1048576\n")


@points(2)
def test_runs_stages_at_the_same_time(start):
    """All stages run at the same time: a line that goes in comes out while the input is still open."""
    program = start("pipeline", "cat", "|", "cat", "-u", "|", "cat", "-")
    running = {process.role for process in program.rest()}
    missing = sorted(ALL_STAGES - running)
    assert not missing, diagnose(
        "stages-run-in-turn", f"While the input is still open, there is no {' and no '.join(missing)} yet."
    )
    program.send("uno\n")
    assert program.line() == "uno"
    program.finish()


@points(2)
def test_ends_writer_when_reader_leaves(run):
    """A stage that writes without end is ended by SIGPIPE when the next one has read enough."""
    started(run("pipeline", "yes", "|", "head", "-n", "1"), "yes", "head -n 1").prints("y\n")


@points(2)
def test_returns_status_of_last_stage(run):
    """The exit status is that of the last stage, whatever the others return."""
    for stages, status in (("false | true", 0), ("true | false", 1), ("true | ls /no-such-file", 2)):
        ran = started(run("pipeline", *stages.split(), status=None), *stages.split(" | "))
        assert ran.status == status, diagnose(
            "wrong-status", f"'{stages}' gave status {ran.status}; its last stage ended with {status}."
        )


@points(2)
def test_reports_missing_command(run):
    """A command that is not found gives status 127 and a message that names it."""
    for stages in (["no-such-command"], ["echo", "uno", "|", "no-such-command"]):
        ran = run("pipeline", *stages, status=None)
        assert ran.status == 127, diagnose(
            "wrong-status",
            f"'{' '.join(stages)}' gave status {ran.status}; 127 says that a command was not found.",
        )
        ran.says("no-such-command")


@points(1)
def test_runs_other_stages_without_missing_one(run):
    """When one command is not found, the other stages still run."""
    ran = run("pipeline", "no-such-command", "|", "wc", "-c", status=None)
    assert ran.out.split() == ["0"], diagnose(
        "missing-command-stops-others", "'wc -c' did not run, or did not see the end of its empty input."
    )
    assert ran.status == 0, diagnose(
        "wrong-status", f"The last stage ended with 0; the status is {ran.status}."
    )


@points(1)
def test_refuses_empty_stage(run):
    """A stage without a command is a usage error: status 2 and a usage line, and nothing runs."""
    run("pipeline", "echo", "uno", "|", "cat").prints("uno\n")
    for stages in (["echo", "uno", "|"], ["|", "cat"], ["echo", "uno", "|", "|", "cat"], []):
        ran = run("pipeline", *stages, status=None)
        assert ran.status == 2, diagnose(
            "empty-stage-accepted", f"The arguments {stages} gave status {ran.status} instead of 2."
        )
        ran.says("(?i)usage")


@points(1)
def test_passes_arguments_unchanged(run):
    """Arguments reach a command unchanged: blanks, quotes, stars and empty ones too."""
    words = ["a b", "*", "$HOME", "", "it's", '"q"', "back\\slash"]
    ran = run("pipeline", "printf", "%s\\n", *words, "|", "cat")
    assert ran.out.split("\n")[:-1] == words, diagnose("argument-changed")


@points(2)
@needs("proc")
def test_leaks_no_descriptor(start):
    """Each stage has its standard input, output and error, and no other descriptor of the pipes."""
    program = start("pipeline", "cat", "|", "cat", "-u", "|", "cat", "-")
    stages = [process for process in program.rest() if process.role.startswith("stage")]
    assert stages, diagnose("stages-run-in-turn", "No stage runs while the input is open.")
    for stage in stages:
        extra = [f"{d.number} ({d.target})" for d in stage.descriptors if d.number > 2]
        assert not extra, diagnose(
            "descriptor-leaked-into-stage", f"{stage.label} still has descriptor {', '.join(extra)} open."
        )
    program.finish()


@points(2)
@needs("proc")
def test_gives_stages_default_signals(start):
    """In each stage SIGPIPE has its default effect and no signal is blocked."""
    program = start("pipeline", "cat", "|", "cat", "-u")
    stages = [process for process in program.rest() if process.role.startswith("stage")]
    assert stages, diagnose("stages-run-in-turn", "No stage runs while the input is open.")
    for stage in stages:
        assert "SIGPIPE" not in stage.ignored, diagnose(
            "sigpipe-ignored-in-stage", f"{stage.label} ignores SIGPIPE; it inherited that from the parent."
        )
        assert not stage.masked, diagnose(
            "signal-mask-inherited", f"{stage.label} has {', '.join(stage.masked)} blocked."
        )
    program.finish()


@points(2)
@needs("trace")
def test_reaps_every_child(run):
    """Every child has been waited for when the pipeline ends."""
    run("pipeline", "true", "|", "true", "|", "cat").reaped_all()
    run("pipeline", "yes", "|", "head", "-n", "1").reaped_all()


@points(1)
def test_ends_at_ctrl_c(talk):
    """Ctrl-C at the terminal ends all stages and leaves no process behind."""
    terminal = talk("pipeline", "cat", "|", "cat", "-u")
    for stage in terminal.rest():
        if stage.role.startswith("stage"):
            assert "SIGINT" not in (*stage.ignored, *stage.masked), diagnose(
                "signal-ignored-in-stage", f"{stage.label} ignores or blocks SIGINT, which Ctrl-C sends."
            )
            assert stage.foreground, diagnose(
                "wrong-process-group", f"{stage.label} is not in the terminal's foreground process group."
            )
    terminal.type("uno")
    terminal.expect("uno\r\nuno\r\n")
    terminal.interrupt()
    terminal.ended(status=None, allow={"killed-by-signal"})


@points(2)
@needs("trace")
def test_makes_its_own_processes(run):
    """The program makes pipes and processes itself: no shell, popen, system or subprocess does it instead."""
    ran = run("pipeline", "cat", "|", "tr", "a", "b", stdin="a\n", lines=True).prints("b\n")
    history = ran.history
    shells = [e for e in history.execs if e.pid != history.root and e.argv[0].rpartition("/")[2] in SHELLS]
    assert not shells, diagnose(
        "uses-a-shell", f"Process {shells[0].pid} ran: {' '.join(shells[0].argv)}"[:300]
    )
    main = history.execs[0].argv[0].rpartition("/")[2]
    spawned = [call for call in history.forks if call.name == "vfork"]
    assert not (main.startswith("python") and spawned), diagnose(
        "uses-subprocess", "The children were made by vfork, as Python's subprocess module does it."
    )
    line = ran.called("fork_exec")
    assert line is None, diagnose(
        "uses-subprocess", f"{line} makes its children with Python's subprocess module."
    )


SHELLS = {"sh", "bash", "dash", "ksh", "zsh", "busybox"}
