"""Measure how much longer `import minddpm` takes than `import torch`, which is part of it: the
fastest of ten new processes each, in turn. The exit code is 1 if it takes more than 10% longer.
"""

import subprocess
import sys

CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
LIMIT = 0.1


def seconds(module: str) -> float:
    """The seconds that one import takes in a process of its own."""
    command = [sys.executable, "-c", CODE.format(module)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main() -> int:
    seconds("minddpm")  # the first one reads the disk
    pairs = [(seconds("torch"), seconds("minddpm")) for _ in range(10)]
    # the fastest, because whatever else runs on the machine can only make them slower
    torch, minddpm = (min(times) for times in zip(*pairs))
    longer = minddpm / torch - 1
    print(f"import torch {torch:.2f} s, import minddpm {minddpm:.2f} s: {longer:+.1%}")
    return int(longer > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
