"""What an instructor uploads so that a platform grades with proclab: for Gradescope and for Classroom 50.

Both hold the grader itself and one lab. Gradescope keeps what it is given to itself, so the hidden checks are in it.
Classroom 50 publishes its autograders on a public page, so they are not: only what students have anyway.
"""

from __future__ import annotations

import io
import json
import re
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from grader.content import course as courses
from grader.content import files
from grader.content import lab as labs
from grader.content.course import Course
from grader.model import Fault, Lab

_PACKAGE = Path(__file__).parents[1]

_SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, when it builds the image: system tools, a virtual environment, dependencies.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends bubblewrap strace gcc libc6-dev make ca-certificates

python=
for name in python3.14 python3.13 python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then # Ubuntu 22.04 has 3.10, and 3.11 beside it
    apt-get install --yes --no-install-recommends python3.11
    python=python3.11
fi
apt-get install --yes --no-install-recommends "$python-venv"
"$python" -m venv /autograder/venv
/autograder/venv/bin/python -m pip install --requirement /autograder/source/requirements.txt
"""

_RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission: /autograder/submission goes in, results/results.json comes out.
set -uo pipefail

# When students see hidden checks: visible, after_due_date, after_published or hidden. Until then Gradescope shows
# them no total either.
hidden_checks=after_due_date

# Containers may refuse the namespaces that keep a program from reading the hidden checks. Then those are not run,
# and not even there. force=--force runs them all the same: for courses whose students would not look.
force=

root=/autograder
lab=@LAB@
export PYTHONPATH=$root/source PYTHONDONTWRITEBYTECODE=1 PROCLAB_COURSE=$root/source/course
proclab() { "$root/venv/bin/python" -m grader "$@"; }

level=$(proclab doctor | sed -n 's/^isolation level \\([0-9]\\).*/\\1/p')
if [ "${level:-4}" -gt 2 ] && [ -z "$force" ]; then
    rm -f "$root/source/course/labs/$lab/hidden.py"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$root/results"
# Status 2 with a report: the grader failed at some check, which the results say. Without one: Gradescope tells you.
proclab grade "$lab" "$root/submission" --one --jobs 1 --quiet $force -o "$work"
reports=("$work"/reports/*.json)
[ -e "${reports[0]}" ] || exit 1
proclab export gradescope "${reports[0]}" --hidden-checks "$hidden_checks" -o "$root/results/results.json"
"""

_AUTOGRADER = '''\
"""Grades one submission of @LAB@ for Classroom 50: put this folder at CLASSROOM/autograders/ASSIGNMENT/.

Everything here is published on a public page, so there are no hidden checks. The work is the current folder;
result.json and release-body.md are written into it. Another status than 0 is an error of the grader, not of the work.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = (HERE / "requirements.txt").read_text().split()
MODULES = [name.split(">")[0].split("=")[0] for name in NEEDED]

if any(importlib.util.find_spec(name) is None for name in MODULES):
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--user", "--requirement", HERE / "requirements.txt"]
    subprocess.run(install, check=True)
# Ubuntu 24.04 refuses namespaces to programs without a profile.
if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
    allow = ["sudo", "-n", "sysctl", "--quiet", "--write", "kernel.apparmor_restrict_unprivileged_userns=0"]
    subprocess.run(allow, check=False)

environment = os.environ | {"PYTHONPATH": str(HERE), "PROCLAB_COURSE": str(HERE / "course")}


def proclab(*words, **options):
    return subprocess.run([sys.executable, "-m", "grader", *words], env=environment, check=False, **options)


# The commit's date is when it was handed in; it stays the same when it is graded again.
when = subprocess.run(
    ["git", "log", "-1", "--date=iso-strict-local", "--format=%cd"],
    env=os.environ | {"TZ": "UTC"}, capture_output=True, text=True, check=False,
).stdout.strip()

with tempfile.TemporaryDirectory() as folder:
    report = Path(folder, "report.json")
    with open(report, "wb") as file:
        status = proclab("check", "@LAB@", ".", "--json", stdout=file).returncode
    if status > 1:
        sys.exit("proclab could not grade this submission")
    for words in (
        ("classroom50", report, "--submitted", when, "-o", "result.json"),
        ("markdown", report, "-o", "release-body.md"),
    ):
        if proclab("export", *words).returncode:
            sys.exit("proclab could not write its results")
'''


def gradescope(course: Course, slug: str) -> bytes:
    """The zip archive to upload as an autograder. It holds the hidden checks, but no solution.

    :raises Fault: if there is no such lab, or the grader's own files cannot be found
    """
    lab = courses.load_lab(course, slug)
    contents = _grader() | _lab(course, lab, hidden=True)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", _SETUP), ("run_autograder", _RUN.replace("@LAB@", slug))):
            _put(archive, name, text.encode(), 0o755)
        for name, data in sorted(contents.items()):
            _put(archive, name, data, 0o644)
    return made.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    info = zipfile.ZipInfo(name)  # without a time: the same course makes the same archive
    info.create_system, info.external_attr = 3, (0o100000 | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def classroom50(course: Course, slug: str, destination: Path) -> tuple[Path, ...]:
    """Write the folder of an autograder for Classroom 50; gives the files in it. Nothing in it is secret.

    :raises Fault: if there is no such lab, or it cannot be written
    """
    lab = courses.load_lab(course, slug)
    contents = _grader() | _lab(course, lab, hidden=False)
    contents["autograder.py"] = _AUTOGRADER.replace("@LAB@", slug).encode()
    packages = ["bubblewrap", "strace", "gcc", "make"]
    runtime = {"runs-on": "ubuntu-latest", "python": "3.12", "apt": packages}
    contents["runtime.json"] = (json.dumps(runtime, indent=2) + "\n").encode()
    try:
        for name, data in sorted(contents.items()):
            files.write(destination / name, data)
    except OSError as error:
        raise Fault(
            f"cannot be written: {error.strerror}", where=destination, cure="name another folder"
        ) from None
    return tuple(destination / name for name in sorted(contents))


def _grader() -> dict[str, bytes]:
    """The grader's own files, and what it depends on."""
    found = {
        f"grader/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    found["requirements.txt"] = "".join(f"{name}\n" for name in _dependencies()).encode()
    return found


def _dependencies() -> list[str]:
    """The packages that the grader needs, without extras."""
    try:
        said = metadata.requires("proclab") or []
    except metadata.PackageNotFoundError:  # run from a clone
        path = _PACKAGE.parent / "pyproject.toml"
        if not path.is_file():
            raise Fault("is neither installed nor a clone", where="proclab", cure="pip install it") from None
        said = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]
    return sorted(re.sub(r"\s+", "", name) for name in said if "extra ==" not in name)


def _lab(course: Course, lab: Lab, *, hidden: bool) -> dict[str, bytes]:
    """A course of this lab alone, without what only its author needs."""
    title = json.dumps(course.title, ensure_ascii=False)  # a basic string of TOML is written as one of JSON
    found = {"course/labs/course.toml": f'title = {title}\nlabs = ["{lab.slug}"]\n'.encode()}
    names = ["lab.toml", "brief.md", "checks.py", *(labs.DRIVERS[each] for each in labs.drivers(lab))]
    if hidden and (lab.root / "hidden.py").exists():
        names.append("hidden.py")
    for name in names:
        found[f"course/labs/{lab.slug}/{name}"] = (lab.root / name).read_bytes()
    for skeleton in labs.skeletons(lab):  # to tell a file that nobody has worked on
        found[f"course/skeletons/{lab.slug}/{skeleton.entry}"] = skeleton.files[0].data
    return found
