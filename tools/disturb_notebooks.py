"""Grade the solved notebooks of the course in every disturbed form, and print which marks change.

python tools/disturb_notebooks.py                        all of them, which takes hours on one core
python tools/disturb_notebooks.py --lessons 03 10 --every 12     a part

Each line is one form: how many notebooks were graded, how many marks changed, and the seconds.
"""

import argparse
import io
import json
import time
from functools import partial
from pathlib import Path

from honest import Disturbance, disturbances
from marking.grader import grade_submission
from marking.intake import submission_in
from marking.sandbox.parent import Limits, Sandbox, prepared_sandbox
from minddpm_course.course import load_course

ROOT = Path(__file__).parents[1]
SEED = 3


def marks_of(data: bytes, path: Path, sandbox: Sandbox) -> tuple[dict[str, float], list[str]]:
    """The points of each exercise in a notebook, and the remarks about it."""
    lesson = path.stem[:2]
    submission = submission_in(
        sandbox.course, partial(io.BytesIO, data), len(data), "Ada", path.name, lesson
    )
    graded = grade_submission(submission, sandbox, SEED)
    remarks = [row.remark for row in graded.rows if row.shown_right]
    return {row.exercise: row.points for row in graded.rows}, [*graded.remarks, *remarks]


def compare(disturbance: Disturbance, paths: list[Path], sandbox: Sandbox) -> int:
    """Grade the notebooks in one form, print what changed, and return how many marks did."""
    start = time.perf_counter()
    found = []
    marks = 0
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        earned, remarks = marks_of(disturbance.of(content), path, sandbox)
        full = {
            name: question.points
            for name, question in sandbox.course.bank.items()
            if name.startswith(path.stem[:2])
        }
        marks += len(full)
        for name, points in full.items():
            if earned.get(name) != points:
                found.append(f"{name}: {earned.get(name)} of {points} ({'; '.join(remarks)})")
    seconds = time.perf_counter() - start
    counts = f"{len(paths):3} notebooks  {marks:4} marks  {len(found):3} changed  {seconds:6.1f} s"
    print(f"{disturbance.name:50} {counts}", flush=True)
    for line in found:
        print(f"    {line}", flush=True)
    return len(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lessons", nargs="*", help="two digits each (default: all)")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th form")
    parser.add_argument("--only", help="words in the names of the forms to take")
    options = parser.parse_args()
    course = load_course()
    chosen = course.notebooks_in(ROOT / "solutions")
    if options.lessons:
        chosen = [path for path in chosen if path.stem[:2] in options.lessons]
    forms = disturbances()[:: options.every]
    if options.only:
        forms = [form for form in forms if options.only in form.name]
    with prepared_sandbox(course, Limits(timeout=300, cell=120)) as sandbox:
        total = sum(compare(form, chosen, sandbox) for form in forms)
    print(f"{len(forms)} forms of {len(chosen)} notebooks: {total} marks changed")
