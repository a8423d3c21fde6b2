"""A student's report in a real browser: nothing acts or is loaded, and it can be read everywhere.

``PROCLAB_SCREENSHOTS=FOLDER`` keeps pictures for whoever wants to look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reports import BROKEN, REPORTS, failed, hung, report, wrong_output

from grader.model import Diagnosis, Ending, Observation, Report, Turn
from grader.reporting import html

SHOTS = os.environ.get("PROCLAB_SCREENSHOTS")
"""A folder for screenshots, for whoever wants to look"""
TELEPHONE = 360

ALL = msgspec.structs.replace(
    REPORTS["twice"],
    checks=tuple(
        msgspec.structs.replace(check, name=f"{check.name}_{number}")
        for number, check in enumerate(check for made in REPORTS.values() for check in made.checks)
    ),
)
"""One page with every ending of a check"""

HOSTILE_TEXT = (
    "<script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=document.title='owned'>"
    "</style></svg><iframe src=http://127.0.0.1:9/></iframe>\u202egnp.exe " + "x" * 4000
)


def hostile() -> Report:
    seen = Observation(
        argv=(), command=HOSTILE_TEXT, ending=Ending.EXITED, stdout=HOSTILE_TEXT.encode(), stderr=b"\x1b[2J" * 99,
        turns=(Turn(speaker="program", text=HOSTILE_TEXT), Turn(speaker="client 1", text="y" * 3000)),
    )  # fmt: skip
    found = Diagnosis(slug="x", title="t", fact=HOSTILE_TEXT, why=HOSTILE_TEXT, section=HOSTILE_TEXT)
    check = failed("test_x", HOSTILE_TEXT, found, seen, expected="a" * 3000, observed=HOSTILE_TEXT)
    return report(check, msgspec.structs.replace(BROKEN, reason=HOSTILE_TEXT), student=HOSTILE_TEXT)


@dataclass
class Opened:
    """A page, and everything that it tried."""

    page: Any
    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Why requests came to nothing: ``csp`` if the policy forbade them"""
    complaints: list[str] = field(default_factory=list)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def unfold(self) -> None:
        self.run("document.querySelectorAll('details').forEach(each => { each.open = true })")


Open = Callable[..., Opened]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open HTML from a file, as a student does."""
    contexts = []

    def make(text: str, *, width: int = 900, dark: bool = False) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("requestfailed", lambda request: found.failures.append(request.failure))
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
        found.page.goto(path.as_uri())
        return found

    yield make
    for context in contexts:
        context.close()


def shot(opened: Opened, name: str) -> None:
    if SHOTS:
        height = min(opened.run("document.documentElement.scrollHeight"), 15_000)  # what a picture may have
        width = opened.page.viewport_size["width"]
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        opened.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True, clip=clip)


# ---------------------------------------------------------------- nothing acts


@pytest.mark.parametrize("made", [ALL, hostile()], ids=["ordinary", "hostile"])
def test_loads_nothing_runs_nothing_and_breaks_no_rule_of_its_own(opened: Open, made: Report) -> None:
    found = opened(html.page(made, reveal=True))
    assert len(found.requests) == 1
    assert found.complaints == []
    assert "owned" not in found.run("document.title").split(":")[0]
    assert found.run("document.querySelectorAll('script, img, iframe, object, form, link').length") == 0
    assert found.run("getComputedStyle(document.querySelector('.pl-check')).borderLeftWidth") == "4px"


def test_the_policy_holds_even_if_something_came_through(opened: Open) -> None:
    """What the escaping should never let pass would still be stopped by the page's own policy."""
    smuggled = (
        "<script>document.title='owned'</script><img src='http://127.0.0.1:9/x'><p style='color:red'>x</p>"
    )
    found = opened(html.page(ALL).replace("<main", smuggled + "<main", 1))
    assert found.run("document.title") != "owned"
    assert found.failures == ["csp"]
    assert len(found.requests) == 2
    assert len([words for words in found.complaints if "Content Security Policy" in words]) >= 3


# ---------------------------------------------------------------- it can be read


@pytest.mark.parametrize("width", [TELEPHONE, 900])
@pytest.mark.parametrize("made", [ALL, hostile()], ids=["ordinary", "hostile"])
def test_never_needs_to_be_moved_sideways(opened: Open, made: Report, width: int) -> None:
    found = opened(html.page(made, reveal=True), width=width)
    found.unfold()
    shot(found, f"report-{made.student[:3].strip('<')}-{width}")
    assert found.run("document.documentElement.scrollWidth") == width
    wider = found.run(
        """() => [...document.querySelectorAll('main *, header *')]
            .filter(each => !each.closest('.pl-scroll') && getComputedStyle(each).position !== 'absolute')
            .filter(each => each.getBoundingClientRect().right > innerWidth + 0.5)
            .map(each => each.className || each.tagName)"""
    )
    assert wider == []


CONTRAST = """() => {
    const parse = text => { const found = text.match(/[\\d.]+/g).map(Number); return [...found.slice(0, 3), found[3] ?? 1] }
    const over = (top, below) => [0, 1, 2].map(k => top[k] * top[3] + below[k] * (1 - top[3])).concat(1)
    const light = color => {
        const [r, g, b] = color.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const behind = element => {
        const layers = []
        for (let each = element; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor))
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1])
    }
    const inDrawing = text => {
        const box = text.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2
        let found = behind(text.closest('svg').parentElement)
        for (const shape of text.closest('svg').querySelectorAll('rect, circle')) {
            const s = shape.getBoundingClientRect()
            if (s.left <= x && x <= s.right && s.top <= y && y <= s.bottom &&
                shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)
                found = over(parse(getComputedStyle(shape).fill), found)
        }
        return found
    }
    const faint = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || ['STYLE', 'title', 'desc'].includes(element.tagName))
            continue
        const drawn = element.tagName === 'text', style = getComputedStyle(element)
        const ground = drawn ? inDrawing(element) : behind(element)
        const [a, b] = [light(over(parse(drawn ? style.fill : style.color), ground)), light(ground)].sort((p, q) => q - p)
        const ratio = (a + 0.05) / (b + 0.05)
        if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.className.baseVal ?? element.className}: ${walker.currentNode.data.slice(0, 40)}`)
    }
    return faint
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_word_stands_out_from_its_ground(opened: Open, dark: bool) -> None:
    found = opened(html.page(ALL, reveal=True), dark=dark)
    found.unfold()
    shot(found, f"report-{'dark' if dark else 'light'}")
    ground = found.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark
    assert found.run(CONTRAST) == []


def test_can_be_read_with_the_keyboard(opened: Open) -> None:
    found = opened(html.page(ALL))
    focused = "document.activeElement.className || document.activeElement.tagName"
    found.page.keyboard.press("Tab")
    assert found.run(focused) == "pl-skip"
    found.page.keyboard.press("Enter")
    assert found.run("location.hash") == "#explanations"
    reached = set()
    for _ in range(300):
        found.page.keyboard.press("Tab")
        reached.add(found.run(focused))
        if found.run("document.activeElement.tagName") == "SUMMARY":
            found.page.keyboard.press("Enter")
            assert found.run("document.activeElement.parentElement.open")
            return
    pytest.fail(f"no fold was reached: {reached}")


def test_is_told_in_order_to_who_does_not_see_it(opened: Open) -> None:
    found = opened(html.page(report(hung())))
    told = found.page.locator("body").aria_snapshot()
    order = [
        "banner", 'heading "A pipeline of processes" [level=1]', "main", 'heading "Checks" [level=2]',
        'heading "What to mend" [level=2]', "[level=3]", 'heading "Run it yourself" [level=4]',
        'img "Drawing: processes at the moment when none could go on', "contentinfo",
    ]  # fmt: skip
    places = [told.index(words) for words in order]
    assert places == sorted(places), told


def test_is_printed_light_and_unfolded(opened: Open) -> None:
    found = opened(html.page(ALL, reveal=True), dark=True)
    found.page.emulate_media(media="print")
    shot(found, "report-print")
    assert found.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = found.run(
        """() => [...document.querySelectorAll('details.pl-unfold > :not(summary)')]
            .filter(each => each.getBoundingClientRect().height === 0 && each.textContent.trim()).length"""
    )
    assert folded == 0
    paper = found.page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert 1 < paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") + paper.count(b"/Type/Page") < 40


# ---------------------------------------------------------------- in a notebook

AROUND = """<!DOCTYPE html><meta charset="utf-8">
<style>
  /* what notebooks say of bare elements, and more of it */
  .out p { margin: 3em; } .out dl > dt { float: left; width: 20%; } .out table { table-layout: fixed; }
  .out ul { list-style: square; padding-left: 4em; } .out pre, .out code { background: black; color: black; }
  .out details { border: 9px solid; } .out svg { height: 20px; } .out mark { background: yellow; color: white; }
  html { font-size: 10px; }
</style>
<body data-jp-theme-light="THEME"><p class="outside">before</p><div class="out">FRAGMENT</div></body>"""


def notebook(fragment: str, *, light: bool = True) -> str:
    return AROUND.replace("FRAGMENT", fragment).replace("THEME", str(light).lower())


@pytest.mark.parametrize("light", [True, False], ids=["light", "dark"])
def test_a_fragment_follows_the_notebooks_theme_and_keeps_its_form(opened: Open, light: bool) -> None:
    parts = html.fragment(hung(), wrong_output()) + html.fragment_report(ALL)
    found = opened(notebook(parts, light=light), dark=light)  # the theme counts, not the system's setting
    found.unfold()
    shot(found, f"fragment-{'light' if light else 'dark'}")
    ground = found.run("getComputedStyle(document.querySelector('.proclab')).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is light
    assert found.run(CONTRAST) == []
    assert found.run("getComputedStyle(document.querySelector('.pl-facts dt')).float") == "none"
    assert found.run("document.querySelector('.pl-drawing').getBoundingClientRect().height") > 100
    assert found.complaints == []


def test_a_fragment_changes_nothing_around_it(opened: Open) -> None:
    look = """() => { const style = getComputedStyle(document.querySelector('.outside'));
                      return Object.fromEntries([...style].map(name => [name, style.getPropertyValue(name)])) }"""
    alone = opened(notebook("")).run(look)
    beside = opened(notebook(html.fragment_report(ALL))).run(look)
    assert beside == alone
