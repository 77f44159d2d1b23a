"""Run a benchmark: python -m benchmarks NAME [OPTIONS]. Without a name, say which there are."""

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
    """Run the one that is named, in a process of its own, which may start others like itself.

    Raises: SystemExit with its status, or for another name.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(str(__doc__))
        for name in NAMES:
            print(f"  {name:<12}{title_of(name)}")
        return
    name = arguments[0]
    if name not in NAMES:
        raise SystemExit(f"expected one of {', '.join(NAMES)}, got {name!r}")
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments[1:]]
    raise SystemExit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
