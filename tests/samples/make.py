"""Make those samples that are not plain text: archives and notebooks, the same bytes every time.

usage: make.py [--check]      with --check nothing is written; status 1 if a committed file differs
"""

import gzip
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE / "sources"


def zipped(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A zip without times, not compressed: other versions of zlib would give other bytes."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3  # Unix: only then the mode below says "symbolic link"
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return result.getvalue()


def tarred(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A .tar.gz without times and owners."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return gzip.compress(plain.getvalue(), compresslevel=0, mtime=0)


def notebook(program: str) -> bytes:
    """A notebook as a student hands it in: some text, the lab's cell, and a cell of the student's own."""

    def cell(kind: str, number: int, source: str) -> dict[str, object]:
        code: dict[str, object] = {"execution_count": None, "outputs": []} if kind == "code" else {}
        common = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": source.splitlines(True),
        }
        return {**common, **code}

    cells = [
        cell("markdown", 1, "# A pipeline of processes\n"),
        cell("code", 2, "%load_ext grader\n"),
        cell("code", 3, f"%%lab pipeline.py\n{program}"),
        cell("code", 4, "import os\nprint('scratch', os.getpid())\n"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1).encode() + b"\n"


def samples() -> dict[str, bytes]:
    """The files to make, by their path below this folder."""
    program = {name: (SOURCES / name / "pipeline.py").read_bytes() for name in ("margaret", "tim", "guido")}
    litter = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
    return {
        # A folder within the archive, as most tools make it
        "pipeline/margaret.zip": zipped({"pipeline-lab/pipeline.py": program["margaret"]}),
        # What macOS adds to every archive
        "pipeline/tim.tar.gz": tarred(
            {
                "./._lab": litter,
                "lab/.DS_Store": b"\x00\x00\x00\x01Bud1",
                "lab/._pipeline.py": litter,
                "lab/pipeline.py": program["tim"],
                "lab/__pycache__/pipeline.cpython-311.pyc": b"\xa7\r\r\n",
                "__MACOSX/lab/._pipeline.py": litter,
            }
        ),
        "pipeline/guido.ipynb": notebook(program["guido"].decode()),
        # Cannot be read: the bytes of something else under a notebook's name
        "pipeline/donald.ipynb": bytes((i * i + 41 * i + 7) % 256 for i in range(1024)),
        # Hostile: leaves its folder by .., by an absolute name, and by symbolic links
        "pipeline/eve.zip": zipped(
            {
                "../../escaped.py": b"print('escaped')\n",
                "/tmp/escaped.py": b"print('escaped')\n",
                "lab/../../../escaped.py": b"print('escaped')\n",
                "back\\..\\..\\escaped.py": b"print('escaped')\n",
            },
            links={"pipeline.py": "/etc/passwd", "labs": "../../../labs"},
        ),
    }


def main() -> int:
    """Write the files, or compare them."""
    stale = []
    for name, data in samples().items():
        path = HERE / name
        if "--check" not in sys.argv[1:]:
            path.write_bytes(data)
        elif not path.is_file() or path.read_bytes() != data:
            stale.append(name)
    for name in stale:
        print(f"{name} is not what make.py makes; run: python tests/samples/make.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
