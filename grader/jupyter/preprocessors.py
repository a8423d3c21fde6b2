"""nbgrader's steps of autograding, with ours in the place of those that would run a student's notebook.

`GradeLab` stands where nbgrader executes cells. It writes the verdict of each check into the output of the
check's cell, as a number for nbgrader and as a page for people. `SaveGrades` takes the points from the report
itself: by nbgrader's own rules a cell without output, or one that prints ``nan``, earns everything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor, SaveAutoGrades

from grader.content import notebook
from grader.jupyter import pregrading
from grader.jupyter.exporter import FAULT
from grader.model import CheckResult, Fault, Lab, Report, Verdict
from grader.reporting import html

Resources = dict[str, Any]


class GraderBroken(Exception):
    """The grader itself failed: nbgrader then shows the submission as one that still needs grading."""


class GradeLab(NbGraderPreprocessor):
    """Grade the program of a restored notebook in the sandbox, and show the verdicts in its cells."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Fill the outputs of the grade cells."""
        lab: Lab = resources["proclab"]["lab"]
        report = self._report(nb, lab, resources["nbgrader"]["student"])
        broken = [check for check in report.checks if check.verdict is Verdict.BROKEN]
        if broken:
            raise GraderBroken(f"{lab.slug}: {broken[0].name}: {broken[0].reason}")
        resources["proclab"]["report"] = report
        cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in nb.cells}
        for identity, results in by_cell(lab, report).items():
            cell = cells.get(identity)
            if cell is None:
                raise GraderBroken(
                    f"the notebook has no cell {identity}: run nbgrader generate_assignment again"
                )
            points = sum(result.points for result in results)
            cell.outputs = [
                nbformat.v4.new_output(
                    "execute_result",
                    {"text/plain": f"{points:g}", "text/html": html.fragment(*results)},
                    execution_count=1,
                )
            ]
            cell.execution_count = 1
        return nb, resources

    def _report(self, nb: NotebookNode, lab: Lab, student: str) -> Report:
        told = nb.metadata.get(FAULT)
        if told is not None:
            return pregrading.unreadable(lab, student, Fault(told["fault"], cure=told["cure"]))
        book = json.dumps(nb).encode()
        return pregrading.grade(lab, Path.cwd(), [(student, book)], jobs=1)[student]


def by_cell(lab: Lab, report: Report) -> dict[str, list[CheckResult]]:
    """The results of a report by the grade id of the cell that shows them."""
    found: dict[str, list[CheckResult]] = {}
    for result in report.checks:
        identity = notebook.hidden_id(lab) if result.hidden else notebook.check_id(lab, result.name)
        found.setdefault(identity, []).append(result)
    return {identity: results for identity, results in found.items() if any(r.max_points for r in results)}


class SaveGrades(SaveAutoGrades):
    """Write the points of the report into the gradebook, and a summary beside the student's program."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Save what `GradeLab` found."""
        lab: Lab = resources["proclab"]["lab"]
        self._results = by_cell(lab, resources["proclab"]["report"])
        self._program = {notebook.grade_id(lab, name) for name in lab.files.values()}
        self._report: Report = resources["proclab"]["report"]
        saved: tuple[NotebookNode, Resources] = super().preprocess(nb, resources)
        return saved

    def _add_score(self, cell: NotebookNode, resources: Resources) -> None:
        identity = cell.metadata.nbgrader["grade_id"]
        results = self._results.get(identity)
        if results is None:  # a question, which a person grades
            super()._add_score(cell, resources)
            return
        grade = self.gradebook.find_grade(identity, self.notebook_id, self.assignment_id, self.student_id)
        grade.auto_score = sum(result.points for result in results)
        skipped = any(result.verdict is Verdict.SKIPPED for result in results)
        grade.needs_manual_grade = skipped or grade.manual_score is not None
        self.gradebook.db.commit()

    def _add_comment(self, cell: NotebookNode, resources: Resources) -> None:
        super()._add_comment(cell, resources)
        identity = cell.metadata.nbgrader["grade_id"]
        if identity in self._program:
            comment = self.gradebook.find_comment(
                identity, self.notebook_id, self.assignment_id, self.student_id
            )
            comment.auto_comment = summary(self._report)
            self.gradebook.db.commit()


def summary(report: Report) -> str:
    """What became of a submission, in a few lines of Markdown; nothing of it comes from the student."""
    failed = [check for check in report.checks if check.verdict is Verdict.FAILED]
    lines = [f"{report.score:g} of {report.max_score:g} points."]
    titles: dict[str, list[str]] = {}
    for check in failed:
        title = check.diagnosis.title if check.diagnosis is not None else "Not as promised."
        titles.setdefault(title, []).append(check.claim)
    for title, claims in titles.items():
        lines.append(f"\n* **{title}** ({len(claims)} {'promise' if len(claims) == 1 else 'promises'})")
    skipped = report.count(Verdict.SKIPPED)
    if skipped:
        lines.append(f"\n* {skipped} promises could not be looked at on the grading machine.")
    return "\n".join(lines)
