# Comes with the submission: must be neither collected nor imported by the grader.
import os

os.write(1, b"TAKEN OVER\n")


def pytest_runtest_makereport(item, call):
    call.excinfo = None
