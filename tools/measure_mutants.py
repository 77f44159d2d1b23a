"""Measure how many mutants of the maths the unit tests notice; `tools/mutation.py` makes them.

    python tools/measure_mutants.py [--sample N] [--seed N] [--publish]

One pytest session collects the tests and then forks a child for each mutant. The child puts the
mutant's code into the function that all others hold, and runs tests until one fails or its time is
up: first the test that noticed the mutant before, then those in the file named after the module,
then the rest. Results are added to runs/mutants.jsonl; a whole run goes on from there, and tries
only survivors again.

docs/mutants.toml lists the mutants that no test can notice, each with its reason. They are not run.
The exit code is 1 if the tests notice fewer than 95% of the others.
"""

import argparse
import gc
import inspect
import json
import math
import os
import random
import signal
import sys
import time
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from mutation import Key, Mutant, mutants

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mutants.md"
REASONS = ROOT / "docs" / "mutants.toml"
RESULTS = ROOT / "runs" / "mutants.jsonl"
LEAST = 0.95  # of the mutants that can be noticed
SECONDS = 60  # of a processor for one test: a loop that never ends is noticed, too
PATIENCE = 40  # seconds of a processor after which a mutant has survived: no more tests begin
MATHS = (
    *("schedule", "noising", "posterior", "loss", "unet", "sampler"),
    *("training", "score", "ddim", "guidance", "targets"),
)
IN_TURN = (  # files with tests of the maths: those that refuse bad input, then the fastest first
    *("bad_input", "worked_examples", "posterior", "noising", "schedule", "with_diffusers"),
    *("weighting", "optimizers", "unet", "guidance", "loss", "precision_and_devices"),
    *("checkpoints", "recipes", "sampler", "training", "score", "inpainting", "targets", "runs"),
    *("solvers", "ddim"),
)


def read_mutants() -> list[Mutant]:
    """All mutants of the maths."""
    found = []
    for module in MATHS:
        found += mutants(module, (ROOT / "minddpm" / f"{module}.py").read_text(encoding="utf-8"))
    return found


def read_reasons(every: list[Mutant]) -> dict[Key, str]:
    """Why no test can notice a mutant, for those that are listed."""
    listed = tomllib.loads(REASONS.read_text(encoding="utf-8"))["survivor"]
    reasons = {
        Key(entry["where"], entry["right"], entry["wrong"]): entry["reason"] for entry in listed
    }
    for key in reasons.keys() - {mutant.key for mutant in every}:
        raise ValueError(f"{REASONS.name} explains a mutant that there is not: {key}")
    return reasons


def read_results() -> dict[Key, str | None]:
    """Which tests noticed each mutant in earlier runs."""
    if not RESULTS.exists():
        return {}
    rows = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {Key(*row["mutant"]): row["by"] for row in rows}


def own_tests(module: str) -> str:
    """The file with the unit tests of a module."""
    return f"test_{module}.py"


def function_within(value: Any) -> Any:
    """The function as it is written, within what decorators have made of it."""
    value = getattr(value, "fget", value)  # of a property
    return inspect.unwrap(getattr(value, "__func__", value))  # of a class method


def graft(old: Any, new: Any) -> None:
    """Let a function or class, wherever it has been imported, do what a new one does."""
    if isinstance(old, type):
        for name, value in vars(new).items():
            if name not in ("__dict__", "__weakref__"):
                graft_attribute(old, name, value)
        for name in vars(old).keys() - vars(new).keys():
            delattr(old, name)
    else:
        one, other = function_within(old), function_within(new)
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            setattr(one, name, getattr(other, name))


def graft_attribute(owner: type, name: str, value: Any) -> None:
    """The same for what belongs to a class."""
    inner = [function_within(one) for one in (vars(owner).get(name), value)]
    written = [
        isinstance(one, FunctionType) and one.__code__.co_filename != "<string>" for one in inner
    ]
    if all(written) and inner[0].__code__.co_freevars == inner[1].__code__.co_freevars:
        graft(inner[0], inner[1])
    else:  # a value, or a function that a dataclass has made
        setattr(owner, name, value)


def plant(module_name: str, name: str, source: str) -> None:
    """Define a function or class of a module anew, with its types enforced as in all tests."""
    module = sys.modules[f"minddpm.{module_name}"]
    assert isinstance(module.__loader__, SourceFileLoader)
    names = dict(vars(module))
    exec(module.__loader__.source_to_code(source.encode(), str(module.__file__)), names)
    graft(getattr(module, name), names[name])


def execute_again(item: pytest.Item) -> None:
    """Let the module of a test compute its constants anew."""
    assert isinstance(item, pytest.Function)
    module = sys.modules[item.function.__module__]
    assert module.__spec__ and module.__spec__.loader
    module.__spec__.loader.exec_module(module)


class Trials:
    """A pytest plugin that runs, in place of the tests, a trial of each mutant."""

    def __init__(self, wanted: list[Mutant], known: dict[Key, str | None]) -> None:
        self.wanted, self.known = wanted, known
        self.results: dict[Key, str | None] = {}
        self.pipe = -1  # from a child to its parent

    def pytest_collection(self) -> None:
        """Let hypothesis stop at the first example that fails, and look for no simpler one."""
        import hypothesis  # pytest wants to be first

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("first", phases=phases)
        hypothesis.settings.load_profile("first")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        gc.freeze()  # children share what is here, as long as nobody touches it
        for module in dict.fromkeys(mutant.module for mutant in self.wanted):
            file = own_tests(module)
            turn = sorted(session.items, key=lambda item: item.path.name != file)  # stable
            for mutant in (one for one in self.wanted if one.module == module):
                self.results[mutant.key] = self.known.get(mutant.key) or self.tried(mutant, turn)
        right = {(mutant.module, mutant.name, mutant.right) for mutant in self.wanted}
        noticed = set(self.results.values())
        tests = [item for item in session.items if item.nodeid in noticed]
        if failed := self.failed(right, tests, math.inf):
            raise pytest.UsageError(f"{failed} fails without a mutant, too")
        return True

    def tried(self, mutant: Mutant, turn: list[pytest.Item]) -> str | None:
        """Try a mutant and tell which test noticed it, if any; that one has the next turn first."""
        by = self.failed({(mutant.module, mutant.name, mutant.wrong)}, turn, PATIENCE)
        turn.sort(key=lambda item: item.nodeid != by)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": mutant.key, "by": by}) + "\n")
        if not by:
            where, right, wrong = mutant.key
            print(f"{where}, line {mutant.line}, survives:\n- {right}\n+ {wrong}", flush=True)
        return by

    def failed(
        self, sources: set[tuple[str, str, str]], items: list[pytest.Item], patience: float
    ) -> str | None:
        """Run tests in a process of its own, with functions defined anew: the first that fails."""
        reading, self.pipe = os.pipe()
        child = os.fork()
        if child:
            os.close(self.pipe)
            with open(reading, encoding="utf-8") as told:
                test = told.read().rpartition("\n")[2]
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return test if code else None
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.write(self.pipe, b"\nits definition")
            for source in sources:
                plant(*source)
            fresh = set()
            for item, following in zip(items, [*items[1:], None]):
                if time.process_time() > patience:
                    break
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                os.write(self.pipe, f"\n{item.nodeid}".encode())
                if item.path not in fresh:  # what it computed when it was collected was right
                    fresh.add(item.path)
                    execute_again(item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(0)
        finally:
            os._exit(1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """End at the first failure, before its report is made, which takes longer than a test."""
        if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(1)


def table(every: list[Mutant], results: dict[Key, str | None], reasons: dict[Key, str]) -> str:
    """How many of each module's mutants were tried and noticed, in Markdown."""
    heads = ("module", "mutants", "explained", "tried", "noticed", "by its own tests", "share")
    lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name in (*MATHS, "all"):
        keys = [mutant.key for mutant in every if name in (mutant.module, "all")]
        explained = [key for key in keys if key in reasons]
        tried = [key for key in keys if key in results and key not in reasons]
        noticed = [(key, by) for key in tried if (by := results[key])]
        own = sum(own_tests(key.module) in by for key, by in noticed)
        share = f"{len(noticed) / len(tried):.1%}" if tried else "-"
        row = (name, len(keys), len(explained), len(tried), len(noticed), own, share)
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def explanations(reasons: dict[Key, str]) -> str:
    """What each listed mutant changes and why no test can notice it, in Markdown."""
    return "\n".join(
        f"- `{where}`: `{right}` becomes `{wrong}`. {reason}"
        for (where, right, wrong), reason in reasons.items()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="How many mutants do the unit tests notice?")
    parser.add_argument("--sample", type=int, help="how many to draw; all of them if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--publish", action="store_true", help="write the table into the page")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: threads do not survive a fork
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    every = read_mutants()
    reasons = read_reasons(every)
    wanted = [mutant for mutant in every if mutant.key not in reasons]
    known = read_results()
    if args.sample:
        wanted, known = random.Random(args.seed).sample(wanted, args.sample), {}
    RESULTS.parent.mkdir(exist_ok=True)
    trials = Trials(wanted, known)
    files = [f"tests/library/test_{name}.py" for name in IN_TURN]
    options = ["-qs", "-m", "not slow", "-p", "no:cacheprovider"]
    if code := pytest.main([*options, *files], plugins=[trials]):
        return int(code)
    results = trials.results
    share = sum(by is not None for by in results.values()) / len(results)
    print(f"the tests notice {share:.1%} of {len(results)} mutants")
    if not args.sample:
        text = table(every, results, reasons)
        print(text)
        if args.publish:
            # not at the top: it imports jaxtyping, whose asserts pytest could then not rewrite
            from benchmarks._report import put_between_marks

            put_between_marks(PAGE, "modules", text)
            put_between_marks(PAGE, "survivors", explanations(reasons))
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
