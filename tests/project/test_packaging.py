"""What is installed: the lists of packages agree, and what is built holds what it must."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from imports import PACKAGES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from minddpm_course.lessons import COPIED, copy_lessons

ROOT = Path(__file__).parents[2]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = WHOLE["project"]
CONSTRAINTS = {"test": "constraints.txt", "course": "constraints-course.txt"}
TORCH = "constraints-torch.txt"
RELEASE = "constraints-release.txt"


def requirements(extra: str) -> list[Requirement]:
    """What the distribution requires with an extra, and with the extras that it includes."""
    required = list(map(Requirement, PROJECT["dependencies"]))
    for one in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if one.name != PROJECT["name"]:
            required.append(one)
        for inner in one.extras if one.name == PROJECT["name"] else ():
            required += requirements(inner)
    return required


def ranges(required: list[Requirement]) -> dict[str, str]:
    return {canonicalize_name(one.name): str(one.specifier) for one in required}


def pins(name: str) -> dict[str, set[str]]:
    """The versions that a file of constraints names for each package."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


def test_the_bare_library_requires_little():
    assert len(PROJECT["dependencies"]) <= 8
    assert not ranges(list(map(Requirement, PROJECT["dependencies"]))).keys() & {
        *("matplotlib", "jupyterlab", "ipywidgets", "ipykernel", "ipython", "nbformat"),
    }


def test_conda_installs_what_pip_installs():
    renamed = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = ranges([Requirement(line) for line in listed if isinstance(line, str)])
    from_pip = [
        line for part in listed if isinstance(part, dict) for line in part["pip"] if line != "-e ."
    ]
    found = {renamed.get(name, name): versions for name, versions in conda.items()} | ranges(
        list(map(Requirement, from_pip))
    )
    assert found.pop("python") == PROJECT["requires-python"]
    assert found.pop("pip") == ""
    assert found == ranges(requirements("test"))


@pytest.mark.parametrize("extra", CONSTRAINTS)
def test_constraints_lie_in_the_ranges(extra):
    pinned = pins(CONSTRAINTS[extra])
    assert "torch" not in pinned  # its version is elsewhere: its builds do not share a hash
    pinned |= pins(TORCH)
    for one in requirements(extra):
        (version,) = pinned[canonicalize_name(one.name)]
        assert version in one.specifier, f"{one.name} is pinned to {version}"


def test_what_a_learner_installs_is_what_is_tested():
    tested = pins(CONSTRAINTS["test"])
    assert all(versions == tested[name] for name, versions in pins(CONSTRAINTS["course"]).items())


@pytest.mark.parametrize("name", [*CONSTRAINTS.values(), RELEASE])
def test_every_constraint_has_a_hash_and_no_address(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "//" not in text
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 20
    assert all("--hash=sha256:" in block for block in blocks)


def test_what_builds_a_release_is_pinned():
    pinned, tested = pins(RELEASE), pins(CONSTRAINTS["test"])
    required = list(map(Requirement, WHOLE["dependency-groups"]["release"]))
    for one in [*required, *map(Requirement, WHOLE["build-system"]["requires"])]:
        (version,) = pinned[canonicalize_name(one.name)]
        assert version in one.specifier, f"{one.name} is pinned to {version}"
    assert all(pinned[name] == tested[name] for name in pinned.keys() & tested.keys())


def test_a_release_is_built_with_pinned_tools_only():
    script = (ROOT / ".ci" / "build").read_text(encoding="utf-8")
    installs = re.findall(r"pip install --quiet (.+)", script)
    assert installs[0] == f"--no-deps --require-hashes -r {RELEASE}"
    assert all(line.startswith(("-r constraints-torch.txt", "-c ")) for line in installs[1:])
    assert re.findall(r"-m build(.*?)(?: *#.*)?$", script, re.MULTILINE) == [" --no-isolation"]


def test_a_release_is_tested_before_it_is_published():
    path = ROOT / ".github" / "workflows" / "release.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    runs = {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}
    (publish,) = (
        name
        for name, job in jobs.items()
        if any("pypi-publish" in step.get("uses", "") for step in job["steps"])
    )
    before = [run for name in jobs[publish]["needs"] for run in runs[name]]
    assert "bash .ci/build" in before
    assert "make quick PYTHON=python" in before
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    whole, quick = (
        re.search(rf"^{name}: \$.*\n((?:\t.*\n)+)", recipes, re.MULTILINE)[1]
        for name in ("test", "quick")
    )
    assert quick == whole.removesuffix("\n") + " -m 'not slow'\n"


LICENCES = {  # as minddpm/assets/README.md says it, and as SPDX does
    "MIT, as the code": "MIT",
    "CC BY 4.0": "CC-BY-4.0",
    "Creative Commons Attribution-Share Alike 3.0": "CC-BY-SA-3.0",
    "CC0 1.0": "CC0-1.0",
}


def test_every_asset_has_a_licence_that_the_distribution_names(built):
    page = (ROOT / "minddpm" / "assets" / "README.md").read_text(encoding="utf-8")
    assets = files_in(ROOT / "minddpm" / "assets") - {"README.md"}
    assert {name for name in assets if name not in page} == set()
    named = {spdx for words, spdx in LICENCES.items() if words in page}
    assert named == set(LICENCES.values())
    assert set(PROJECT["license"].split(" AND ")) == named
    (about,) = built["installed"].glob("*.dist-info")
    lines = (about / "METADATA").read_text(encoding="utf-8").splitlines()
    assert f"License-Expression: {PROJECT['license']}" in lines
    for name in PROJECT["license-files"]:
        assert f"License-File: {name}" in lines
        assert (about / "licenses" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_citation_names_the_same_licences():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == PROJECT["license"].split(" AND ")


def test_the_version_stands_in_one_place_and_the_citation_agrees(built):
    text = (ROOT / "minddpm" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    assert built["wheel"].name.split("-")[1] == version


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A wheel and an sdist of the project, and a folder into which each is unpacked."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return {
        "wheel": wheel,
        "installed": folder / "installed",
        "unpacked": folder / sdist.name.removesuffix(".tar.gz"),
    }


def files_in(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix() for path in paths if path.parent.name != "__pycache__"
    }


def test_a_wheel_holds_the_packages_and_their_data(built):
    installed = files_in(built["installed"])
    wanted = {f"{package}/{name}" for package in PACKAGES for name in files_in(ROOT / package)}
    wanted |= {
        f"minddpm_course/lessons/{path.as_posix()}"
        for name in COPIED
        for path in (p.relative_to(ROOT) for p in (ROOT / name).rglob("*") if p.is_file())
        if path.parent.name not in ("py", "__pycache__")
    }
    assert {name for name in installed if ".dist-info/" not in name} == wanted
    assert "minddpm/assets/ddpm_mnist.safetensors" in wanted
    assert "marking/hostile/kit.txt" in installed
    assert (
        len([name for name in installed if re.fullmatch(r"marking/hostile/\w+/\w+\.txt", name)])
        > 120
    )


def test_the_lessons_are_copied_from_a_wheel_as_from_the_checkout(built, tmp_path, monkeypatch):
    ours, packaged = tmp_path / "ours", tmp_path / "packaged"
    copy_lessons(ours)
    packaged_lessons = built["installed"] / "minddpm_course" / "lessons"
    monkeypatch.setattr("minddpm_course.lessons.PACKAGED", packaged_lessons)
    copy_lessons(packaged)
    assert files_in(ours) == files_in(packaged)
    for name in files_in(ours):
        assert (ours / name).read_bytes() == (packaged / name).read_bytes()


def test_an_sdist_holds_every_file_of_the_repository(built):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: git does not say which files belong to it")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    kept = {name for name in listed.split("\0") if name and (ROOT / name).exists()}
    assert kept <= files_in(built["unpacked"])


BARE = """
import contextlib, io, json, sys, traceback
from importlib.metadata import entry_points

site, missing, *lines = sys.argv[1:]
sys.path.insert(0, site)
missing = set(json.loads(missing))


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def answer(line):
    sys.argv = ["minddpm", *line.split()]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command.load()()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
            code = None
    return code, out.getvalue(), err.getvalue()


sys.meta_path.insert(0, Missing())
(command,) = entry_points(group="console_scripts", name="minddpm")
print(json.dumps({line: answer(line) for line in lines}))
"""
REFUSED = ("check handed-in.ipynb", "grade --out report handed-in.ipynb")
SAMPLE = "sample --ddim 20 --count 4 --out x.png"


def required_by(names: list[str]) -> set[str]:
    """The distributions that come with these, theirs too."""
    found: set[str] = set()
    while names:
        name = canonicalize_name(names.pop())
        if name in found:
            continue
        found.add(name)
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # it is for another system
        inner = map(Requirement, lines)
        names += [one.name for one in inner if not one.marker or one.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory):
    """What the console script of the wheel does where nothing is installed but what it requires: by
    command line the exit code, what is printed to stdout and to stderr; and the folder it ran in.
    """
    brought = required_by([Requirement(line).name for line in PROJECT["dependencies"]])
    missing = [
        module
        for module, names in packages_distributions().items()
        if not {canonicalize_name(name) for name in names} & brought and module not in PACKAGES
    ]
    assert {"matplotlib", "IPython", "ipywidgets", "nbformat"} <= set(missing)
    folder = tmp_path_factory.mktemp("bare")
    (folder / "handed-in.ipynb").write_text("{}")
    lines = ("--help", "--version", *REFUSED, SAMPLE)
    run = subprocess.run(
        [sys.executable, "-P", "-c", BARE, str(built["installed"]), json.dumps(missing), *lines],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout) | {"folder": folder}


def test_a_bare_install_lists_its_commands(bare):
    code, shown, errors = bare["--help"]
    assert code == 0, errors
    assert "train" in shown
    assert "sample" in shown


@pytest.mark.parametrize("line", REFUSED)
def test_a_bare_install_says_what_marking_needs(bare, line):
    code, _, errors = bare[line]
    assert code not in (0, None)
    assert "pip install 'minddpm[course]'" in errors
    assert "Traceback" not in errors


def test_a_bare_install_tells_its_version(bare, built):
    code, shown, errors = bare["--version"]
    assert code == 0, errors
    assert shown.split()[-1] == built["wheel"].name.split("-")[1]


def test_a_bare_install_samples(bare):
    code, _, errors = bare[SAMPLE]
    assert code == 0, errors
    assert (bare["folder"] / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_project_is_whole_in_its_sdist(built):
    """The tests of the project's files pass there, and it makes the same wheel."""
    unpacked = built["unpacked"]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        + ["tests/project"],
        cwd=unpacked,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    again = unpacked / "again"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(again)],
        cwd=unpacked,
        check=True,
        capture_output=True,
    )
    (wheel,) = again.glob("*.whl")
    with zipfile.ZipFile(wheel) as new, zipfile.ZipFile(built["wheel"]) as first:
        assert sorted(new.namelist()) == sorted(first.namelist())
    shutil.rmtree(again)
