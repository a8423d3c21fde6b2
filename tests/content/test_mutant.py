"""Known-bad programs: what they become, and what is wrong with one that cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grader.content import lab as labs
from grader.content import mutant as mutants

Refused = Callable[..., AbstractContextManager[None]]

EDIT = 'edit = { file = "echo.py", old = "    sys.stdout.flush()\\n", new = "" }\n'
GOOD = f'[forgets-to-flush]\nstory = "x"\n{EDIT}fails.test_answers = "output-held-back"\n'


def load(root: Path, text: str) -> tuple[mutants.Mutant, ...]:
    (root / "mutants.toml").write_text(text)
    return mutants.load(labs.load(root))


def test_a_mutant_is_the_solution_with_one_fault(root: Path) -> None:
    (mutant,) = load(root, GOOD)
    program = mutants.submission(mutant, labs.load(root))
    solution = (root / "solution" / "echo.py").read_bytes()
    assert program.files[0].data == solution.replace(b"    sys.stdout.flush()\n", b"")
    assert (program.student, program.entry) == ("forgets-to-flush", "echo.py")


def test_edits_are_made_in_order(root: Path) -> None:
    edits = 'edits = [{ file = "echo.py", old = "flush", new = "close" }, { file = "echo.py", old = "close", new = "go" }]\n'
    (mutant,) = load(root, GOOD.replace(EDIT, edits))
    assert b"sys.stdout.go()" in mutants.submission(mutant, labs.load(root)).files[0].data


def test_a_star_stands_for_all_other_checks_and_an_empty_slug_for_none(root: Path) -> None:
    (mutant,) = load(root, GOOD + 'fails."*" = "wrong-output"\nfails.test_copies = ""\n')
    assert mutant.fails == {"test_answers": "output-held-back", "*": "wrong-output", "test_copies": ""}


def test_a_mutant_may_fail_more(root: Path) -> None:
    (mutant,) = load(root, GOOD + 'may.test_copies = "wrong-output"\n')
    assert mutant.may == {"test_copies": "wrong-output"}
    (mutant,) = load(root, GOOD + 'may.test_copies = "wrong-output no-output"\n')
    assert mutant.may == {"test_copies": "wrong-output no-output"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("flush()", "shut()"), ("forgets-to-flush", "edit 1: 'old' occurs 0 times in echo.py", "unique")),
        (GOOD.replace("    sys.stdout.flush()\\n", "sys"), ("forgets-to-flush", "'old' occurs 4 times in echo.py")),
        (GOOD.replace("    sys.stdout.flush()\\n", ""), ("forgets-to-flush", "'old' is empty", "quote")),
        (GOOD.replace('new = ""', 'new = "    sys.stdout.flush()\\n"'), ("forgets-to-flush", "changes nothing")),
        (GOOD.replace("test_answers", "test_answer"), ("forgets-to-flush.fails.test_answer: is no check", "did you mean test_answers?")),
        (GOOD.replace("output-held-back", "output-held"), ("fails.test_answers: 'output-held' is no diagnosis", "did you mean output-held-back?")),
        (GOOD + 'may.test_x = "wrong-output"\n', ("forgets-to-flush.may.test_x: is no check",)),
        (GOOD + 'may."*" = "wrong-output"\n', ("forgets-to-flush.may.*: ", "name each check")),
        (GOOD + 'may.test_copies = ""\n', ("forgets-to-flush.may.test_copies: ", "name the diagnosis")),
        (GOOD + 'may.test_copies = "no-output zebra"\n', ("forgets-to-flush.may.test_copies: 'zebra' is no",)),
        (GOOD.replace('fails.test_answers = "output-held-back"\n', "fails = {}\n"), ("forgets-to-flush.fails: ", "at least one")),
        (GOOD.replace('"output-held-back"', '""'), ("forgets-to-flush.fails: ", "at least one")),
        (GOOD.replace("fails.test", "fials.test"), ("forgets-to-flush.fials: unknown key", "did you mean fails?")),
        (GOOD.replace("file =", "fyle ="), ("forgets-to-flush.edit.fyle: unknown key", "did you mean file?")),
        (GOOD.replace('"output-held-back"', "3"), ("forgets-to-flush.fails.test_answers: ", "str", "int")),
        (GOOD.replace("forgets-to-flush", "Forgets_it"), ("Forgets_it: is not kebab-case", "parent-keeps-write-end")),
        (GOOD.replace(EDIT, ""), ("forgets-to-flush", "needs an edit", "edit = {")),
        (GOOD.replace(EDIT, EDIT + EDIT.replace("edit = ", "edits = [").replace(" }", " }]")), ("needs an edit, or edits, and not both",)),
        (GOOD.replace('"echo.py"', '"cat.py"'), ("forgets-to-flush.edit: 'cat.py' is no file", "use echo.py")),
        (GOOD.replace(EDIT, 'edits = [{ file = "a", old = "", new = "" }, { file = "b", old = "", new = "" }]\n'), ("changes several files",)),
        ("x = 3\n", ("x: ", "table", "int")),
    ],
)  # fmt: skip
def test_a_wrong_mutant_is_refused(root: Path, refused: Refused, text: str, words: tuple[str, ...]) -> None:
    with refused(root / "mutants.toml", *words):
        load(root, text)


def test_missing_mutants_are_named(root: Path, refused: Refused) -> None:
    (root / "mutants.toml").unlink()
    with refused(root / "mutants.toml", "is missing"):
        mutants.load(labs.load(root))
