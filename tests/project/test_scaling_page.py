"""docs/scaling.md says what was measured, and its commands do what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scaling

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
KEPT = json.loads((ROOT / "benchmarks" / "scaling.json").read_text(encoding="utf-8"))
MARKED = re.compile(r"<!-- (.+?) -->(.*?)<!-- /\1 -->", re.DOTALL)


def test_each_number_of_the_page_is_the_measured_one():
    texts = scaling.texts(KEPT)
    assert scaling.filled(PAGE, texts) == PAGE
    found = {name: text.strip() for name, text in MARKED.findall(PAGE)}
    assert found == {name: texts[name] for name in found}
    unsaid = texts.keys() - found.keys()
    assert not unsaid, "measured, and not on the page"


def test_no_number_of_the_page_stands_outside_the_marks():
    words = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", MARKED.sub("", PAGE), flags=re.DOTALL)
    assert re.findall(r"\S*\d\S*", re.sub(r"bfloat16|float32", "", words)) == []


def test_a_mark_without_a_number_is_seen():
    with pytest.raises(ValueError, match="marks of other, of which nothing was measured"):
        scaling.filled("<!-- other -->1<!-- /other -->", {"one": "1"})
    with pytest.raises(ValueError, match="marks of one"):
        scaling.filled("1<!-- /one -->", {"one": "1"})
    assert scaling.filled("a <!-- one -->1<!-- /one -->.", {"one": "2"}) == (
        "a <!-- one -->2<!-- /one -->."
    )


def test_fits_find_what_was_put_in():
    curve = scaling.Curve("train", "batch", (1, 2, 8, 32), 1, {})
    line = scaling.fitted(curve, [0.5 + 0.25 * x for x in curve.values])
    assert (line["constant"], line["slope"]) == pytest.approx((0.5, 0.25))
    square = scaling.fitted(curve._replace(power=2), [1 + 2 * x**2 for x in curve.values])
    assert (square["constant"], square["slope"]) == pytest.approx((1, 2))
    assert max(line["error"], square["error"]) <= 1e-9
    bent = scaling.fitted(curve, [x**1.5 for x in curve.values])
    assert bent["error"] > 0.1


def test_fits_are_told_in_words():
    curve = scaling.Curve("train", "batch", (1, 2, 8, 32), 1, {})
    rising = {"constant": 0.5, "slope": 0.0025, "error": 0.02}
    said = "2.50 ms for each and 500 ms, within 2%"
    assert scaling.fit_text(curve, rising, scaling.shown) == said
    level = {"constant": 1.0, "slope": 1e-6, "error": 0.001}
    assert scaling.fit_text(curve, level, scaling.shown) == "level at 1.00 s, within 1%"
    falling = {"constant": -0.5, "slope": 2.0, "error": 0.1}
    said = "2 MB for its square less 500 kB, within 10%"
    assert scaling.fit_text(curve._replace(power=2), falling, scaling.memory) == said


def test_the_model_of_many_processes_by_hand():
    parts = {
        "whole_step": 1.0,
        "whole_image": 0.5,
        "network_step": 2.0,
        "network_image": 0.25,
        "update": 3.0,
        "parameters": 500.0,
    }
    alone, messages = scaling.step_seconds(parts, 1, 8, scaling.Cluster(1, 0.125, 1000))
    assert (alone, messages) == (1 + 4 + 2 + 2 + 3, 0)
    four, messages = scaling.step_seconds(parts, 4, 8, scaling.Cluster(2, 0.125, 1000))
    reduced = 2 * 3 * (0.125 + 2000 / 4000)
    gathered = 3 * (0.125 + 4 * 784 * 8 / 4000)
    assert messages == pytest.approx(reduced + gathered)
    assert four == pytest.approx(1 + 4 + (2 + 0.5 + 3) / 2 + messages)


def test_processes_pay_while_half_of_each_is_busy():
    assert scaling.most_that_pay([8.0 / count for count in scaling.PROCESSES]) == 512
    assert scaling.most_that_pay([8.0, 4.0, 4.0, *[4.0] * 7]) == 4
    assert scaling.most_that_pay([1.0, 1.5, 2.0, *[2.5] * 7], own=True) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no seq and xargs")
def test_seeds_are_farmed_out_as_the_page_says(tmp_path):
    (line,) = re.findall(r"^seq .+$", PAGE, re.MULTILINE)
    (join,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    few = line.replace("--count 250 --ddim 50", "--count 2 --ddim 1")
    assert few != line
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    drawn = {}
    for name, ranges in {"one": ["seq 0 2"], "two": ["seq 2 2", "seq 0 1"]}.items():
        folder = tmp_path / name
        folder.mkdir()
        for seeds in ranges:
            command = few.replace("seq 0 7", seeds)
            subprocess.run(command, shell=True, cwd=folder, env=environment, check=True)
        subprocess.run([sys.executable, "-c", join], cwd=folder, env=environment, check=True)
        with np.load(folder / "all.npz") as arrays:
            drawn[name] = arrays["images"]
    assert drawn["one"].shape == (6, 1, 28, 28)
    assert np.array_equal(drawn["one"], drawn["two"])
    assert len({image.tobytes() for image in drawn["one"]}) == 6
