"""Formats of others: each holds to a schema written from its consumer's own documentation, for every kind of report."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest
from reports import BROKEN, PASSED, REPORTS, SKIPPED, check, hung, leftovers, report, unbuilt

from grader.model import Fault, Report, Verdict
from grader.reporting import actions, canvas, classroom50, gradescope, junit, markdown, prairielearn

SCHEMAS = Path(__file__).parent / "schemas"
EVIL = "\x1b[31m\u202e</script>]]>&<::error::\nx`` ``` \ud800\0"
every_kind = pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)


def valid(data: bytes, name: str) -> Any:
    """What a consumer reads, once it holds to the schema."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    made = json.loads(data)
    jsonschema.Draft202012Validator(schema).validate(made)
    return made


def evil() -> Report:
    """A report in which all that a student could have written is hostile."""
    found = hung()
    assert found.diagnosis is not None
    assert found.observation is not None
    return report(
        msgspec.structs.replace(
            found,
            diagnosis=msgspec.structs.replace(found.diagnosis, fact=EVIL),
            observation=msgspec.structs.replace(found.observation, stderr=EVIL.encode(errors="surrogatepass")),
            observed=EVIL,
        ),
        student=EVIL, origin=EVIL, notices=(EVIL,),
    )  # fmt: skip


# ---------------------------------------------------------------- schemas refuse what is wrong


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gradescope", {}),
        ("gradescope", {"tests": [{"score": 1, "status": "broken"}]}),
        ("gradescope", {"tests": [{"score": 1, "visibility": "secret"}]}),
        ("prairielearn", {"gradable": True, "score": 33}),
        ("prairielearn", {"gradable": True, "score": 1, "tests": [{"name": "x", "points": 1}]}),
        ("prairielearn", {"gradable": False, "score": 0}),
        ("classroom50", {"schema": "classroom50/result/v2"}),
    ],
)
def test_a_schema_refuses(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid(json.dumps(wrong).encode(), name)


# ---------------------------------------------------------------- Gradescope


@every_kind
def test_gradescope(made: Report) -> None:
    told = valid(gradescope.results(made), "gradescope")
    assert told["score"] == sum(test["score"] for test in told["tests"]) == made.score
    assert sum(test["max_score"] for test in told["tests"]) == made.max_score
    for test, result in zip(told["tests"], made.checks, strict=True):
        assert test["visibility"] == ("after_due_date" if result.hidden else "visible")
        expected = {Verdict.PASSED: "passed", Verdict.FAILED: "failed"}.get(result.verdict)
        assert test.get("status") == expected, "what did not run neither passed nor failed"


def test_gradescope_shows_hidden_checks_when_the_instructor_wants_it() -> None:
    told = json.loads(gradescope.results(report(PASSED, leftovers()), hidden_checks="visible"))
    assert [test["visibility"] for test in told["tests"]] == ["visible", "visible"]


def test_gradescope_says_what_is_not_final() -> None:
    told = json.loads(gradescope.results(report(PASSED, BROKEN, notices=("two attempts",))))
    assert "not final" in told["output"]
    assert "two attempts" in told["output"]
    assert told["extra_data"]["final"] is False
    assert "costs no points" in told["tests"][1]["output"]


# ---------------------------------------------------------------- PrairieLearn


@every_kind
def test_prairielearn(made: Report) -> None:
    told = valid(prairielearn.results(made), "prairielearn")
    assert len(told["tests"]) == len(made.checks)
    if told["gradable"]:
        assert told["score"] == pytest.approx(made.score / made.max_score)


def test_prairielearn_counts_no_attempt_where_nothing_could_be_graded() -> None:
    for made, words in (
        (report(*unbuilt(), language="c"), "expected ';' before 'return' Begin with the first message"),
        (
            report(PASSED, BROKEN),
            "This is the grader's fault, not the program's; no attempt is counted. NameError",
        ),
    ):
        told = valid(prairielearn.results(made), "prairielearn")
        assert told["gradable"] is False
        assert words in told["format_errors"][0]
    assert valid(prairielearn.results(report(hung(), hung())), "prairielearn")["gradable"] is True


def test_prairielearn_gets_no_more_than_a_megabyte() -> None:
    found = hung()
    assert found.diagnosis is not None
    huge = msgspec.structs.replace(found.diagnosis, fact="äöü " * 4_000)
    made = report(*(msgspec.structs.replace(found, name=f"test_{n}", diagnosis=huge) for n in range(60)))
    data = prairielearn.results(made)
    assert len(data) <= 1_000_000
    told = valid(data, "prairielearn")
    assert len(told["tests"]) == 60
    assert "characters are left out" in told["tests"][0]["output"]


# ---------------------------------------------------------------- Classroom 50

ENVIRONMENT = {
    "CLASSROOM": "ipc-2027", "ASSIGNMENT": "pipeline", "SUBMISSION_TAG": "submit/2026-11-24T09-00-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/x/y/commit/1", "RELEASE_URL": "https://github.com/x/y/releases/tag/1",
    "REVIEW_URL": "https://github.com/x/y/compare/0...1", "USERNAME": "ada", "ASSIGNMENT_TYPE": "individual",
}  # fmt: skip
RUN = classroom50.run(ENVIRONMENT)


@pytest.mark.parametrize("made", [r for r in REPORTS.values() if not r.broken])
def test_classroom_50(made: Report) -> None:
    told = valid(classroom50.result(made, RUN, "2026-11-23T22:00:00+00:00"), "classroom50")
    assert (told["score"], told["max-score"]) == (made.score, made.max_score)
    assert told["score"] == sum(test["score"] for test in told["tests"])
    assert told["max-score"] == sum(test["max-score"] for test in told["tests"])
    assert (told["owner"], told["datetime"], told["graded_at"]) == (
        "ada", "2026-11-23T22:00:00Z", "2026-11-24T09:00:00Z",
    )  # fmt: skip
    for test, result in zip(told["tests"], made.checks, strict=True):
        assert test["passed"] is (result.verdict is Verdict.PASSED)


def test_classroom_50_has_integers_also_where_points_are_halves() -> None:
    half = check("test_half", "Half a point.", Verdict.PASSED, 0.5)
    third = check("test_third", "A third.", Verdict.FAILED, 1 / 3)
    told = valid(classroom50.result(report(half, third, PASSED), RUN), "classroom50")
    assert [test["max-score"] for test in told["tests"]] == [3, 2, 6]
    assert (told["score"], told["max-score"]) == (9, 11)


def test_classroom_50_is_told_no_result_if_the_grader_failed() -> None:
    with pytest.raises(Fault, match="the grader itself failed, so there is no result: NameError"):
        classroom50.result(REPORTS["broken"], RUN)


def test_classroom_50_needs_its_runner() -> None:
    assert classroom50.run({**ENVIRONMENT, "REVIEW_URL": ""}).review == ENVIRONMENT["COMMIT_URL"]
    with pytest.raises(Fault, match="the environment has no CLASSROOM, RELEASE_URL") as caught:
        classroom50.run({**ENVIRONMENT, "CLASSROOM": "", "RELEASE_URL": ""})
    assert "runner" in caught.value.cure


# ---------------------------------------------------------------- JUnit

ATTRIBUTES = {
    "testsuites": {"name"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "properties": set(),
    "property": {"name", "value"},
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "testcase": {"properties", "failure", "error", "skipped"},
    "properties": {"property"},
}


def held(element: ET.Element) -> None:
    """The elements and attributes that pytest writes and Jenkins' schema (xunit plugin, junit-10.xsd) knows."""
    assert set(element.attrib) == ATTRIBUTES[element.tag]
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, set())
        held(child)


def test_junit_has_a_suite_for_each_student() -> None:
    root = ET.fromstring(junit.suites(REPORTS.values()))
    held(root)
    assert len(root) == len(REPORTS)
    for suite, made in zip(root, REPORTS.values(), strict=True):
        cases = suite.findall("testcase")
        for attribute, tag, verdict in (
            ("failures", "failure", Verdict.FAILED),
            ("errors", "error", Verdict.BROKEN),
            ("skipped", "skipped", Verdict.SKIPPED),
        ):
            count = sum(case.find(tag) is not None for case in cases)
            assert count == int(suite.attrib[attribute]) == made.count(verdict)
        assert int(suite.attrib["tests"]) == len(cases) == len(made.checks)
        assert all(re.fullmatch(r"\d+\.\d{3}", case.attrib["time"]) for case in cases)


def test_junit_names_the_diagnosis() -> None:
    root = ET.fromstring(junit.suites([report(PASSED, hung())]))
    (failure,) = root.iter("failure")
    assert failure.attrib["type"] == "write-end-left-open"
    assert failure.attrib["message"].startswith("Stage 2 (wc) waits for end-of-file")
    assert "    cure      Close every write end" in (failure.text or "")


# ---------------------------------------------------------------- GitHub Actions


def test_actions_annotates_the_line_that_the_diagnosis_knows() -> None:
    lines = actions.commands(report(PASSED, hung()), lambda file: f"work/{file}").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("::error title=A write end of a pipe stays open%2C so its reader never sees")
    assert ",file=work/pipeline.py,line=31::Stage 2 (wc) waits" in lines[0]
    assert lines[0].endswith("%0AFailed: test_stops_at_end_of_file")
    assert lines[1] == "::notice title=A pipeline of processes::1 of 3 points"


def test_actions_says_the_same_fault_once_and_no_more_than_ten() -> None:
    lines = actions.commands(REPORTS["twice"]).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice"]
    assert "Failed: test_stops_at_end_of_file, test_connects_many_stages" in lines[0]
    many = [check(f"test_{n}", "Something.", Verdict.FAILED) for n in range(15)]
    lines = actions.commands(report(*many)).splitlines()
    assert len(lines) == 11
    assert lines[9] == "::error title=more::6 more faults are in the summary"
    exactly = actions.commands(report(*many[:10])).splitlines()
    assert len(exactly) == 11
    assert "more" not in exactly[9]


def test_actions_blames_nobody_for_the_graders_fault() -> None:
    lines = actions.commands(report(BROKEN, SKIPPED)).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::warning", "::notice"]
    assert "the grader's fault%2C not the program's" in lines[0]


def test_nothing_that_a_student_wrote_is_a_command() -> None:
    for line in actions.commands(evil()).splitlines():
        assert re.match(r"::(error|notice|warning) [^:]*::", line)
        assert "\x1b" not in line
        assert "\u202e" not in line


@every_kind
def test_a_summary_names_every_check_and_folds_the_rest(made: Report) -> None:
    page = markdown.page(made)
    for result in made.checks:
        assert f"`{result.name}`" in page
    failed = sum(result.verdict is not Verdict.PASSED for result in made.checks)
    assert page.count("<details>") == page.count("</details>") == failed


def test_no_fence_in_a_program_s_output_ends_the_block() -> None:
    page = markdown.page(evil())
    outside = re.sub(r"(?ms)^(`{3,})text$.*?^\1$", "", page)
    assert "script" not in outside
    assert "::error" not in outside.replace(r"::error::", "") or "`" not in outside


def test_a_summary_fits_into_a_megabyte() -> None:
    found = hung()
    assert found.diagnosis is not None
    huge = msgspec.structs.replace(found.diagnosis, fact="x " * 6_000)
    made = report(*(msgspec.structs.replace(found, name=f"test_{n}", diagnosis=huge) for n in range(80)))
    page = markdown.page(made)
    assert len(page.encode()) < 1_000_000
    assert "There is more than fits here." in page
    assert page.count("<details>") == page.count("</details>")


# ---------------------------------------------------------------- Canvas

EXPORTED = (
    "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (11),A pipeline of processes (12),Current Score\n"
    "    Points Possible,,,,,5.00,10.00,(read only)\n"
    '"Lovelace, Ada",1001,S1,ada@example.edu,Mo,5,,\n'
    '"Hopper, Grace",1002,S2,grace,Mo,,,\n'
    '"Smith, Jo",1003,S3,jo1,Tu,,,\n'
    '"Smith, Jo",1004,S4,jo2,Tu,,,\n'
    '"Student, Test",1005,,,Mo,,,\n'
)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_canvas_gets_its_own_students_back() -> None:
    class_ = [
        report(PASSED, student="ada"), report(PASSED, hung(), student="Grace Hopper"),
        report(PASSED, student="smithjo (1004)"), report(PASSED, student="Jo Smith"),
        report(PASSED, student="nobody"), report(PASSED, BROKEN, student="jo1"),
    ]  # fmt: skip
    known = {"smithjo (1004)": ("1004",)}
    made, left_out = canvas.table(class_, known, exported=EXPORTED)
    assert rows(made) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "A pipeline of processes (12)"],
        ["    Points Possible", "", "", "", "", "3.00"],
        ["Lovelace, Ada", "1001", "S1", "ada@example.edu", "Mo", "1"],
        ["Hopper, Grace", "1002", "S2", "grace", "Mo", "1"],
        ["Smith, Jo", "1004", "S4", "jo2", "Tu", "1"],
    ]
    assert left_out == (
        "Jo Smith: several in the gradebook have this name",
        "nobody: not in the gradebook",
        "jo1: the grader itself failed, so the points are not final",
    )


def test_canvas_finds_students_of_its_own_exports_of_files() -> None:
    made, left_out = canvas.table([report(PASSED, student="lovelaceada")], {}, exported=EXPORTED)
    assert (rows(made)[2][0], left_out) == ("Lovelace, Ada", ())


def test_canvas_takes_nobody_twice() -> None:
    class_ = [report(PASSED, student="ada"), report(PASSED, student="Ada Lovelace")]
    made, left_out = canvas.table(class_, {}, exported=EXPORTED)
    assert len(rows(made)) == 3
    assert left_out == ("Ada Lovelace: somebody else was taken for the same student",)


def test_canvas_without_its_gradebook() -> None:
    made, _ = canvas.table(
        [report(PASSED, student="ada")], {"ada": ("ada@example.edu", "1001")}, assignment="X (1)"
    )
    assert rows(made) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "X (1)"],
        ["    Points Possible", "", "", "", "", "1.00"],
        ["ada", "1001", "", "ada@example.edu", "", "1"],
    ]


def test_no_cell_of_canvas_is_computed() -> None:
    evil_ = EXPORTED.replace('"Lovelace, Ada",1001', '"=cmd|x, @Ada",1001')
    made, _ = canvas.table(
        [report(PASSED, student="ada"), report(PASSED, student="+1")], {}, exported=evil_, assignment="-1"
    )
    plain, _ = canvas.table([report(PASSED, student=name) for name in ("=1", "+1", "-1", "@x")], {})
    for row in (*rows(made), *rows(plain)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row), row


def test_canvas_says_what_is_wrong_with_its_gradebook() -> None:
    class_ = [report(PASSED, lab_title="Something else", lab="else")]
    with pytest.raises(Fault, match="no column has the name of the lab; assignments are: Essay") as caught:
        canvas.table(class_, {}, exported=EXPORTED)
    assert "--assignment" in caught.value.cure
    with pytest.raises(Fault, match="is no gradebook of Canvas: its first row lacks Student and ID"):
        canvas.table(class_, {}, exported="a,b\n1,2\n")


# ---------------------------------------------------------------- what holds for all of them


def everything(made: Report) -> str:
    """All that any of the formats says of a report."""
    parts = [
        gradescope.results(made).decode(), prairielearn.results(made).decode(), junit.suites([made]).decode(),
        actions.commands(made), markdown.page(made), canvas.table([made], {})[0],
    ]  # fmt: skip
    if not made.broken:
        parts.append(classroom50.result(made, RUN).decode())
    return "\n".join(parts)


def test_the_command_and_the_data_of_a_hidden_check_are_in_no_format() -> None:
    told = everything(REPORTS["leftovers"])
    assert "process-left-behind" in told
    assert "sleep 100" not in told
    assert "0x4d2" in told, "what was left behind is shown, as in the text that students read"


def test_what_a_student_wrote_is_harmless_in_every_format() -> None:
    told = everything(evil())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", told)
    valid(gradescope.results(evil()), "gradescope")
    valid(prairielearn.results(evil()), "prairielearn")
    valid(classroom50.result(evil(), RUN), "classroom50")
    held(ET.fromstring(junit.suites([evil()])))
