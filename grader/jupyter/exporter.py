"""How nbgrader's autograde reads a submitted notebook: through the lab, never through the notebook itself.

nbgrader would validate and upgrade whatever was handed in, and one odd notebook would end the run for
everybody after it. Here the lab's own cells come back with the student's text in them (`restore`), so all that
follows meets a notebook that we made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from traitlets import Unicode

from grader.content import course as courses
from grader.content import restore
from grader.jupyter.pregrading import content
from grader.model import Fault, Lab

FAULT = "proclab"
"""Key of the notebook's metadata that says why there is nothing to grade"""


class LabExporter(NotebookExporter):
    """Reads submissions of the course's labs, and nothing else."""

    course = Unicode("", help="The folder of the course, which holds labs/course.toml.").tag(config=True)

    def from_filename(  # type: ignore[override]
        self, filename: str, resources: dict[str, Any] | None = None, **options: object
    ) -> tuple[str, dict[str, Any]]:
        """Convert a submission (first), or what the first conversion wrote (then).

        :raises Fault: if the notebook is none of a lab of the course
        """
        assert resources is not None
        lab = find(self.course, resources["nbgrader"]["notebook"])
        resources["proclab"] = {"lab": lab, "course": self.course}
        path = Path(filename)
        if getattr(self.parent, "_sanitizing", True):
            data, fault = restore.restore(lab, content(path), path)
            book = nbformat.reads(data.decode(), as_version=4)
            if fault is not None:
                book.metadata[FAULT] = {"fault": str(fault.what), "cure": fault.cure}
        else:
            book = nbformat.read(path, as_version=4)
        converted: tuple[str, dict[str, Any]] = self.from_notebook_node(book, resources=resources, **options)
        return converted


def find(course: str, name: str) -> Lab:
    """The lab whose notebook has this name.

    :raises Fault: if there is none
    """
    found = courses.find(Path(course) if course else None)
    if name not in found.slugs:
        raise Fault(
            f"{name}.ipynb is the notebook of no lab of the course at {found.root}",
            cure=f"grade it with another nbgrader configuration; the labs are: {', '.join(found.slugs)}",
        )
    return courses.load_lab(found, name)
