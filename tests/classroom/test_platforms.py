"""What platforms run, run as they run it: Gradescope's layout, Classroom 50's runner, a step of GitHub Actions."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import jsonschema
import pytest
from courses import HOLDS_BACK, RIGHT, make
from victims import ROOT

from grader.content import autograders, handout, release
from grader.content import course as courses
from grader.content.course import Course
from grader.model import Language

pytestmark = pytest.mark.usefixtures("full")

SCHEMAS = ROOT / "tests" / "reporting" / "schemas"
DEADLINE_S = 180.0


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make(tmp_path / "course")


def valid(path: Path, name: str) -> dict[str, object]:
    made: dict[str, object] = json.loads(path.read_bytes())
    jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(made)
    return made


# ---------------------------------------------------------------- Gradescope


def gradescope(course: Course, folder: Path, spoil: str = "", **submission: str) -> tuple[int, str]:
    """Run an autograder in a bare layout of Gradescope's container: no network, and nothing of this machine but
    /usr, /etc and an interpreter in the place where setup.sh puts one.

    :param spoil: a file of the autograder that is not as it should be
    """
    for name in ("source", "submission", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(autograders.gradescope(course, "echo"))) as archive:
        archive.extractall(folder / "source")
    if spoil:
        (folder / "source" / spoil).write_text("not what it should be")
    shutil.copy(folder / "source" / "run_autograder", folder / "run_autograder")
    (folder / "run_autograder").chmod(0o755)
    for name, text in submission.items():
        path = folder / "submission" / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [
        "bwrap",
        "--die-with-parent",
        "--unshare-net",
        "--clearenv",
        "--setenv",
        "PATH",
        "/usr/bin:/usr/sbin",
    ]
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if Path("/", name).is_symlink():
            command += ["--symlink", os.readlink(Path("/", name)), f"/{name}"]
        elif Path("/", name).is_dir():
            command += ["--ro-bind", f"/{name}", f"/{name}"]
    command += ["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--tmpfs", "/tmp", "--dev", "/dev"]
    if not sys.base_prefix.startswith("/usr"):
        command += ["--ro-bind", sys.base_prefix, sys.base_prefix]
    command += [
        "--proc",
        "/proc",
        "--bind",
        str(folder),
        "/autograder",
        "--ro-bind",
        sys.prefix,
        "/autograder/venv",
    ]
    done = subprocess.run(
        [*command, "--chdir", "/autograder", "./run_autograder"],
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    if done.stderr.startswith("bwrap: "):
        pytest.skip(done.stderr.strip())
    return done.returncode, done.stdout + done.stderr


def test_gradescope_grades_a_submission(course: Course, tmp_path: Path) -> None:
    folder = tmp_path / "autograder"
    (folder / "venv").mkdir(parents=True)
    status, said = gradescope(
        course, folder, work__echo_py=HOLDS_BACK, notes__todo_py="print('not the lab')\n"
    )
    assert status == 0, said
    told = valid(folder / "results" / "results.json", "gradescope")
    tests = {test["extra_data"]["check"]: test for test in told["tests"]}  # type: ignore[attr-defined]
    assert tests["test_copies"]["status"] == "passed"
    assert tests["test_answers"]["status"] == "failed"
    assert "output-held-back" in tests["test_answers"]["tags"]
    if told["extra_data"]["isolation_level"] <= 2:  # type: ignore[index]
        assert tests["test_copies_secrets"]["visibility"] == "after_due_date"
        assert told["score"] == 2
    else:  # no namespaces in there: then what must stay hidden is not there either
        assert "test_copies_secrets" not in tests
        assert not (folder / "source" / "course" / "labs" / "echo" / "hidden.py").exists()
        assert "provisional" in str(told["output"])
    assert "geheim" not in (folder / "results" / "results.json").read_text()


def test_gradescope_is_told_why_a_submission_cannot_be_read(course: Course, tmp_path: Path) -> None:
    folder = tmp_path / "autograder"
    (folder / "venv").mkdir(parents=True)
    status, said = gradescope(course, folder, README="Dear grader")
    assert status == 0, said
    told = valid(folder / "results" / "results.json", "gradescope")
    assert told["score"] == 0
    assert "holds no program of echo" in (folder / "results" / "results.json").read_text()


def test_gradescope_is_told_nothing_if_the_grader_cannot_begin(course: Course, tmp_path: Path) -> None:
    """Without results Gradescope tells the instructor, and nobody gets no points for it."""
    folder = tmp_path / "autograder"
    (folder / "venv").mkdir(parents=True)
    status, said = gradescope(course, folder, "course/labs/echo/lab.toml", echo_py=RIGHT)
    assert status == 1, said
    assert "proclab: " in said
    assert not (folder / "results" / "results.json").exists()


# ---------------------------------------------------------------- Classroom 50


def classroom50(course: Course, tmp_path: Path, program: str) -> tuple[int, str, Path]:
    """Run an autograder as the runner does: in the checkout, with its variables; and what it said."""
    bundle, checkout = tmp_path / "bundle", tmp_path / "checkout"
    autograders.classroom50(course, "echo", bundle)
    checkout.mkdir()
    (checkout / "echo.py").write_text(program)
    (checkout / ".classroom50.yaml").write_text("classroom: ipc\nassignment: echo\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    when = os.environ | {"GIT_COMMITTER_DATE": "2026-06-01T16:32:01+02:00", "GIT_CONFIG_GLOBAL": os.devnull}
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=checkout, env=when, check=True)
    variables = {
        "CLASSROOM": "ipc", "ASSIGNMENT": "echo", "SUBMISSION_TAG": "submit/2026-06-01T14-32-05Z-a1b2c3d",
        "COMMIT_URL": "https://github.com/x/y/commit/1", "RELEASE_URL": "https://github.com/x/y/releases/1",
        "REVIEW_URL": "https://github.com/x/y/compare/0...1", "USERNAME": "ada", "OWNER": "ada",
        "ASSIGNMENT_TYPE": "individual", "GIT_CONFIG_GLOBAL": os.devnull,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(bundle / "autograder.py")], cwd=checkout, env=os.environ | variables,
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, checkout


def test_classroom_50_gets_a_result(course: Course, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    status, said, checkout = classroom50(course, tmp_path, HOLDS_BACK)
    assert status == 0, said
    told = valid(checkout / "result.json", "classroom50")
    assert (told["score"], told["max-score"], told["owner"]) == (1, 2, "ada")
    assert told["datetime"] == "2026-06-01T14:32:01Z", "the commit's date, in UTC"
    assert "output-held-back" in (checkout / "release-body.md").read_text()


def test_classroom_50_is_told_of_an_error_of_the_grader_by_the_status(course: Course, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    checks = course.root / "labs" / "echo" / "checks.py"
    checks.write_text(checks.read_text().replace('run("echo", stdin="uno\\ndos\\n")', "nonsense()"))
    status, _, checkout = classroom50(course, tmp_path, RIGHT)
    assert status == 1
    assert not (checkout / "result.json").exists()


# ---------------------------------------------------------------- GitHub Actions


def step(name: str) -> str:
    """The script of a step of the released workflow."""
    found = re.search(rf"- name: {name}\n        run: \|\n((?:          .*\n)+)", release._WORKFLOW)
    assert found is not None
    return textwrap.dedent(found.group(1))


def test_the_workflow_of_a_release_checks_what_was_begun(course: Course, tmp_path: Path) -> None:
    release.release(course, tmp_path / "repository")
    repository = tmp_path / "repository"
    workflow = (repository / ".github" / "workflows" / "proclab.yml").read_text()
    assert "for lab in echo; do" in workflow
    assert "\t" not in workflow
    tools, runner = tmp_path / "tools", tmp_path / "runner"
    tools.mkdir()
    runner.mkdir()
    (tools / "proclab").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m grader "$@"\n')
    (tools / "proclab").chmod(0o755)

    def run() -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-e", "-c", step("Check").replace("@LABS@", "echo")], cwd=repository,
            env={
                "PATH": f"{tools}:{os.environ['PATH']}", "RUNNER_TEMP": str(runner),
                "GITHUB_STEP_SUMMARY": str(runner / "summary.md"), "GITHUB_WORKSPACE": str(repository),
            },
            capture_output=True, text=True, check=False, timeout=DEADLINE_S,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    assert run() == (0, ""), "nothing was begun"
    found = courses.find(repository)
    handout.start(found, courses.load_lab(found, "echo"), Language.PYTHON, repository / "echo")
    (repository / "echo" / "echo.py").write_text(HOLDS_BACK)
    status, told = run()
    assert status == 1
    assert told.startswith("::error title=")
    assert told.endswith("::notice title=An echo::1 of 2 points\n")
    assert "## An echo" in (runner / "summary.md").read_text()
    (repository / "echo" / "echo.py").write_text(RIGHT)
    assert run() == (0, "::notice title=An echo::2 of 2 points\n")


def test_the_installing_step_is_sound_shell() -> None:
    for name in ("Install", "Check"):
        checked = subprocess.run(
            ["bash", "-n"], input=step(name), capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")
