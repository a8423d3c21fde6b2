"""Does the grader ever change its mind? Every program graded again and again on a loaded machine.

    python tests/bench/flips.py [--runs 170] [--lab pipeline] [--minutes 60] [--idle] [--only NAME]

Each grading's outcome (check and diagnosis) is compared with the declared one. While it runs, every
core is also kept busy by a spinning process at the same priority. The last line is the count; a flip
is printed at once with what was seen.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from grader.content import course
from grader.judging import verify
from grader.judging.judge import judge

_SPIN = "while True: pass"


def _grade(slug: str, name: str) -> tuple[str, list[str]]:
    lab = course.load_lab(course.find(), slug)
    subject = next(each for each in verify.subjects(lab) if each.name == name)
    report = judge(lab, subject.submission)
    wrong = [finding.what for finding in verify.compare(subject, report)]
    facts = [
        f"    {check.name}: {check.diagnosis.fact} {check.observed} {'; '.join(check.diagnosis.evidence)}"
        for check in report.checks
        if check.diagnosis and any(what.startswith(check.name) for what in wrong)
    ]
    return name, wrong + facts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=170)
    parser.add_argument("--lab", default="pipeline")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="stop early, and say how far it came"
    )
    parser.add_argument("--idle", action="store_true", help="without the load")
    parser.add_argument("--only", default="", help="programs whose name contains this")
    options = parser.parse_args()
    lab = course.load_lab(course.find(), options.lab)
    names = [subject.name for subject in verify.subjects(lab) if options.only in subject.name]
    cores = len(os.sched_getaffinity(0))
    spinners = [] if options.idle else [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(cores)]
    flips: Counter[str] = Counter()
    graded = 0
    started = time.monotonic()
    try:
        with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("forkserver")) as pool:
            for round_number in range(options.runs):
                if time.monotonic() - started > options.minutes * 60:
                    break
                for future in as_completed([pool.submit(_grade, options.lab, name) for name in names]):
                    name, wrong = future.result()
                    graded += 1
                    if wrong:
                        flips[name] += 1
                        print(f"round {round_number + 1}, {name}: {chr(10).join(wrong)}", flush=True)
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    load = "idle" if options.idle else f"{cores} cores loaded"
    print(
        f"{options.lab}: {sum(flips.values())} flips in {graded} gradings of {len(names)} programs "
        f"({graded // max(1, len(names))} each, {load}, {(time.monotonic() - started) / 60:.1f} min)"
    )
    return bool(flips)


if __name__ == "__main__":
    sys.exit(main())
