"""Find on how many threads, and with which PyTorch, the lessons' numbers hold, as a Markdown table.

    python tools/measure_numbers.py [--python PATH] [--threads 1 2 8] [--publish] [03 05 ...]

Each cell of each lesson is run by pytest, and what it prints compared with what is stored. PATH is
the Python of an environment with other versions, such as the one that `make oldest` makes. What was
found is kept in runs/numbers.json, lesson by lesson, so that an interrupted run continues. The
table shows all that is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from benchmarks._report import put_between_marks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
KEPT = ROOT / "runs" / "numbers.json"
VERSIONS = "import numpy, torch; print(torch.__version__.partition('+')[0], numpy.__version__)"
Found = dict[str, dict[str, list[str]]]  # versions and threads: lesson: its cells, "" or its name


def compared(python: str, threads: int, lesson: Path) -> list[str]:
    """Run a lesson, and tell for each cell nothing, or its name if it is not as it is stored."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MPLBACKEND": "agg"}
        subprocess.run(
            [*command, str(lesson.relative_to(ROOT))],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        cells = ElementTree.parse(report).getroot().iter("testcase")
        failing = ("failure", "error")
        return [
            f"{lesson.stem[:3].rstrip('_')}, {cell.get('name')}"
            if any(cell.find(kind) is not None for kind in failing)
            else ""
            for cell in cells
        ]


def table(found: Found) -> str:
    """A row for each version and number of threads."""
    rows = [
        "| PyTorch | NumPy | threads | lessons | cells | as stored | others |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for key in sorted(found, key=lambda key: [*map(int, key.replace(" ", ".").split("."))]):
        torch, numpy, threads = key.split()
        cells = [cell for lesson in found[key].values() for cell in lesson]
        others = [cell for cell in cells if cell]
        counts = f"{len(found[key])} | {len(cells)} | {len(cells) - len(others)}"
        rows.append(f"| {torch} | {numpy} | {threads} | {counts} | {'; '.join(others)} |")
    return "\n".join(rows)


def measure(python: str, counts: Iterable[int], lessons: Iterable[Path], found: Found) -> None:
    """Add what is not found yet, and keep it."""
    asked = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True)
    for threads in counts:
        here = found.setdefault(f"{asked.stdout.strip()} {threads}", {})
        for lesson in lessons:
            if lesson.stem not in here:
                here[lesson.stem] = compared(python, threads, lesson)
                KEPT.parent.mkdir(exist_ok=True)
                KEPT.write_text(json.dumps(found, indent=1), encoding="utf-8")
                print(f"{threads} threads: {lesson.stem}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the table, and publish it if asked to."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the names of lessons begin; all if none")
    parser.add_argument("--python", default=sys.executable, help="of another environment")
    parser.add_argument("--threads", nargs="*", type=int, default=[1], help="how many, in turn")
    parser.add_argument("--publish", action="store_true", help=f"write it into {PAGE.name}, too")
    options = parser.parse_args()
    names = tuple(options.names) or ("",)
    lessons = [
        path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.name.startswith(names)
    ]
    found: Found = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    measure(options.python, options.threads, lessons, found)
    text = table(found)
    print(text)
    if options.publish:
        put_between_marks(PAGE, "numbers", text)


if __name__ == "__main__":
    main()
