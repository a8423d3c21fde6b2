"""What grading costs: a full grading against the same program runs done bare, and throughput by cores.

    python tests/bench/overhead.py [--lab pipeline] [--repeat 5]

The runs are recorded from a real grading, then repeated with nothing but ``subprocess``: the same
command, the same standard input, no sandbox, no history, no looking. Medians and ratios of one run of
this script; absolute times say nothing on a shared machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.content import course, lab
from grader.judging.judge import judge
from grader.model import Lab, Language, Submission
from grader.running import process


@dataclass
class Run:
    """One program run of a grading: what it was started with and what it was sent."""

    argv: tuple[str, ...]
    closed: tuple[int, ...]
    data: bytearray = field(default_factory=bytearray)


def record(the_lab: Lab, submission: Submission) -> list[Run]:
    """Grade once and write down every run."""
    runs: list[Run] = []
    by_program: dict[int, Run] = {}
    init, send = process.Program.__init__, process.Program.send

    def recorded_init(self: process.Program, recipe: Any, argv: Any, **options: Any) -> None:
        run = Run(tuple(argv), tuple(options.get("closed", ())), bytearray(options.get("stdin") or b""))
        runs.append(run)
        by_program[id(self)] = run
        init(self, recipe, argv, **options)

    def recorded_send(self: process.Program, data: bytes) -> None:
        if not data.startswith(b"\x03"):  # Ctrl-C at a terminal: bare, the end of input ends it
            by_program[id(self)].data += data
        send(self, data)

    process.Program.__init__, process.Program.send = recorded_init, recorded_send  # type: ignore[method-assign]
    try:
        report = judge(the_lab, submission)
    finally:
        process.Program.__init__, process.Program.send = init, send  # type: ignore[method-assign]
    assert report.score == report.max_score, "the solution must pass"
    return runs


def bare(runs: list[Run], folder: Path) -> float:
    """Seconds for the same runs with subprocess alone."""
    started = time.perf_counter()
    for run in runs:
        shut = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in run.closed)
        argv = ["/bin/sh", "-c", f'exec "$@" {shut}', "sh", *run.argv] if shut else list(run.argv)
        subprocess.run(argv, input=bytes(run.data), capture_output=True, cwd=folder, check=False)
    return time.perf_counter() - started


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _grade(slug: str, index: int) -> float:
    the_lab = course.load_lab(course.find(), slug)
    judge(the_lab, lab.solutions(the_lab)[index])
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", default="pipeline")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    the_lab = course.load_lab(course.find(), options.lab)
    for index, solution in enumerate(lab.solutions(the_lab)):
        runs = record(the_lab, solution)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in solution.files:
                (folder / file.path).write_bytes(file.data)
            build = 0.0
            if solution.language is Language.C:
                command = [
                    "gcc",
                    "-std=gnu17",
                    "-O1",
                    "-g",
                    "-Wall",
                    "-Wextra",
                    "-pthread",
                    "-o",
                    options.lab,
                    solution.entry,
                ]
                build = timed(lambda: subprocess.run(command, cwd=folder, check=True))  # noqa: B023
            graded, plain = [], []
            for _ in range(options.repeat):  # in turn, so that a busy moment of the machine strikes both
                graded.append(timed(lambda: judge(the_lab, solution)))  # noqa: B023
                plain.append(bare(runs[1:] if build else runs, folder) + build)
        ratio = statistics.median(graded) / statistics.median(plain)
        print(
            f"{options.lab} {solution.language.value:8} {len(runs):3} runs: graded {statistics.median(graded):.2f} s, "
            f"bare {statistics.median(plain):.2f} s, ratio {ratio:.2f}"
        )
        throughput(options.lab, index)


def throughput(slug: str, index: int) -> None:
    """Gradings a minute with one worker, and with one for each core."""
    rates = {}
    for jobs in (1, len(os.sched_getaffinity(0))):
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("forkserver")) as pool:
            list(pool.map(_grade, [slug] * jobs, [index] * jobs))  # start and warm the workers
            count = 6 * jobs
            started = time.perf_counter()
            list(pool.map(_grade, [slug] * count, [index] * count))
            rates[jobs] = 60 * count / (time.perf_counter() - started)
    words = ", ".join(f"{rate:.0f} a minute with {jobs}" for jobs, rate in rates.items())
    print(f"    throughput: {words} (x{max(rates.values()) / rates[1]:.2f})")


if __name__ == "__main__":
    main()
