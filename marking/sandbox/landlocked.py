"""Start a submission's process so that it can open no more files than it is given. Runs beside
child.py where there is no bubblewrap, with the package landlock.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from landlock import FSAccess, Ruleset

MAY_READ = FSAccess.READ_FILE | FSAccess.EXECUTE
MAY_LIST = FSAccess.READ_DIR


def restrict(places: dict[str, list[str]]) -> None:
    """Let this process, and all that it starts, open what lies below some places and nothing else.

    Args:
        places: to "read", to "list" and to "write".
    """
    rules = Ruleset()
    files = FSAccess.all_file()
    for path in places["list"]:
        rules.allow(path, rules=MAY_LIST)
    for path in places["read"]:
        rules.allow(path, rules=MAY_READ | MAY_LIST if os.path.isdir(path) else MAY_READ)
    for path in places["write"]:
        rules.allow(path, rules=rules.restrict_rules if os.path.isdir(path) else files)
    rules.apply()


if __name__ == "__main__":
    places, *rest = sys.argv[1:]
    restrict(json.loads(places))
    script = str(Path(__file__).with_name("child.py"))
    os.execv(sys.executable, [sys.executable, "-I", "-B", script, *rest])
