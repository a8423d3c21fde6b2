"""The command line: what each command prints, and its exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from courses import HOLDS_BACK, RIGHT, WRONG, hand_in, make
from victims import ROOT

from grader import cli
from grader.model import Level
from grader.reporting import store
from grader.running import machine

Run = Callable[..., tuple[int, str, str]]
DEADLINE_S = 60.0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a small course: status, standard output, standard error."""
    make(tmp_path / "course")
    monkeypatch.chdir(tmp_path / "course")
    monkeypatch.setenv("COLUMNS", "96")
    monkeypatch.delenv("PROCLAB_COURSE", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["proclab", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return call


COMMANDS = list(cli.cli.commands)


def test_has_the_commands_that_the_brief_names() -> None:
    assert set(COMMANDS) == {
        "list", "start", "check", "explain", "grade", "regrade", "report", "release", "new", "build", "verify", "doctor",
        "completion", "nbgrader", "export",
    }  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_helps_with_every_command(run: Run, command: str) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    assert command in ("list", "doctor") or "Example" in out
    assert all(len(line) <= 96 for line in out.splitlines())


def test_lists_the_labs(run: Run) -> None:
    status, out, _ = run("list")
    assert status == 0
    assert re.search(r"echo +An echo +\(python; 3 checks, 3 points\)", out)


# ---------------------------------------------------------------- start


def test_starts_a_lab(run: Run) -> None:
    status, out, _ = run("start", "echo")
    assert status == 0
    assert "YOUR CODE HERE" in Path("echo/echo.py").read_text()
    assert "SOLUTION" not in Path("echo/echo.py").read_text()
    assert "# An echo" in Path("echo/README.md").read_text()
    assert out.endswith("then: proclab check echo\n")


def test_starts_a_lab_elsewhere(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("start", "echo", str(tmp_path / "my work"))
    assert status == 0
    assert (tmp_path / "my work" / "echo.py").exists()
    assert f"proclab check echo '{tmp_path}/my work'" in out


def test_never_overwrites_work(run: Run) -> None:
    run("start", "echo")
    Path("echo/echo.py").write_text("my work")
    Path("echo/README.md").unlink()
    status, _, err = run("start", "echo")
    assert status == 2
    assert err == (
        "proclab: echo/echo.py: exists already and is not overwritten\n"
        "cure: choose another folder, or move this file away if you want to begin anew\n"
    )
    assert Path("echo/echo.py").read_text() == "my work"
    assert not Path("echo/README.md").exists()


def test_says_which_languages_there_are(run: Run) -> None:
    status, _, err = run("start", "echo", "--language", "c")
    assert (status, err) == (2, "proclab: echo has no skeleton in c\ncure: choose python\n")


# ---------------------------------------------------------------- check


@pytest.mark.usefixtures("full")
def test_checks_work_that_is_right(run: Run) -> None:
    hand_in(Path("."), echo=RIGHT)
    status, out, _ = run("check", "echo")
    assert status == 0
    assert "An echo (echo)  echo, echo.py: 2 checks" in out
    assert "  passed   1 of 1    What goes in comes out." in out
    assert "2 of 2 points  (2 passed)" in out
    assert "secrets" not in out


@pytest.mark.usefixtures("full")
def test_explains_work_that_is_wrong(run: Run) -> None:
    hand_in(Path("."), echo=HOLDS_BACK)
    status, out, _ = run("check", "echo")
    assert status == 1
    assert "  failed   0 of 1    Each line is answered at once." in out
    assert "FAILED  test_answers" in out
    assert "proclab explain output-held-back" in out
    assert out.index("  failed   0 of 1") < out.index("FAILED  test_answers")


@pytest.mark.usefixtures("full")
def test_checks_the_current_folder_and_one_check(run: Run) -> None:
    Path("echo.py").write_text(HOLDS_BACK)
    assert run("check", "echo", "-k", "copies")[0] == 0
    assert run("check", "echo", "-k", "test_ans*")[0] == 1
    status, _, err = run("check", "echo", "-k", "test_copy")
    assert status == 2
    assert "did you mean test_copies?" in err
    assert "secrets" not in err


@pytest.mark.usefixtures("full")
def test_shows_the_skeleton_as_not_written_yet(run: Run) -> None:
    run("start", "echo")
    status, out, _ = run("check", "echo")
    assert status == 1
    assert "0 of 2 points" in out


@pytest.mark.usefixtures("full")
def test_prints_json(run: Run, tmp_path: Path) -> None:
    hand_in(Path("."), echo=RIGHT)
    status, out, _ = run("check", "echo", "--json")
    assert status == 0
    (tmp_path / "x.json").write_text(out)
    assert store.read(tmp_path / "x.json").score == 2


@pytest.mark.usefixtures("full")
def test_prints_an_event_on_each_line(run: Run) -> None:
    hand_in(Path("."), echo=WRONG)
    status, out, _ = run("check", "echo", "--jsonl")
    assert status == 1
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["begin", "check", "check", "end"]
    assert events[0]["total"] == 2
    assert events[1]["result"]["verdict"] == "failed"
    assert events[3]["report"]["lab"] == "echo"


def test_says_that_there_is_nothing_to_check(run: Run) -> None:
    status, _, err = run("check", "echo")
    assert status == 2
    assert "there is no echo to check here" in err
    assert "proclab start echo" in err


@pytest.mark.usefixtures("full")
def test_a_broken_check_is_no_failure_of_the_student(run: Run) -> None:
    checks = Path("labs/echo/checks.py")
    checks.write_text(checks.read_text().replace('run("echo", stdin="uno\\ndos\\n")', "nonsense()"))
    hand_in(Path("."), echo=RIGHT)
    status, out, _ = run("check", "echo")
    assert status == 2
    assert "This is the grader's fault, or the lab's, not the program's." in out


# ---------------------------------------------------------------- grade and report


@pytest.mark.usefixtures("full")
def test_grades_a_class(run: Run, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=HOLDS_BACK)
    (folder / "nobody").mkdir()
    (folder / "README.md").write_text("three students")
    status, out, err = run("grade", "echo", str(folder), "-j", "2")
    assert status == 0, err
    assert "README.md was passed over" in out
    assert re.search(r"^\[./3\] ada: 3 of 3 points \(3 passed\) [0-9.]+ s – [0-9]+/min", out, re.MULTILINE)  # noqa: RUF001
    assert "1 of 3: submission-unreadable" in out
    assert "3 submissions; gradebook grades/echo/gradebook.csv, reports in grades/echo/reports/" in out
    book = Path("grades/echo/gradebook.csv").read_text().splitlines()
    assert book[0].startswith(
        "student,score,max_score,percent,passed,failed,broken,skipped,level,test_copies,"
    )
    assert [line.split(",")[:2] for line in book[1:]] == [["ada", "3"], ["bob", "2"], ["nobody", "0"]]
    assert sorted(os.listdir("grades/echo/reports")) == [
        f"{student}.{kind}" for student in ("ada", "bob", "nobody") for kind in ("html", "json", "txt")
    ]
    status, again, _ = run("report", "grades/echo")
    assert status == 0
    assert again.strip() in out
    status, _, err = run("export", "junit", "grades/echo", "-o", "junit.xml")
    assert (status, err) == (0, "wrote junit.xml\n")
    assert Path("junit.xml").read_text().count("<testsuite ") == 3
    status, _, err = run("export", "gradescope", "grades/echo")
    assert (status, err) == (0, "wrote 3 files to grades/echo/gradescope\n")
    status, out, _ = run("report", "grades/echo/reports/bob.json")
    assert status == 0
    assert out == Path("grades/echo/reports/bob.txt").read_text()
    assert "FAILED  test_answers" in out
    status, out, _ = run("report", "grades/echo/reports/bob.json", "--html", "-")
    assert status == 0
    assert out == Path("grades/echo/reports/bob.html").read_text()
    status, out, _ = run("report", "grades/echo/reports/bob.json", "--html", "bob.html", "--reveal")
    assert (status, out) == (0, "wrote bob.html\n")
    assert "<!DOCTYPE html>" in Path("bob.html").read_text()


@pytest.mark.usefixtures("full")
def test_tells_programs_how_a_class_gets_on(run: Run, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=HOLDS_BACK)
    (folder / "README.md").write_text("two students")
    for unchanged in (False, True):
        status, out, err = run("grade", "echo", str(folder), "-j", "1", "--progress", "json")
        assert (status, err) == (0, "")
        events = [json.loads(line) for line in out.splitlines()]
        kinds = ["note", "begin", "begun", "begun", "graded", "graded", "end"]
        assert sorted(event["event"] for event in events) == sorted(kinds)
        ada = next(event for event in events if event["event"] == "graded" and event["student"] == "ada")
        assert (ada["score"], ada["max_score"], ada["verdicts"]["passed"]) == (3, 3, 3)
        assert ada["unchanged"] is unchanged
        assert ada["left_s"] is None if unchanged else ada["left_s"] >= 0
        last = events[-1]
        assert (last["graded"], last["unchanged"], last["students"]) == (0, 2, 2) if unchanged else (2, 0, 2)
        assert Path(last["gradebook"]).exists()


@pytest.mark.usefixtures("full")
def test_is_quiet_if_it_is_asked_to_be(run: Run, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada=RIGHT)
    status, out, err = run("grade", "echo", str(folder), "--quiet")
    assert (status, err) == (0, "")
    assert out == "1 submission; gradebook grades/echo/gradebook.csv, reports in grades/echo/reports/\n"
    assert "1 submission unchanged" in run("grade", "echo", str(folder), "-q")[1]


@pytest.mark.usefixtures("full")
def test_grades_single_submissions_elsewhere(run: Run, tmp_path: Path) -> None:
    hand_in(tmp_path / "class", ada=RIGHT)
    status, _, _ = run(
        "grade",
        "echo",
        str(tmp_path / "class" / "ada" / "echo.py"),
        "-o",
        str(tmp_path / "out"),
        "-k",
        "copies",
    )
    assert status == 0
    assert store.read(tmp_path / "out" / "reports" / "ada.json").score == 2


@pytest.mark.usefixtures("full")
def test_grades_again_after_a_check_was_changed(run: Run, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=HOLDS_BACK, eve=WRONG)
    assert run("grade", "echo", str(folder), "-q")[0] == 0
    checks = Path("labs/echo/checks.py")
    changed = checks.read_text().replace('.prints("uno\\ndos\\n")', '.says("dos")')
    assert changed != checks.read_text()
    checks.write_text(changed)
    status, out, err = run("regrade", "grades/echo")
    assert (status, err) == (0, "")
    assert "echo graded again: 0 gained, 2 lost, 1 failed otherwise, 0 unchanged" in out
    assert "  ada  3 to 2 of 3 points\n    test_copies: passed, now failed, -1\n      now     " in out
    assert Path("grades/echo/changes.csv").read_text().count("\n") == 4
    status, out, _ = run("regrade", "grades/echo", "--progress", "json")
    assert status == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events][-2:] == ["end", "changes"]
    assert events[-2]["graded"] == 0
    assert {change["student"] for change in events[-1]["changes"]} == {"ada", "bob", "eve"}


def test_grades_nothing_again_where_nothing_was_graded(run: Run, tmp_path: Path) -> None:
    status, _, err = run("regrade", str(tmp_path))
    assert status == 2
    assert "ledger.jsonl: cannot be read" in err
    assert "cure: name a folder that proclab grade wrote" in err


def test_refuses_to_grade_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, _, err = run("grade", "echo", str(tmp_path / "empty"))
    assert status == 2
    assert err.startswith(f"proclab: {tmp_path}/empty: nobody handed in anything here")
    assert "\ncure: " in err
    assert not Path("grades").exists()


def test_says_what_is_wrong_with_a_report(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format_version": 99}')
    status, _, err = run("report", str(tmp_path / "x.json"))
    assert status == 2
    assert err.startswith(f"proclab: {tmp_path}/x.json: format_version: this is format 99")


# ---------------------------------------------------------------- faults of input


def test_says_which_labs_there_are(run: Run) -> None:
    status, _, err = run("check", "ecco")
    assert status == 2
    assert err.startswith("proclab: there is no lab named 'ecco'\ncure: did you mean echo?")


def test_names_file_and_key_of_a_broken_lab(run: Run) -> None:
    Path("labs/echo/lab.toml").write_text('titel = "An echo"\n[files]\npython = "echo.py"\n')
    status, _, err = run("check", "echo")
    assert status == 2
    assert "labs/echo/lab.toml: titel: " in err
    assert "\ncure: " in err


def test_a_usage_error_has_status_2(run: Run) -> None:
    status, _, err = run("grade", "echo")
    assert status == 2
    assert "Missing argument" in err
    assert run("nonsense")[0] == 2


def test_a_fault_of_its_own_has_status_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_diagnoses", lambda: 1 // 0)
    status, _, err = run("explain")
    assert status == 2
    assert err.endswith("proclab: this is a fault of proclab itself\n")


# ---------------------------------------------------------------- authors


def test_builds_and_checks_what_is_generated(run: Run) -> None:
    assert run("build", "--check")[0] == 0
    Path("skeletons/echo/echo.py").write_text("edited by hand")
    status, out, _ = run("build", "--check")
    assert status == 1
    assert out == "skeletons/echo/echo.py is not what its lab makes of it\ncure: proclab build\n"
    assert run("build")[1] == "wrote skeletons/echo/echo.py\n"
    assert run("build", "--check")[0] == 0


@pytest.mark.usefixtures("full")
def test_verifies_a_lab(run: Run) -> None:
    status, out, _ = run("verify", "echo", "-j", "2")
    assert status == 1
    assert re.search(r"^  ok  mutant forgets-to-flush", out, re.MULTILINE)
    assert "test_copies: no mutant fails it" in out
    assert "not-loud-enough: no mutant earns it" in out
    assert out.rstrip().endswith("echo is not proved")


def test_releases_no_secret(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("release", str(tmp_path / "out"))
    assert status == 0
    assert "proclab list" in out
    text = "".join(path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert "geheim" not in text
    assert "flush()  " not in text
    assert run("release", str(tmp_path / "out"))[0] == 2


def test_writes_autograders_for_platforms(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("release", str(tmp_path / "echo.zip"), "--gradescope", "echo")
    assert status == 0
    assert "holds hidden checks" in out
    assert "run_autograder" in zipfile.ZipFile(tmp_path / "echo.zip").namelist()
    status, out, _ = run("release", str(tmp_path / "bundle"), "--classroom50", "echo")
    assert status == 0
    assert (tmp_path / "bundle" / "autograder.py").exists()
    status, _, err = run("release", str(tmp_path / "x"), "--classroom50", "echo", "--gradescope", "echo")
    assert status == 2
    assert "name one of them" in err


# ---------------------------------------------------------------- everybody


def test_explains_a_diagnosis(run: Run) -> None:
    status, out, _ = run("explain", "write-end-left-open")
    assert status == 0
    assert "  cure      Close every write end" in out
    assert "  source    pipe(7)" in out
    assert "Speak up." in run("explain", "not-loud-enough")[1]


def test_lists_diagnoses(run: Run) -> None:
    status, out, _ = run("explain")
    assert status == 0
    assert out.index("write-end-left-open") < out.index("Only in echo") < out.index("not-loud-enough")


def test_guesses_what_was_meant(run: Run) -> None:
    status, _, err = run("explain", "write-end-open")
    assert status == 2
    assert "did you mean write-end-left-open" in err


def test_explains_without_a_course(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("explain", "write-end-left-open")[0] == 0
    status, _, err = run("list")
    assert status == 2
    assert "there is no course here" in err


def test_the_doctor_says_what_this_machine_can_do(run: Run) -> None:
    status, out, _ = run("doctor")
    assert status == (0 if all(fact.ok for fact in machine.inspect().facts) else 1)
    assert out.startswith(f"isolation level {machine.inspect().level.value}")


def test_the_doctor_tells_the_cure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = machine.Machine(
        Level.PROCESS_GROUP, False, frozenset(),
        (machine.MachineFact("sandbox", False, "bwrap is not installed", "sudo apt-get install bubblewrap"),),
    )  # fmt: skip
    monkeypatch.setattr(machine, "inspect", lambda: ill)
    status, out, _ = run("doctor")
    assert status == 1
    assert "isolation level 4" in out
    assert "  NO   sandbox: bwrap is not installed\n       cure  sudo apt-get install bubblewrap\n" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_the_line_to_add(run: Run, shell: str) -> None:
    status, out, err = run("completion", shell)
    assert status == 0
    assert f"_PROCLAB_COMPLETE={shell}_source" in out
    assert err.startswith("add this line to ~/.")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("proclab ver", {"verify"}),
        ("proclab check e", {"echo"}),
        ("proclab explain write-end", {"write-end-left-open"}),
        ("proclab explain not-l", {"not-loud-enough"}),
        ("proclab check echo -k answers", {"test_answers"}),
    ],
)
def test_completes(run: Run, words: str, wanted: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grader"], capture_output=True, text=True, check=False,
        env=os.environ | {
            "PYTHONPATH": str(ROOT), "_PROCLAB_COMPLETE": "bash_complete",
            "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
        },
    )  # fmt: skip
    assert {line.partition(",")[2] for line in done.stdout.split()} == wanted, done.stderr


# ---------------------------------------------------------------- a terminal, a pipe, Ctrl-C


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "grader", *words]


def surroundings() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}


class Screen:
    """A terminal of 100 columns and what a command wrote to it so far."""

    def __init__(self, *words: str):
        self.master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            command(*words),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=surroundings(),
            start_new_session=True,
        )
        os.close(slave)

    def until(self, words: str = "") -> str:
        """Read until something is shown, or to the end."""
        while not words or words not in self.text:
            ready, _, _ = select.select([self.master], [], [], DEADLINE_S)
            assert ready, f"{words!r} did not come: {self.text}"
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                assert not words, f"ended without {words!r}: {self.text}"
                break
            self.text += data.decode(errors="replace")
        return self.text

    def close(self) -> int:
        try:
            return self.process.wait(timeout=DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.master)


@pytest.mark.usefixtures("full")
def test_shows_progress_on_a_terminal(run: Run, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=HOLDS_BACK, **{"[red]eve": WRONG})
    screen = Screen("grade", "echo", str(folder), "-j", "2")
    text = screen.until()
    assert screen.close() == 0, text
    assert "3/3" in text
    assert "/min" in text
    assert "passed" in text
    assert "[red]eve" in text
    assert "gradebook.csv" in text


@pytest.mark.usefixtures("full")
def test_watches(run: Run) -> None:
    hand_in(Path("."), echo=WRONG)
    screen = Screen("check", "echo", "-k", "copies", "--watch")
    screen.until("waiting for a change")
    assert "0 of 1 points" in screen.text
    screen.text = ""
    part = Path("echo.new")
    # Written again and again until it is seen: the watch begins only after the words that say so.
    for _ in range(100):
        part.write_text(RIGHT)
        part.replace("echo/echo.py")
        if select.select([screen.master], [], [], 0.5)[0]:
            break
    screen.until("1 of 1 points")
    screen.until("waiting for a change")
    screen.process.send_signal(signal.SIGINT)
    assert "Traceback" not in screen.until()
    assert screen.close() == 0


@pytest.mark.usefixtures("full")
def test_ends_quietly_when_its_reader_has_had_enough(run: Run) -> None:
    hand_in(Path("."), echo=WRONG)
    head = shutil.which("head") or "head"
    checking = subprocess.Popen(
        command("check", "echo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings()
    )
    assert checking.stdout is not None
    subprocess.run([head, "-n", "1"], stdin=checking.stdout, stdout=subprocess.DEVNULL, check=True)
    checking.stdout.close()
    assert checking.stderr is not None
    with checking.stderr:
        assert b"Traceback" not in checking.stderr.read()
    checking.wait(timeout=DEADLINE_S)
