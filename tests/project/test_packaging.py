"""What is installed: the lists of packages agree, and what is built holds what it must."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(extra: str) -> list[Requirement]:
    """What the bare distribution and an extra require, extras of the extra included."""
    required = []
    for line in PROJECT["optional-dependencies"][extra]:
        one = Requirement(line)
        inner = [requirements(name) for name in sorted(one.extras)]
        required += sum(inner, []) if one.name == "minddpm" else [one]
    return [*map(Requirement, PROJECT["dependencies"]), *required]


def ranges(requirements: list[Requirement]) -> dict[str, str]:
    return {canonicalize_name(one.name): str(one.specifier) for one in requirements}


def test_conda_installs_what_pip_installs():
    renamed = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = ranges([Requirement(line) for line in listed if isinstance(line, str)])
    from_pip = [
        line for part in listed if isinstance(part, dict) for line in part["pip"] if line != "-e ."
    ]
    found = {renamed.get(name, name): versions for name, versions in conda.items()} | ranges(
        map(Requirement, from_pip)
    )
    assert found.pop("python") == PROJECT["requires-python"]
    assert found.pop("pip") == ""
    assert found == ranges(REQUIREMENTS)


def test_what_is_tested_lies_in_the_ranges():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = {
        canonicalize_name(one.name): one.specifier
        for one in map(Requirement, re.findall("^[^#].*", text, re.M))
    }
    for one in REQUIREMENTS:
        (pin,) = pins[canonicalize_name(one.name)]
        assert pin.operator == "=="
        assert pin.version in one.specifier, (
            f"{one.name} is pinned to {pin.version}, wanted {one.specifier}"
        )


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
