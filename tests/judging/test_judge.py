"""The judge on a small lab of its own: each way in which a check can come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.content import lab as labs
from grader.judging.judge import judge
from grader.model import CheckResult, Language, Level, Report, SourceFile, Submission, Verdict

pytestmark = pytest.mark.usefixtures("full")

LAB = """\
title = "Echo"
[files]
python = "echo.py"
c = "echo.c"
"""
CHECKS = '''\
from grader import diagnose, needs, points


@points(2)
def test_prints(run):
    """Says uno."""
    run("echo", "uno").prints("uno\\n")


@points(1)
def test_answers(start):
    """Answers each line."""
    program = start("echo")
    program.send("dos\\n")
    assert program.line() == "dos"
    program.finish()


@points(1)
def test_named(run):
    """Names the fault."""
    assert run("echo", "x", status=None).out == "x\\n", diagnose("output-held-back", "It said something else.")


@points(1)
def test_terminal(talk):
    """Works at a terminal."""
    terminal = talk("echo")
    terminal.type("tres")
    terminal.expect("tres\\r\\ntres\\r\\n")
    terminal.end_of_file()
    terminal.ended()


@points(1)
@needs("a-quantum-computer")
def test_impossible(run):
    """Cannot run here."""


@points(1)
def test_our_fault(run):
    """Has a fault of its own."""
    run("echo", "x", status=None)
    raise ZeroDivisionError("ours")
'''
HIDDEN = '''\
from grader import points


@points(3)
def test_hidden(run):
    """Says whatever it is told to."""
    run("echo", "secret").prints("secret\\n")
'''
RIGHT = """\
import sys
for line in sys.argv[1:] or sys.stdin:
    print(line.strip(), flush=True)
"""

Grade = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def grade(tmp_path: Path) -> Grade:
    """Grade source text with the small lab; the results by name."""
    root = tmp_path / "labs" / "echo"
    root.mkdir(parents=True)
    for name, text in (("lab.toml", LAB), ("checks.py", CHECKS), ("hidden.py", HIDDEN)):
        (root / name).write_text(text)
    lab = labs.load(root)

    def judged(
        source: str, language: Language = Language.PYTHON, **options: object
    ) -> dict[str, CheckResult]:
        entry = {Language.PYTHON: "echo.py", Language.C: "echo.c"}[language]
        submission = Submission(
            student="ada", origin="here", language=language, entry=entry,
            files=(SourceFile(path=entry, data=source.encode()),),
        )  # fmt: skip
        judged.report = judge(lab, submission, **options)  # type: ignore[arg-type, attr-defined]
        return {check.name: check for check in judged.report.checks}  # type: ignore[attr-defined]

    return judged


def _report(grade: Grade) -> Report:
    return grade.report  # type: ignore[attr-defined, no-any-return]


def test_a_right_program(grade: Grade) -> None:
    found = grade(RIGHT)
    assert {name: check.verdict.value for name, check in found.items()} == {
        "test_prints": "passed",
        "test_answers": "passed",
        "test_named": "passed",
        "test_terminal": "passed",
        "test_impossible": "skipped",
        "test_our_fault": "broken",
        "test_hidden": "passed",
    }
    report = _report(grade)
    assert (report.score, report.max_score, report.broken) == (8, 10, True)
    assert found["test_prints"].claim == "Says uno."
    assert "a-quantum-computer" in found["test_impossible"].reason
    assert "ZeroDivisionError: ours" in found["test_our_fault"].reason
    assert "checks.py" in found["test_our_fault"].reason


@pytest.mark.parametrize(
    ("source", "slug"),
    [
        ("print('tres')", "wrong-output"),
        ("", "no-output"),
        ("import sys; sys.exit(4)", "nonzero-exit"),
        ("1/0", "uncaught-exception"),
        ("raise NotImplementedError", "not-implemented"),
        ("import os; os.abort()", "killed-by-signal"),
        ("import signal; signal.pause()", "waits-forever"),
        ("while True: print('spam' * 99999)", "too-much-output"),
        (
            "import os\nos.fork() or os.execvp('sleep', ['sleep', '1000'])",
            "process-left-behind",
        ),
        ("import ctypes; ctypes.CDLL(None).msgget(7, 0o1600)", "object-left-behind"),
    ],
)
def test_wrong_programs(grade: Grade, source: str, slug: str) -> None:
    found = grade(source, select="test_[ph]*")
    assert all(check.points == 0 for name, check in found.items()), found
    assert {check.diagnosis.slug for check in found.values() if check.diagnosis} == {slug}


def test_a_named_diagnosis_keeps_its_words(grade: Grade) -> None:
    found = grade("print('other')", select="test_named")["test_named"]
    assert found.diagnosis is not None
    assert (found.diagnosis.slug, found.diagnosis.fact) == ("output-held-back", "It said something else.")
    assert "other" in found.observed


def test_what_differs_is_kept_whole(grade: Grade) -> None:
    found = grade("print('tres')", select="test_prints")["test_prints"]
    assert (found.expected, found.observed) == ("uno\n", "tres\n")
    assert found.observation is not None
    assert found.observation.command == "python3 echo.py uno < /dev/null"


def test_c_is_compiled_and_graded(grade: Grade) -> None:
    found = grade(
        '#include <stdio.h>\nint main(int n, char **v) { puts(n > 1 ? v[1] : "?"); return 0; }',
        Language.C,
        select="test_prints",
    )
    assert found["test_prints"].verdict is Verdict.PASSED


def test_what_does_not_compile_fails_everything_with_the_compilers_words(grade: Grade) -> None:
    found = grade("int main(void) { retrun 0; }", Language.C)
    assert {check.diagnosis.slug for check in found.values() if check.diagnosis} == {"does-not-compile"}
    assert "retrun" in found["test_prints"].observed
    assert _report(grade).score == 0


def test_hidden_checks_stay_away_from_weak_isolation(grade: Grade) -> None:
    found = grade(RIGHT, level=Level.PROCESS_GROUP)
    assert found["test_prints"].verdict is Verdict.PASSED
    assert found["test_hidden"].verdict is Verdict.SKIPPED
    assert "isolation" in found["test_hidden"].reason
    assert grade(RIGHT, level=Level.PROCESS_GROUP, force=True)["test_hidden"].verdict is Verdict.PASSED


def test_visible_checks_alone(grade: Grade) -> None:
    assert "test_hidden" not in grade(RIGHT, hidden=False)


def test_selection_and_progress(grade: Grade) -> None:
    seen: list[str] = []
    grade(RIGHT, select="answers", on_result=lambda result: seen.append(result.name))
    assert seen == ["test_answers"]


def test_a_broken_check_file_breaks_every_check(grade: Grade, tmp_path: Path) -> None:
    path = tmp_path / "labs" / "echo" / "checks.py"
    path.write_text("import a_module_that_is_not_there\n" + path.read_text())
    found = grade(RIGHT)
    assert {check.verdict for check in found.values()} == {Verdict.BROKEN}
    assert "a_module_that_is_not_there" in found["test_prints"].reason


def test_a_submission_cannot_speak_to_pytest(grade: Grade) -> None:
    """Nothing that a submission brings along reaches the judge's own process."""
    source = "open('conftest.py', 'w').write('raise SystemExit')\nprint('1 passed')"
    assert grade(source, select="test_prints")["test_prints"].verdict is Verdict.FAILED
