"""What disproves a lab, and what only varies."""

from __future__ import annotations

from reports import PASSED, failed, report

from grader.judging.verify import Subject, compare, settled
from grader.model import Diagnosis, Language, Report, Submission


def mutant(**fails: str) -> Subject:
    submission = Submission(
        student="waits-not", origin="mutants.toml", language=Language.PYTHON, entry="x.py", files=()
    )
    return Subject("mutant", submission, fails)


def graded(*slugs: str) -> Report:
    checks = [
        failed(f"test_{slug}", "Holds.", Diagnosis(slug=slug, title=slug, fact=slug), None) for slug in slugs
    ]
    return report(PASSED, *checks)


def test_a_mutant_fails_as_declared_and_in_no_other_way() -> None:
    subject = mutant(test_lost="lost")
    assert list(compare(subject, graded("lost"))) == []
    assert [each.what for each in compare(subject, graded("lost", "spins"))] == [
        "test_spins: spins, declared: passed"
    ]
    assert [each.what for each in compare(subject, graded())] == ["test_lost: passed, declared: lost"]


def test_what_does_not_come_again_varies() -> None:
    subject = mutant(test_lost="lost")
    wrong = list(compare(subject, graded("lost", "spins")))
    (told,) = settled(subject, wrong, [graded("lost"), graded("lost")])
    assert told.varies
    assert "in one of 3 gradings" in told.what


def test_what_comes_again_disproves() -> None:
    subject = mutant(test_lost="lost")
    wrong = list(compare(subject, graded("lost", "spins")))
    assert settled(subject, wrong, [graded("lost"), graded("lost", "spins")]) == wrong
    assert not any(each.varies for each in wrong)
