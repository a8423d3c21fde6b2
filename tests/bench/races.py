"""How often does a race show by itself, and how many schedules does the explorer need for it?

    python tests/bench/races.py [--runs 100] [--lab LAB]... [--only NAME] [--items 1000]

Every mutant of a lab that must fail a check with schedules, and every victim of tests/programs/races, is run plainly
so many times, in the same set-ups as the check has, and once by the explorer. (Victims are also run with many items.)
Plain runs stop after ten failures: the share is then known well enough. A plain run that does not end in two seconds
counts as a failure.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from grader.content import course
from grader.content import lab as labs
from grader.content import mutant as mutants
from grader.exploring.schedules import Budget, Came, Job, Judge, Nothing, Setup, Trace
from grader.judging import schedules
from grader.judging.judge import judge
from grader.model import CheckResult, Lab, Language, SourceFile, Submission, Verdict
from grader.running.preparation import Prepared

RACES = Path(__file__).parents[1] / "programs" / "races"
ENOUGH = 10
_HANG_S = 2.0
VICTIM_LAB = 'title = "Races"\n[files]\npython = "victim.py"\n'
VICTIM_CHECKS = '''\
from grader import diagnose, points

SETUPS = [("victim", *numbers.split()) for numbers in {setups!r}]


@points(1)
def test_items(schedules):
    """Every item is taken once."""
    schedules(*SETUPS, promise=once)


def once(ran):
    """Every item comes out once, or the total is right."""
    if "total" in ran.out:
        words = ran.out.split()
        assert words[1] == words[3], diagnose("wrong-output", "The total is wrong.")
        return
    producers, consumers, items, capacity = map(int, ran.seen.argv[1:])
    made = sorted((str(producer), str(number)) for producer in range(producers) for number in range(items))
    right = sorted(tuple(line.split()[1:]) for line in ran.out.splitlines()) == made
    assert right, diagnose("wrong-output")  # pytest's own comparison of long lists takes minutes
'''
TINY = ("1 1 2 1", "2 1 2 1", "1 2 2 1", "2 2 2 1", "2 2 2 2")


class Plain:
    """Runs a program as anybody would, in no sandbox: the programs are our own."""

    budget = Budget()

    def __init__(self, prepared: Prepared):
        self._folder = tempfile.TemporaryDirectory()
        self._argv = prepared.argv
        for file in prepared.recipe.files:
            path = Path(self._folder.name) / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            path.chmod(0o755 if file.executable else 0o644)

    def run(self, arguments: Sequence[str], strategy: str, *, story: bool = False) -> Trace:
        program = subprocess.Popen(
            [*self._argv, *arguments], cwd=self._folder.name, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = program.communicate(timeout=_HANG_S)
        except subprocess.TimeoutExpired:
            return Trace(Came.LIVELOCK)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
        code = program.returncode
        if code < 0:
            return Trace(Came.ENDED, None, signal.Signals(-code).name, out, err)
        return Trace(Came.ENDED, code, "", out, err)

    def runs(self, jobs: Iterable[Job]) -> Iterator[Trace]:
        return (self.run(*job) for job in jobs)

    def close(self) -> None:
        self._folder.cleanup()


@dataclass
class Share:
    """Of so many plain runs so many failed."""

    failed: int = 0
    runs: int = 0

    def __str__(self) -> str:
        return f"{self.failed}/{self.runs}"


def plainly(lab: Lab, submission: Submission, check: str, runs: int) -> Share:
    """Run a check with plain runs in the place of schedules."""
    share = Share()

    def count(setups: Sequence[Setup], judged: Judge, budget: Budget) -> Nothing:
        for number in range(runs):
            index = number % len(setups)
            share.failed += bool(judged(index, setups[index].explored.run(setups[index].arguments, "")))
            share.runs += 1
            if share.failed >= ENOUGH:
                break
        return Nothing(share.runs, len(setups), 0)

    made: dict[str, Plain] = {}

    def runner(self: schedules.Schedules, program: str, arguments: tuple[str, ...]) -> Plain:
        if program not in made:
            made[program] = Plain(self.bench.workshop.named(program))
        return made[program]

    with (
        mock.patch.object(schedules.search, "search", count),
        mock.patch.object(schedules.Schedules, "runner", runner),
    ):
        judge(lab, submission, select=exactly(check))
    for each in made.values():
        each.close()
    return share


def explored(lab: Lab, submission: Submission, check: str) -> str:
    """What the explorer needs."""
    result: CheckResult = judge(lab, submission, select=exactly(check)).checks[0]
    if result.verdict is not Verdict.FAILED or result.diagnosis is None:
        return f"{result.verdict.value} {result.reason}".strip()
    schedule = result.observation.schedule if result.observation else None
    if schedule is None:
        return f"by a plain run: {result.diagnosis.slug}"
    switches = {0: "no switch", 1: "one switch"}.get(
        schedule.switches if schedule.switches is not None else 9, "more"
    )
    return f"{schedule.tried} ({switches}): {result.diagnosis.slug}"


def exactly(check: str) -> str:
    """A pattern that only this name matches."""
    return f"{check[:-1]}[{check[-1]}]"


def racy(lab: Lab) -> set[str]:
    """The checks of a lab that use schedules."""
    found = set()
    for path in (lab.root / "checks.py", lab.root / "hidden.py"):
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        found |= {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and any(each.arg == "schedules" for each in node.args.args)
        }
    return found


def report(name: str, check: str, shares: Sequence[Share], needed: str) -> None:
    """One line of the table."""
    print(f"{name:42} {check:44} {'  '.join(f'{share!s:>7}' for share in shares)}  {needed}", flush=True)


def of_lab(lab: Lab, runs: int, only: str) -> None:
    """The mutants of a lab."""
    checks = racy(lab)
    for mutant in mutants.load(lab) if checks else ():
        for check in sorted(checks & mutant.fails.keys()):
            if only in mutant.name and mutant.fails[check]:
                wrong = mutants.submission(mutant, lab)
                report(
                    f"{lab.slug} {mutant.name}",
                    check,
                    [plainly(lab, wrong, check, runs)],
                    explored(lab, wrong, check),
                )


def of_victims(runs: int, only: str, items: int) -> None:
    """The victims, with few items and with many."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for name, setups in (("tiny", TINY), ("many", [f"2 2 {items} 2"])):
            root = Path(folder) / name / "labs" / "victim"
            root.mkdir(parents=True)
            (root / "lab.toml").write_text(VICTIM_LAB)
            (root / "checks.py").write_text(VICTIM_CHECKS.format(setups=list(setups)))
            made.append(labs.load(root))
        drive = SourceFile(path="drive.py", data=(RACES / "drive.py").read_bytes())
        for path in sorted(RACES.glob("*.py")):
            if path.stem == "drive" or only not in path.stem:
                continue
            wrong = Submission(
                student=path.stem, origin="", language=Language.PYTHON, entry="victim.py",
                files=(SourceFile(path="victim.py", data=path.read_bytes()), drive),
            )  # fmt: skip
            shares = [plainly(lab, wrong, "test_items", runs) for lab in made]
            report(path.stem, f"plain: tiny, {items} items", shares, explored(made[0], wrong, "test_items"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lab", action="append", help="[default: all that have such checks]")
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--items", type=int, default=1000, help="for the victims' second column")
    options = parser.parse_args()
    here = course.find()
    print(f"{'program':42} {'check':44} {'plain runs that show it':>17}  schedules until it is found")
    for slug in options.lab or here.slugs:
        of_lab(course.load_lab(here, slug), options.runs, options.only)
    if not options.lab:
        of_victims(options.runs, options.only, options.items)
    return 0


if __name__ == "__main__":
    sys.exit(main())
