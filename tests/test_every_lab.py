"""Every lab of the course, as far as it can be held without running it; `proclab verify` runs it."""

from __future__ import annotations

import pytest
from victims import ROOT

from grader.content import brief, build, course, mutant
from grader.content import lab as labs
from grader.model import Lab

COURSE = course.find(ROOT)
LABS = [course.load_lab(COURSE, slug) for slug in COURSE.slugs]


def test_generated_files_are_fresh() -> None:
    assert build.stale(COURSE) == (), "run 'proclab build'"


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.slug)
def test_diagnoses_point_to_sections_of_the_brief(lab: Lab) -> None:
    headings = {
        line.lstrip("# ").strip()
        for part in brief.read(lab)
        for line in part.text.splitlines()
        if part.kind == "theory" and line.startswith("#")
    }
    for slug in lab.own_diagnoses:
        assert lab.diagnoses[slug].section in headings, slug


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.slug)
def test_has_enough_to_be_proved_with(lab: Lab) -> None:
    assert len(mutant.load(lab)) >= 12
    assert len(labs.variants(lab)) >= 4
    assert all(each.fails for each in mutant.load(lab)), "a mutant that nothing must notice proves nothing"
