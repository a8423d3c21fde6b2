"""The rules of the house that a machine can hold (CONTRIBUTING.md says why)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from grader.cli import cli

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "grader").rglob("*.py"))
PROGRAMS = ("tests/samples", "tests/tamper", "tests/programs")
"""What stands for students' work: it may do whatever students do"""
TESTS = [
    path
    for path in sorted((ROOT / "tests").rglob("*.py"))
    if not path.relative_to(ROOT).as_posix().startswith(PROGRAMS)
]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "core", "misc"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _tracked() -> list[Path]:
    """The files of the repository, those included that are about to be added."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no clone of the repository, so nothing says which files belong to it")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


# ---------------------------------------------------------------- the package


def test_imports_go_down_only() -> None:
    linted = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_notebooks_are_read_without_nbformat() -> None:
    """Its import alone takes longer than a whole check. Inside nbgrader it is there in any case."""
    guilty = [_name(path) for path in PACKAGE if any(n.split(".")[0] == "nbformat" for n in _imports(path))]
    assert set(guilty) == {"grader/jupyter/exporter.py", "grader/jupyter/preprocessors.py"}
    code = "import sys, grader.cli, grader.jupyter.magics, grader.jupyter.instructing; assert 'nbformat' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_module_says_what_it_is_for() -> None:
    silent = [_name(path) for path in PACKAGE if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_no_module_has_a_name_for_anything() -> None:
    vague = [
        _name(path)
        for path in (*PACKAGE, *TESTS)
        if VAGUE & set(path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert vague == []


def test_every_shared_diagnosis_is_made_somewhere() -> None:
    shared = tomllib.loads((ROOT / "grader" / "diagnoses.toml").read_text(encoding="utf-8"))
    checks = sorted((ROOT / "labs").glob("*/checks.py")) + sorted((ROOT / "labs").glob("*/hidden.py"))
    written = "\n".join(path.read_text(encoding="utf-8") for path in (*PACKAGE, *checks))
    assert [slug for slug in shared if f'"{slug}"' not in written] == []


# ---------------------------------------------------------------- the tests


def test_no_test_sleeps() -> None:
    """A sleep is a guess: wait for a byte, a state or an exit, with a deadline."""
    asleep = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "attr", getattr(called, "id", ""))
            if name == "sleep":
                asleep.append(f"{_name(path)}:{node.lineno}")
    assert asleep == []


# ---------------------------------------------------------------- the repository


def test_no_file_knows_somebodys_home() -> None:
    homes = re.compile(rb"/(?:" + b"|".join([b"home", b"root", b"Users"]) + rb")/[A-Za-z0-9_.]")
    hostile = ROOT / "tests" / "tamper"  # those programs look into homes on purpose
    guilty = [
        _name(path)
        for path in _tracked()
        if not path.is_relative_to(hostile) and homes.search(path.read_bytes())
    ]
    assert guilty == []


@pytest.mark.parametrize("command", ["demo", "test"])
def test_the_two_commands_of_the_readme_are_there(command: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^make {command}\b", readme, re.MULTILINE), "the README names the command"
    assert command in _targets()


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_documents_name_what_exists(path: Path) -> None:
    """Make targets, commands, options and linked files: what a reader types or clicks is there."""
    text = path.read_text(encoding="utf-8")
    typed = "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL))
    assert set(re.findall(r"\bmake ([a-z]+)\b", typed)) <= _targets() | {"pipeline"}
    for name, rest in re.findall(r"(?<![./\w-])proclab ([a-z]+)\b([^\n`|#]*)", typed):
        command = cli.commands.get(name)
        assert command is not None, f"there is no command 'proclab {name}'"
        if isinstance(command, click.Group):
            command = command.commands.get((rest.split() or [""])[0], command)
        known = {opt for each in command.params if isinstance(each, click.Option) for opt in each.opts}
        unknown = set(re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", rest)) - known - {"-h", "--help"}
        assert not unknown, f"'proclab {name}' has no option {', '.join(unknown)}"
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"the link {target} leads nowhere"
