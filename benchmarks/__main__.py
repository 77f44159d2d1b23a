"""Run a benchmark: python -m benchmarks NAME [OPTIONS]. Without a name, say which there are.

"all" runs each with --publish, so that benchmarks/README.md and docs/scaling.md say what this
machine measures. That takes most of a day.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def title_of(name: str) -> str:
    """The first line of a benchmark's description."""
    tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    return str(ast.get_docstring(tree)).splitlines()[0]


def main(arguments: list[str]) -> None:
    """Run the one that is named, or all.

    Raises: SystemExit with its status, or for another name.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(str(__doc__))
        for name in NAMES:
            print(f"  {name:<12}{title_of(name)}")
        return
    if arguments == ["all"]:
        for name in NAMES:
            if status := run(name, "--publish"):
                raise SystemExit(status)
        return
    name, *options = arguments
    if name not in NAMES:
        raise SystemExit(f"expected all or one of {', '.join(NAMES)}, got {name!r}")
    raise SystemExit(run(name, *options))


def run(name: str, *options: str) -> int:
    """Run one in a process of its own, which may start others like itself; returns its status."""
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode


if __name__ == "__main__":
    main(sys.argv[1:])
