"""The proof of a lab: its right programs pass, its known-bad ones fail exactly as declared.

A mutant is *killed* when the checks that it fails, and their diagnoses, are those that mutants.toml
declares, no more and no fewer; else it *survives* and the lab's checks or the declaration are wrong.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from grader.content import lab as labs
from grader.content import mutant as mutants
from grader.judging.judge import judge
from grader.model import CheckResult, Lab, Report, Submission, Verdict

OnProgress = Callable[[str, bool, str], None]


@dataclass(frozen=True)
class Finding:
    """One thing that disproves a lab, or that varies."""

    subject: str
    what: str
    cure: str = ""
    varies: bool = False
    """Two more gradings of the same mutant found nothing: told, and no disproof. The flips bench counts such things.
    For right programs there is no second chance: one wrong accusation is one too many."""


@dataclass(frozen=True)
class Subject:
    """One program of the proof and the failures that it must have: check name to slug."""

    kind: str
    submission: Submission
    fails: dict[str, str]
    may: dict[str, str] = field(default_factory=dict)
    """Failures that may come on top, where the program's own behaviour varies"""

    @property
    def name(self) -> str:
        """What findings and progress call it: ``mutant parent-keeps-write-end``."""
        return f"{self.kind} {self.submission.student}"


def subjects(lab: Lab) -> tuple[Subject, ...]:
    """Everything that the proof runs."""
    right = [Subject("solution", each, {}) for each in labs.solutions(lab)]
    right += [Subject("variant", each, {}) for each in labs.variants(lab)]
    wrong = [
        Subject("mutant", mutants.submission(each, lab), _expanded(each.fails, lab), each.may)
        for each in mutants.load(lab)
    ]
    return (*right, *wrong)


def _expanded(fails: dict[str, str], lab: Lab) -> dict[str, str]:
    """``*`` stands for every check that has no entry of its own; an empty slug exempts one."""
    everywhere = {check.name: fails["*"] for check in lab.checks} if "*" in fails else {}
    named = everywhere | {name: slug for name, slug in fails.items() if name != "*"}
    return {name: slug for name, slug in named.items() if slug}


def outcome(report: Report) -> dict[str, str]:
    """What a report found: check name to slug, or to the verdict where it is not a failure."""
    return {check.name: _said(check) for check in report.checks if check.verdict is not Verdict.PASSED}


def _said(check: CheckResult) -> str:
    if check.verdict is Verdict.FAILED and check.diagnosis is not None:
        return check.diagnosis.slug
    return f"{check.verdict.value}: {check.reason}"


def compare(subject: Subject, report: Report) -> Iterator[Finding]:
    """How a report differs from what the proof demands."""
    found = outcome(report)
    for name in sorted(found.keys() | subject.fails.keys()):
        expected, seen = subject.fails.get(name, "passed"), found.get(name, "passed")
        if expected != seen and seen not in subject.may.get(name, "").split():
            yield Finding(subject.name, f"{name}: {seen}, declared: {expected}", _cure(subject))


def _cure(subject: Subject) -> str:
    if subject.kind == "mutant":
        return f"mend the check, or the entry [{subject.submission.student}] of mutants.toml"
    return "a right program must pass: the check accuses it wrongly, or it is not right"


def _grade(lab: Lab, subject: Subject) -> Report:
    return judge(lab, subject.submission)


def verify(lab: Lab, *, jobs: int = 1, on_progress: OnProgress | None = None) -> tuple[Finding, ...]:
    """Prove a lab; no finding but such as vary means that it is proved.

    :param on_progress: called with the name, whether it was as it should be, and a word about it
    """
    findings = list(_static(lab))
    everything = subjects(lab)
    skeletons = [Subject("skeleton", each, {}) for each in labs.skeletons(lab)]
    tell = on_progress or (lambda name, good, words: None)
    failed_by_some: set[str] = set()
    earned: set[str] = set()
    suspects: list[tuple[Subject, list[Finding]]] = []
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context) as pool:
        running = {pool.submit(_grade, lab, subject): subject for subject in (*everything, *skeletons)}
        for future in as_completed(running):
            subject, report = running[future], future.result()
            judged = _worthless if subject.kind == "skeleton" else compare
            wrong = list(judged(subject, report))
            if subject.kind == "mutant":
                failed_by_some |= {c.name for c in report.checks if c.verdict is Verdict.FAILED}
                earned |= {c.diagnosis.slug for c in report.checks if c.diagnosis is not None}
            if wrong and subject.kind == "mutant":
                suspects.append((subject, wrong))
            else:
                findings += wrong
            tell(
                subject.name,
                not wrong,
                f"{report.score:g} of {report.max_score:g} points, {report.duration_s:.1f} s",
            )
        for subject, wrong in suspects:  # alone now, when nothing else runs
            again = [pool.submit(_grade, lab, subject).result() for _ in range(2)]
            findings += settled(subject, wrong, again)
    findings += _unproved(lab, failed_by_some, earned)
    return tuple(findings)


def settled(subject: Subject, wrong: list[Finding], again: Sequence[Report]) -> list[Finding]:
    """What to say of a mutant that was not as declared, after more gradings of it."""
    if any(True for report in again for _ in compare(subject, report)):
        return wrong
    cure = "find out what varies: the program (then declare it as may), or the grader"
    return [
        Finding(each.subject, f"{each.what} (in one of {len(again) + 1} gradings)", cure, varies=True)
        for each in wrong
    ]


def _worthless(subject: Subject, report: Report) -> Iterator[Finding]:
    """The skeleton as shipped must earn nothing."""
    for check in report.checks:
        if check.points:
            yield Finding(subject.name, f"{check.name}: the skeleton as shipped earns {check.points:g} points",
                          "let the check also ask for something that only a solution does")  # fmt: skip


def _static(lab: Lab) -> Iterator[Finding]:
    """What can be said without running anything."""
    if not any(True for _ in labs.variants(lab)):
        yield Finding("lab", "there is no variant", f"add another right program to {Path('variants')}")


def _unproved(lab: Lab, failed_by_some: set[str], earned: set[str]) -> Iterator[Finding]:
    """Checks that nothing fails and diagnoses that nothing earns are not proved."""
    for check in lab.checks:
        if check.name not in failed_by_some:
            yield Finding(
                "checks", f"{check.name}: no mutant fails it", "add a mutant that this check is for"
            )
    for slug in sorted(set(lab.own_diagnoses) - earned):
        yield Finding("diagnoses", f"{slug}: no mutant earns it", "add a mutant, or take it out of lab.toml")
