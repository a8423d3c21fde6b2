"""A class of hundreds: graded, and graded again with the grader killed on the way; throughput by workers.

    python tests/bench/classes.py [--count 500] [--kills 3] [--select stages] [--jobs 1 2] [--seed 1]

The submissions are the samples of the pipeline lab, repeated and edited so that no two are the same. With
--select only some checks are run. What is compared is everything but times and the kernel's numbers of pipes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from grader.reporting import classes, store

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples" / "pipeline"


def hand_in(folder: Path, count: int) -> None:
    """Copies of the samples with a comment of their own, where there is a source to put it into."""
    samples = sorted(SAMPLES.iterdir())
    for number in range(count):
        sample = samples[number % len(samples)]
        name, dot, ending = sample.name.partition(".")
        target = folder / f"{name}-{number:04}{dot}{ending}"
        if sample.is_dir():
            shutil.copytree(sample, target)
            sources = [*target.glob("*.py"), *target.glob("*.c")]
        else:
            shutil.copy(sample, target)
            sources = [target] if target.suffix in (".py", ".c") else []
        for source in sources:
            comment = "#" if source.suffix == ".py" else "//"
            source.write_text(f"{source.read_text()}\n{comment} handed in as number {number}\n")


def grade(
    folder: Path, out: Path, jobs: int, select: str | None, kill_after: int | None = None
) -> dict[str, object]:
    """Grade through the command line; with `kill_after`, until so many events were told. The last event."""
    command = [
        sys.executable,
        "-m",
        "grader",
        "grade",
        "pipeline",
        str(folder),
        "-o",
        str(out),
        "-j",
        str(jobs),
    ]
    if select:
        command += ["-k", select]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PROCLAB_COURSE": str(ROOT)}
    with subprocess.Popen(
        [*command, "--progress", "json"], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        last: dict[str, object] = {}
        for number, line in enumerate(process.stdout, 1):
            last = json.loads(line)
            if number == kill_after:
                process.kill()
    return last


def timeless(path: Path) -> bytes:
    """A report without times and without the kernel's numbers of pipes."""
    made = classes.light(store.read(path))
    checks = tuple(msgspec.structs.replace(check, duration_s=0.0) for check in made.checks)
    made = msgspec.structs.replace(made, started="", duration_s=0.0, checks=checks)
    return re.sub(rb"pipe:\[\d+\]", b"pipe:[N]", msgspec.json.encode(made))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--select")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, len(os.sched_getaffinity(0))])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "class")
        folder.mkdir()
        hand_in(folder, options.count)
        rates = {}
        for jobs in options.jobs:
            out = Path(name, f"jobs-{jobs}")
            started = time.perf_counter()
            grade(folder, out, jobs, options.select)
            rates[jobs] = 60 * options.count / (time.perf_counter() - started)
            print(
                f"{jobs} workers: {rates[jobs]:.0f} submissions a minute (x{rates[jobs] / rates[options.jobs[0]]:.2f})"
            )
        started = time.perf_counter()
        again = grade(folder, out, jobs, options.select)
        print(
            f"unchanged: {again['unchanged']} of {options.count} looked at in {time.perf_counter() - started:.1f} s"
        )
        size = (out / "ledger.jsonl").stat().st_size
        print(f"ledger: {size / 2**20:.1f} MiB, {size / options.count / 1024:.1f} KiB for a submission")
        chance, killed = random.Random(options.seed), Path(name, "killed")
        for _ in range(options.kills):
            grade(
                folder,
                killed,
                jobs,
                options.select,
                chance.randint(1, 2 * options.count // (options.kills + 1)),
            )
        last = grade(folder, killed, jobs, options.select)
        reports = sorted(path.name for path in (out / "reports").glob("*.json"))
        for report in reports:
            different += timeless(out / "reports" / report) != timeless(killed / "reports" / report)
        different += reports != sorted(path.name for path in (killed / "reports").glob("*.json"))
        different += (out / "gradebook.csv").read_bytes() != (killed / "gradebook.csv").read_bytes()
        print(
            f"killed {options.kills} times: {last['unchanged']} of {options.count} were kept, {last['graded']} graded "
            f"after the last; {different} files differ from those of an undisturbed grading"
        )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
