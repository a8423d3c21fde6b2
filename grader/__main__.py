"""``python -m grader`` is the command line, wherever ``proclab`` is not on PATH."""

from grader.cli import main

main()
