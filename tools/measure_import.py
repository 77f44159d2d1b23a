"""Measure what `import minddpm` costs beside `import torch`: the median of ten fresh processes
each, taken in turn.
"""

import statistics
import subprocess
import sys

CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(module: str) -> float:
    """The seconds that one import takes in a process of its own."""
    return float(
        subprocess.run(
            [sys.executable, "-c", CODE.format(module)], capture_output=True, check=True
        ).stdout
    )


if __name__ == "__main__":
    seconds("minddpm")  # the first one reads the disk
    pairs = [(seconds("torch"), seconds("minddpm")) for _ in range(10)]
    torch, minddpm = (statistics.median(times) for times in zip(*pairs))
    print(f"import torch {torch:.2f} s, import minddpm {minddpm:.2f} s: {minddpm / torch - 1:+.1%}")
