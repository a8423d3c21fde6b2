"""A student in JupyterLab and an instructor in the formgrader, in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from courses import make
from nbcourses import BRIEF, HELD, RIGHT, cell, nbgrader, released
from victims import ROOT

from grader.content import course as courses
from grader.content.course import Course
from grader.jupyter import instructing

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.usefixtures("full"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(CHROMIUM is None, reason="this machine has no Chromium"),
]
PATIENCE_MS = 120_000
sync_api.expect.set_options(timeout=PATIENCE_MS)
SHOTS = os.environ.get("PROCLAB_SCREENSHOTS")
"""A folder for screenshots, for whoever wants to look"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    made = make(tmp_path_factory.mktemp("course"))
    (made.root / "labs/echo/brief.md").write_text(BRIEF)
    return courses.find(made.root)


@pytest.fixture(scope="module")
def root(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An nbgrader course whose assignment is released, and who is at work in it."""
    folder = tmp_path_factory.mktemp("course") / "nb"
    instructing.init(course, folder)
    exchange = folder.parent / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    config = folder / instructing.CONFIG
    config.write_text(config.read_text() + f'c.Exchange.root = "{exchange}"\n')
    nbgrader(folder, "generate_assignment", "echo")
    nbgrader(folder, "release_assignment", "echo")
    return folder


class Jupyter:
    """A JupyterLab server that serves one folder."""

    def __init__(self, folder: Path):
        environment = instructing.environment() | {
            "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"), "JUPYTER_RUNTIME_DIR": str(folder / ".runtime"),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.token=", "--ServerApp.password=",
             "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", "--allow-root",
             "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        said = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said.append(line)
            found = re.search(r"(http://127\.0\.0\.1:\d+/)lab$", line.strip())
            if found:
                self.url = found.group(1)
                break
        else:
            raise AssertionError("".join(said))
        self._drain = threading.Thread(target=self._process.stdout.read)
        self._drain.start()

    def close(self) -> None:
        """End the server and its kernels."""
        self._process.terminate()
        self._process.wait(timeout=60)
        self._drain.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def jupyter(root: Path, tmp_path: Path) -> Iterator[Jupyter]:
    """JupyterLab in the home of a student who has fetched nothing yet."""
    shutil.copy(root / instructing.CONFIG, tmp_path / instructing.CONFIG)
    server = Jupyter(tmp_path)
    yield server
    server.close()


@pytest.fixture
def page() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def run_cell(page: Any, text: str) -> Any:
    """Run the cell that contains a text; gives the cell."""
    found = page.locator(".jp-Notebook .jp-CodeCell", has_text=text).first
    found.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")
    return found


def write_program(page: Any, program: str) -> None:
    found = page.locator(".jp-Notebook .jp-CodeCell", has_text="%%lab echo.py").first
    text = f"%%lab echo.py\n{program}"
    found.locator(".cm-content").fill(text)
    sync_api.expect(found.locator(".cm-content")).to_contain_text(program.splitlines()[-1].strip())
    page.keyboard.press("Shift+Enter")
    sync_api.expect(found.locator(".jp-OutputArea")).to_contain_text("saved echo.py")


def test_a_student_completes_a_lab_in_jupyterlab(
    jupyter: Jupyter, page: Any, root: Path, tmp_path: Path
) -> None:
    """Fetch, a wrong answer, its explanation, the right answer, validate, submit."""
    page.goto(f"{jupyter.url}lab")
    page.get_by_role("menuitem", name="Nbgrader").click()
    page.get_by_text("Assignment List", exact=True).click()
    page.locator("#released_assignments_list").get_by_text("Fetch", exact=True).click()
    sync_api.expect(page.locator("#fetched_assignments_list")).to_contain_text("echo")
    page.goto(f"{jupyter.url}lab/tree/echo/echo.ipynb")
    sync_api.expect(page.locator(".jp-Notebook")).to_be_visible()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    loaded = run_cell(page, "%load_ext grader")
    sync_api.expect(loaded.locator(".jp-InputPrompt")).to_have_text("[1]:")

    write_program(page, HELD)
    checked = run_cell(page, "%check echo")
    output = checked.locator(".jp-OutputArea")
    sync_api.expect(output).to_contain_text("has read all input so far")
    sync_api.expect(output).to_contain_text("What goes in comes out.")
    checked.scroll_into_view_if_needed()
    shot(page, "wrong")

    write_program(page, RIGHT)
    checked = run_cell(page, "%check echo")
    sync_api.expect(checked.locator(".jp-OutputArea")).not_to_contain_text("has read all input so far")
    sync_api.expect(checked.locator(".jp-OutputArea")).to_contain_text("2 of 2")
    shot(page, "right")

    page.get_by_role("button", name="Validate").click()
    dialog = page.get_by_role("dialog")
    sync_api.expect(dialog).to_contain_text(re.compile("passed|You did not provide a response"))
    shot(page, "validated")
    page.keyboard.press("Escape")

    page.goto(f"{jupyter.url}lab")
    page.get_by_role("menuitem", name="Nbgrader").click()
    page.get_by_text("Assignment List", exact=True).click()
    page.locator("#fetched_assignments_list").get_by_text("Submit", exact=True).click()
    sync_api.expect(page.locator("#submitted_assignments_list")).to_contain_text("echo")
    shot(page, "submitted")
    nbgrader(root, "collect", "echo")
    (handed_in,) = root.glob("submitted/*/echo/echo.ipynb")
    assert RIGHT in "".join(cell(json.loads(handed_in.read_text()), "echo-file-echo-py")["source"])


def test_the_formgrader_shows_points_and_explanations(
    root: Path, course: Course, page: Any, tmp_path: Path
) -> None:
    book = released(root)
    cell(book, "echo-file-echo-py")["source"] = f"%%lab echo.py\n{HELD}"
    cell(book, "echo-question-why")["source"] = "<img src=x onerror=\"document.title='mine'\"> The wall."
    path = root / "submitted/held/echo/echo.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(book))
    lab = courses.load_lab(course, "echo")
    instructing.autograde(lab, root, jobs=2, again=False, on_report=lambda report: None)
    server = Jupyter(root)
    try:
        page.goto(f"{server.url}formgrader/gradebook/echo/echo")
        row = page.locator("tr", has=page.locator("a.name-shown", has_text="held"))
        row.locator("a.name-hidden").click()  # names are hidden until they are asked for
        shot(page, "formgrader")
        sync_api.expect(page.locator("body")).to_contain_text("has read all input so far")
        sync_api.expect(page.locator('input.score[placeholder="1"]')).to_have_count(2)
        sync_api.expect(page.locator('input.score[placeholder="0"]')).to_have_count(1)
        assert page.title() != "mine"
    finally:
        server.close()
