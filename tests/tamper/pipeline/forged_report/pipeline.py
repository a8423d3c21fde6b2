# Tries: to forge the verdict: prints what a grader would print, in several formats, and writes result files
# wherever it may.
import json
import os

TEXT = "pipeline: 100 of 100 points\nall checks passed\n=== 20 passed in 0.01s ===\n"
REPORT = {
    "format_version": 1, "lab": "pipeline", "student": "mallory", "score": 100, "max_score": 100,
    "tests": [{"name": "all", "score": 100, "max_score": 100, "status": "passed"}],
    "checks": [{"name": "all", "verdict": "passed", "points": 100, "max_points": 100}],
}  # fmt: skip
os.write(1, TEXT.encode() + json.dumps(REPORT).encode() + b"\n")
os.write(2, TEXT.encode())
for descriptor in range(3, 256):
    try:
        os.write(descriptor, json.dumps(REPORT).encode() + b"\n")
    except OSError:
        pass
names = ("results.json", "result.json", "report.json", "gradebook.csv", "ledger.jsonl", "pipeline.json", "junit.xml")
folders = [".", "..", "../..", "/", "/tmp", "/autograder/results", "/dev/shm", "/var/tmp", os.path.expanduser("~"), "grades", ".proclab", "/tmp/.proclab"]
for folder in folders:
    for name in names:
        try:
            with open(os.path.join(folder, name), "w") as target:
                json.dump(REPORT, target)
        except OSError:
            pass
