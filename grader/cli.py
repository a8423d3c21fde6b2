"""The command line: wires, decides nothing.

Exit status: 0 done, and everything passed; 1 something failed; 2 bad input, or the grader itself
failed; 130 interrupted. What is slow to import is imported by the command that needs it, so that
``--help`` and completion answer at once.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from grader.content import course as courses
from grader.content import diagnosis
from grader.model import DiagnosisKind, Fault, Language
from grader.reporting.escape import visible

if TYPE_CHECKING:
    from grader.classroom.progress import Show
    from grader.model import Report
    from grader.reporting.page import Page

FAILED, WRONG, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        status = cli.main(prog_name="proclab", standalone_mode=False)
    except Fault as fault:
        click.echo(f"proclab: {visible(str(fault))}", err=True)
        if fault.cure:
            click.echo(f"cure: {visible(fault.cure)}", err=True)
        status = WRONG
    except click.ClickException as error:
        error.show()
        status = WRONG
    except (KeyboardInterrupt, click.Abort):
        click.echo("proclab: interrupted", err=True)
        status = INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception:
        traceback.print_exc()
        click.echo("proclab: this is a fault of proclab itself", err=True)
        status = WRONG
    sys.exit(status if isinstance(status, int) else 0)


# ---------------------------------------------------------------- what commands share


def _lab_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    with contextlib.suppress(Fault):
        return [CompletionItem(slug) for slug in courses.find().slugs if slug.startswith(incomplete)]
    return []


def _slugs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    kinds = [kind for group in _diagnoses().values() for kind in group.values()]
    return [CompletionItem(kind.slug, help=kind.title) for kind in kinds if kind.slug.startswith(incomplete)]


def _checks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    found = []
    with contextlib.suppress(Fault):  # while -k has no value yet, click does not know LAB either
        course = courses.find()
        for slug in course.slugs:
            found += [each for each in courses.load_lab(course, slug).checks if incomplete in each.name]
    return [CompletionItem(each.name, help=each.claim) for each in found]


def _diagnoses() -> dict[str, dict[str, DiagnosisKind]]:
    """All diagnoses that can be had here: the shared ones, and those of each lab that can be read."""
    groups = {"Faults that all labs share": diagnosis.shared()}
    with contextlib.suppress(Fault):
        course = courses.find()
        for slug in course.slugs:
            with contextlib.suppress(Fault):
                lab = courses.load_lab(course, slug)
                groups[f"Only in {slug}"] = {own: lab.diagnoses[own] for own in lab.own_diagnoses}
    return groups


def _show(page: Page) -> None:
    page.write(sys.stdout)


def _width() -> int:
    return shutil.get_terminal_size((96, 24)).columns


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        with contextlib.suppress(metadata.PackageNotFoundError):
            click.echo(f"proclab {metadata.version('proclab')}")
            ctx.exit(0)
        raise Fault("proclab is not installed, so it has no version", cure="run: pip install -e .")


_lab = click.argument("slug", metavar="LAB", shell_complete=_lab_names)
_select = click.option(
    "-k", "select", metavar="NAME", shell_complete=_checks, help="Only checks whose name contains NAME."
)
_jobs = click.option(
    "-j", "--jobs", metavar="N", type=click.IntRange(min=1), help="Processes at a time [default: all cores]."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
def cli() -> None:
    """Autograded labs on Unix processes and inter-process communication.

    \b
    Students:     proclab list · start LAB · check LAB · explain SLUG
    Instructors:  proclab grade LAB SUBMISSIONS · report FILE · release DIR
    Authors:      proclab new LAB · build · verify LAB
    Everybody:    proclab doctor · completion
    """


# ---------------------------------------------------------------- students


@cli.command("list")
def list_labs() -> None:
    """Show the labs of this course."""
    from grader.reporting import reference

    course = courses.find()
    labs = (courses.load_lab(course, slug) for slug in course.slugs)
    _show(reference.labs(course.title, labs, width=_width()))


@cli.command()
@_lab
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--language", type=click.Choice(["python", "c"]), default="python", show_default=True)
def start(slug: str, directory: Path | None, language: str) -> None:
    """Begin a lab: put its skeleton and its brief into ./LAB, or into DIR.

    \b
    Examples:
      proclab start pipeline
      proclab start pipeline --language c
      proclab start pipeline ~/work/pipes
    """
    from grader.content import handout

    course = courses.find()
    lab = courses.load_lab(course, slug)
    folder = directory or Path(slug)
    for path in handout.start(course, lab, Language(language), folder):
        click.echo(f"wrote {path}")
    where = "" if directory is None else f" {shlex.quote(str(folder))}"
    click.echo(f"\nRead {folder / 'README.md'}, write your code, then: proclab check {slug}{where}")


@cli.command()
@_lab
@click.argument("path", required=False, type=click.Path(path_type=Path))
@_select
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
@click.option(
    "--replay",
    metavar="ID",
    default="",
    help="Only one run of a check that tries many; the ID is from a report.",
)
@click.option(
    "--saved", is_flag=True, help="Check the files as they are, whatever a notebook beside them holds."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--jsonl", is_flag=True, help="Print an event for each check, one JSON object on each line.")
def check(
    slug: str,
    path: Path | None,
    select: str | None,
    watch: bool,
    replay: str,
    saved: bool,
    as_json: bool,
    jsonl: bool,
) -> None:
    """Run the visible checks of a lab on your own work.

    PATH is a folder, a file, a notebook or an archive; without it ./LAB or the current folder.

    \b
    Examples:
      proclab check pipeline
      proclab check pipeline my_pipeline.c
      proclab check pipeline -k end_of_file --watch
      proclab check bounded_buffer --replay test_loses_nothing_in_any_schedule:2:d17
    """
    from grader.classroom import desk

    course = courses.find()
    show = (
        desk.Json(sys.stdout)
        if as_json
        else desk.Events(sys.stdout)
        if jsonl
        else desk.Words(sys.stdout, _width())
    )
    if watch:
        desk.watch(course, slug, path, select, show, told=sys.stderr)
        return
    report = desk.check(course, slug, path, select, show, replay, saved=saved)
    raise SystemExit(desk.status(report))


@cli.command()
@click.argument("slug", required=False, shell_complete=_slugs)
def explain(slug: str | None) -> None:
    """Explain a diagnosis; without SLUG list all of them.

    \b
    Examples:
      proclab explain write-end-left-open
      proclab explain
    """
    from grader.reporting import reference

    groups = _diagnoses()
    if slug is None:
        _show(reference.diagnoses({title: kinds.values() for title, kinds in groups.items()}, width=_width()))
        return
    kinds = {name: kind for group in groups.values() for name, kind in group.items()}
    _show(reference.diagnosis(kinds, slug, width=_width()))


# ---------------------------------------------------------------- instructors


_out = click.option(
    "-o",
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where results go [default: grades/LAB].",
)
_progress = click.option(
    "--progress",
    type=click.Choice(["auto", "lines", "json", "none"]),
    default="auto",
    show_default=True,
    help="auto: a bar on a terminal, else a line for each submission. "
    "json: one object on each line of standard output, and nothing else there.",
)
_quiet = click.option(
    "-q", "--quiet", is_flag=True, help="Say only where the results are: no progress, no class."
)


def _told(progress: str, quiet: bool, *, table: bool = True) -> Show:
    """How a grading is shown."""
    from grader.classroom import progress as shows

    if progress == "json":
        return shows.Json(sys.stdout)
    if quiet or progress == "none":
        return shows.Quiet(sys.stdout)
    bar = progress == "auto" and sys.stdout.isatty()
    return (shows.Bar if bar else shows.Lines)(sys.stdout, table=table)


@cli.command()
@_lab
@click.argument("submissions", nargs=-1, required=True, type=click.Path(path_type=Path))
@_jobs
@_select
@_out
@click.option(
    "--attempt",
    type=click.Choice(["newest", "best"]),
    default="newest",
    show_default=True,
    help="Which of several attempts of a student counts.",
)
@click.option("--one", is_flag=True, help="Each of SUBMISSIONS is one submission, whatever lies in it.")
@click.option("--again", is_flag=True, help="Grade again what is unchanged since it was graded.")
@click.option(
    "--prune", is_flag=True, help="Take those out of the results who handed in nothing in SUBMISSIONS."
)
@click.option("--force", is_flag=True, help="Run hidden checks even where isolation is too weak for them.")
@click.option(
    "--gradebook",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also write the points into this nbgrader course's gradebook.db.",
)
@_progress
@_quiet
def grade(
    slug: str,
    submissions: tuple[Path, ...],
    jobs: int | None,
    select: str | None,
    out: Path | None,
    attempt: str,
    one: bool,
    again: bool,
    prune: bool,
    force: bool,
    gradebook: Path | None,
    progress: str,
    quiet: bool,
) -> None:
    """Grade a class, with the hidden checks too.

    SUBMISSIONS are folders that hold one folder, archive, notebook or file for each student, exports of
    Gradescope, Canvas, Moodle or Classroom 50 (unpacked or not), nbgrader's submitted folder, or single
    submissions. Results go to DIR: gradebook.csv, and reports/STUDENT.json, .txt and .html. The status is 0
    when the grading went well, whatever the points are.

    DIR/ledger.jsonl gets each report as soon as it is there. However the grading ends, the same command
    goes on where it stopped. What is unchanged is not graded again: the same submission with the same
    version of the lab. Others who are in DIR already stay there.

    \b
    Examples:
      proclab grade pipeline submissions/
      proclab grade pipeline submissions/ -j 4 -o grades/first-round
      proclab grade pipeline submissions/ --attempt best --progress json | jq .
      proclab grade pipeline ada.zip grace.c
      proclab grade pipeline submissions/ --gradebook ../ipc-nbgrader/gradebook.db
    """
    from grader.classroom import executor, session

    lab = courses.load_lab(courses.find(), slug)
    workers = jobs or executor.cores()
    wish = session.Wish(attempt=attempt, one=one, select=select, force=force, again=again, prune=prune)
    reports = session.grade(
        lab, submissions, out or Path("grades") / slug, wish,
        executor.Grading(lab, workers, select, force), _told(progress, quiet), jobs=workers,
    )  # fmt: skip
    if gradebook is not None:
        from grader.jupyter import instructing

        for notice in instructing.record(lab, gradebook, submissions, out or Path("grades") / slug):
            click.echo(f"note: {visible(notice)}")
    if any(report.broken for report in reports):
        raise SystemExit(WRONG)


@cli.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@_jobs
@click.option("--again", is_flag=True, help="Also where neither the lab nor the submission has changed.")
@_progress
@_quiet
def regrade(directory: Path, jobs: int | None, again: bool, progress: str, quiet: bool) -> None:
    """Grade a class again after a check was changed, and say who gained and who lost points, and why.

    DIR is a folder of results that proclab grade wrote. What was handed in is looked for where it was then.
    Also written: DIR/changes.csv, a row for each check of each student that came out otherwise.

    \b
    Examples:
      proclab regrade grades/pipeline
      proclab regrade grades/pipeline --again -j 4
    """
    from grader.classroom import executor, regrading
    from grader.reporting import changes

    session = regrading.asked_before(directory)
    lab = courses.load_lab(courses.find(), session.lab)
    workers = jobs or executor.cores()
    reports, found = regrading.regrade(
        lab, directory, again, executor.Grading(lab, workers, session.select, session.force),
        _told(progress, quiet, table=False), jobs=workers,
    )  # fmt: skip
    if progress == "json":
        click.echo(changes.event(found))
    else:
        click.echo("")
        _show(changes.render(found, width=_width()))
    if any(report.broken for report in reports):
        raise SystemExit(WRONG)


@cli.command()
@click.argument("file", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option("--reveal", is_flag=True, help="Also show commands and data of hidden checks.")
@click.option(
    "--html",
    "page",
    metavar="OUT",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write it as a page of HTML that needs nothing else; - is standard output.",
)
def report(file: Path, reveal: bool, page: Path | None) -> None:
    """Show a stored report, or with a folder of results the class.

    \b
    Examples:
      proclab report grades/pipeline
      proclab report grades/pipeline/reports/ada.json
      proclab report grades/pipeline/reports/ada.json --reveal
      proclab report grades/pipeline/reports/ada.json --html ada.html
    """
    from grader.reporting import html, store, text

    if file.is_dir():
        from grader.classroom import gradebook

        gradebook.show(gradebook.read(file), sys.stdout)
        return
    found = store.read(file)
    if page is None:
        _show(text.render(found, width=_width(), reveal=reveal))
    elif str(page) == "-":
        click.echo(html.page(found, reveal=reveal).encode(), nl=False)
    else:
        store.replace(page, html.page(found, reveal=reveal).encode())
        click.echo(f"wrote {page}")


@cli.command()
@click.argument(
    "wanted",
    metavar="FORMAT",
    type=click.Choice(
        ["gradescope", "classroom50", "prairielearn", "junit", "actions", "markdown", "canvas", "figures"]
    ),
)
@click.argument("source", metavar="REPORT|DIR", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o", "--out", metavar="OUT", type=click.Path(path_type=Path, allow_dash=True), help="Where it goes."
)
@click.option(
    "--hidden-checks",
    type=click.Choice(["visible", "after_due_date", "after_published", "hidden"]),
    default="after_due_date",
    show_default=True,
    help="gradescope: when students see hidden checks (and, before that, no total).",
)
@click.option(
    "--gradebook",
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="canvas: the gradebook as Canvas exports it.",
)
@click.option(
    "--assignment", metavar="NAME", default="", help='canvas: the column, such as "Pipeline (12345)".'
)
@click.option("--submitted", metavar="TIME", default="", help="classroom50: the commit's date, ISO 8601.")
def export(
    wanted: str,
    source: Path,
    out: Path | None,
    hidden_checks: str,
    gradebook: Path | None,
    assignment: str,
    submitted: str,
) -> None:
    """Write reports in the formats of others.

    \b
    gradescope    results.json
    classroom50   result.json; reads the environment that its runner sets
    prairielearn  results.json
    junit         JUnit XML, for Jenkins, GitLab, Artemis; a class is a suite for each student
    actions       GitHub Actions: annotations, and a summary into $GITHUB_STEP_SUMMARY
    markdown      the summary alone
    canvas        CSV to be imported into the gradebook of Canvas
    figures       the class in figures, as JSON

    REPORT is DIR/reports/STUDENT.json, or what proclab check LAB --json prints; - is standard input. DIR is a
    folder of results. OUT is a file, by default standard output; where a class has a file for each student it is a
    folder, by default DIR/FORMAT. What students may not see of hidden checks is in none of them.

    \b
    Examples:
      proclab export gradescope grades/pipeline/reports/ada.json -o results.json
      proclab export canvas grades/pipeline --gradebook canvas.csv -o import.csv
      proclab check pipeline --json | proclab export actions -
    """
    from grader.classroom import exporting

    choice = exporting.Choice(
        hidden_checks=hidden_checks, gradebook=gradebook, assignment=assignment, submitted=submitted
    )
    written = exporting.export(exporting.Format(wanted), source, out, choice, told=sys.stderr)
    if len(written) > 1:
        click.echo(f"wrote {len(written)} files to {written[0].parent}", err=True)
    elif written:
        click.echo(f"wrote {written[0]}", err=True)


@cli.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option(
    "--gradescope", metavar="LAB", shell_complete=_lab_names, help="An autograder zip for Gradescope."
)
@click.option(
    "--classroom50", metavar="LAB", shell_complete=_lab_names, help="An autograder for Classroom 50."
)
def release(destination: Path, gradescope: str | None, classroom50: str | None) -> None:
    """Write what students get into the folder DEST: no solution, no hidden check, no mutant.

    In it is a workflow for GitHub Actions, which checks at every push the labs that were begun.

    With --gradescope DEST is a zip archive to be uploaded as the autograder of LAB, with its hidden checks. With
    --classroom50 it is a folder for CLASSROOM/autograders/ASSIGNMENT/. Classroom 50 publishes that, so
    hidden checks are not in it.

    \b
    Examples:
      proclab release ../ipc-course-2027
      proclab release pipeline.zip --gradescope pipeline
      proclab release ../classroom50/ipc/autograders/pipeline --classroom50 pipeline
    """
    from grader.content import autograders
    from grader.content import release as releases

    course = courses.find()
    if gradescope and classroom50:
        raise click.UsageError("--gradescope and --classroom50 write different things: name one of them")
    if gradescope:
        from grader.reporting import store

        store.replace(destination, autograders.gradescope(course, gradescope))
        click.echo(f"wrote {destination}: it holds hidden checks, so it is for Gradescope alone")
        return
    if classroom50:
        files = autograders.classroom50(course, classroom50, destination)
        click.echo(f"wrote {len(files)} files to {destination}: nothing in it is secret")
        return
    files = releases.release(course, destination)
    click.echo(f"wrote {len(files)} files to {destination}")
    click.echo(f"\nTry it as a student: cd {shlex.quote(str(destination))} && proclab list")


@cli.group()
def nbgrader() -> None:
    """Use the labs with nbgrader: notebooks are read, never run, and graded in the sandbox.

    \b
    Examples:
      proclab nbgrader init ../ipc-nbgrader
      cd ../ipc-nbgrader
      nbgrader generate_assignment pipeline
      nbgrader release_assignment pipeline
      proclab nbgrader autograde pipeline
    """


@nbgrader.command("init")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def nbgrader_init(directory: Path) -> None:
    """Make DIR an nbgrader course of these labs, or bring its notebooks up to date.

    \b
    Example:
      proclab nbgrader init ../ipc-nbgrader
    """
    from grader.jupyter import instructing

    instructing.needed()
    written, kept = instructing.init(courses.find(), directory)
    click.echo(f"wrote {len(written)} files to {directory}")
    for path in kept:
        click.echo(f"{path} is there already and was left as it is")
    slug = courses.find().slugs[0] if courses.find().slugs else "LAB"
    click.echo(f"\nNow: cd {shlex.quote(str(directory))} && nbgrader generate_assignment {slug}")


@nbgrader.command("autograde")
@_lab
@_jobs
@click.option("--again", is_flag=True, help="Also what nbgrader has graded already.")
def nbgrader_autograde(slug: str, jobs: int | None, again: bool) -> None:
    """Grade all submissions of an assignment, in the nbgrader course's folder: in parallel, into its gradebook.

    \b
    Examples:
      proclab nbgrader autograde pipeline
      proclab nbgrader autograde pipeline -j 4 --again
    """
    from grader.classroom.executor import cores
    from grader.jupyter import instructing

    root = instructing.root_of(Path())
    lab = courses.load_lab(courses.find(instructing.course_of(root)), slug)

    def tell(report: Report) -> None:
        click.echo(f"{visible(report.student)}: {report.score:g} of {report.max_score:g}")

    notices = instructing.autograde(lab, root, jobs=jobs or cores(), again=again, on_report=tell)
    for notice in notices:
        click.echo(f"note: {visible(notice)}")
    click.echo("the points are in gradebook.db; now: nbgrader generate_feedback " + slug)


# ---------------------------------------------------------------- authors


@cli.command()
@click.argument("slug", metavar="LAB")
def new(slug: str) -> None:
    """Make a small lab that is already proved, to be changed into a real one.

    \b
    Example:
      proclab new log_collector
    """
    from grader.content import scaffold

    folder = scaffold.new(courses.find(), slug)
    click.echo(f"wrote {folder}")
    click.echo(f"\nNow: proclab build && proclab verify {slug}")


@cli.command()
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; status 1 if a file is not as it must be."
)
def build(only_check: bool) -> None:
    """Generate skeletons and notebooks from the labs.

    \b
    Examples:
      proclab build
      proclab build --check
    """
    from grader.content import build as builds

    course = courses.find()
    if not only_check:
        for path in builds.write(course):
            click.echo(f"wrote {path.relative_to(course.root)}")
        return
    stale = builds.stale(course)
    for path in stale:
        click.echo(f"{path.relative_to(course.root)} is not what its lab makes of it")
    if stale:
        click.echo("cure: proclab build")
        raise SystemExit(FAILED)


@cli.command()
@click.argument("slugs", metavar="[LAB]...", nargs=-1, shell_complete=_lab_names)
@_jobs
def verify(slugs: tuple[str, ...], jobs: int | None) -> None:
    """Prove labs: right programs pass, the skeleton earns nothing, each mutant fails as declared.

    \b
    Examples:
      proclab verify
      proclab verify pipeline -j 2
    """
    from grader.classroom import session

    course = courses.find()
    labs = [courses.load_lab(course, slug) for slug in slugs or course.slugs]
    proved = [session.verify(course, lab, jobs=jobs, stream=sys.stdout) for lab in labs]
    if not all(proved):
        raise SystemExit(FAILED)


# ---------------------------------------------------------------- everybody


@cli.command()
def doctor() -> None:
    """Say what this machine can isolate and observe, and the cure for what it cannot."""
    from grader.reporting import reference
    from grader.running import machine

    here = machine.inspect()
    _show(reference.machine(here, width=_width()))
    if not all(fact.ok for fact in here.facts):
        raise SystemExit(FAILED)


_COMPLETION = {
    "bash": ("~/.bashrc", 'eval "$(_PROCLAB_COMPLETE=bash_source proclab)"'),
    "zsh": ("~/.zshrc", 'eval "$(_PROCLAB_COMPLETE=zsh_source proclab)"'),
    "fish": ("~/.config/fish/completions/proclab.fish", "_PROCLAB_COMPLETE=fish_source proclab | source"),
}


@cli.command()
@click.argument("shell", required=False, type=click.Choice(list(_COMPLETION)))
def completion(shell: str | None) -> None:
    """Say how to complete commands, labs and diagnoses with TAB.

    \b
    Examples:
      proclab completion
      proclab completion bash >> ~/.bashrc
    """
    mine = Path(os.environ.get("SHELL", "")).name
    file, line = _COMPLETION[shell or (mine if mine in _COMPLETION else "bash")]
    click.echo(line)
    click.echo(f"add this line to {file}", err=True)
