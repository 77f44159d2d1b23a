"""What a submission can see of the system: a list, which leaves out all that nobody thought of.

It has the interpreter, its standard library, shared libraries, and of each folder with packages
what belongs to an installed distribution. So a notebook, an exchange or a checkout is not seen
wherever it lies, below /usr and beside the packages included.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# files and folders that programs look for, on systems that have them: names of libraries, the
# time zone, and the data of packages that came with the system
DATA = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/matplotlibrc",
    "/usr/lib/locale",
    "/usr/share/matplotlib",
    "/usr/share/zoneinfo",
)
LINKS = ("/lib", "/lib32", "/lib64")  # into /usr, on most systems
# what /proc says of the machine and not of others; of processes it shows the submission's alone
PROC = (
    *("cpuinfo", "filesystems", "meminfo", "mounts", "net", "self", "stat", "thread-self"),
    *("uptime", "version"),
)
FOLDERS_OF_PACKAGES = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class View:
    """What a submission can read, and change nothing of.

    Args:
        whole: files and folders, seen where they lie.
        links: symbolic links, and where they lead.
        packages: folders of packages, and what is seen of each; all else in them is hidden.
    """

    whole: tuple[str, ...]
    links: dict[str, str]
    packages: dict[str, tuple[str, ...]]


def view_for(hidden: Sequence[str]) -> View:
    """What a submission sees in the environment that grades it, without hidden packages."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    standard = {sysconfig.get_path(name, vars=base) for name in ("stdlib", "platstdlib")}
    whole = [*libraries(), *sorted(standard), *libraries_of_python(), *interpreter()]
    whole += [path for path in DATA if Path(path).exists()]
    packages = {folder: names for folder, names in packages_seen(hidden) if folder not in standard}
    whole += links_out_of(packages)
    for folder in whole:  # what lies in these is seen only as packages
        for found in folders_of_packages(Path(folder)):
            packages.setdefault(str(found), ())
    links = {path: os.readlink(path) for path in LINKS if Path(path).is_symlink()}
    # an outer folder comes before what lies in it
    return View(tuple(dict.fromkeys(whole)), links, dict(sorted(packages.items())))


def interpreter() -> Iterator[str]:
    """The interpreter, and what says that it belongs to an environment."""
    yield sys.executable
    settings = Path(sys.prefix, "pyvenv.cfg")
    if settings.exists():
        yield str(settings)


def libraries() -> Iterator[str]:
    """The system's folders of shared libraries, and the loader."""
    triplet = f"{platform.machine()}-linux-gnu"
    for name in (f"/usr/lib/{triplet}", f"/lib/{triplet}", "/usr/lib64", "/lib64", "/usr/lib"):
        folder = Path(name)
        if folder.resolve() != folder:  # a link, or below one
            continue
        if (folder / "libc.so.6").exists() or (name != "/usr/lib" and folder.is_dir()):
            yield name
        else:
            yield from map(str, sorted(folder.glob("ld-*.so*")))
    if not Path("/lib").is_symlink():
        yield from map(str, sorted(Path("/lib").glob("ld-*.so*")))


def libraries_of_python() -> Iterator[str]:
    """The shared libraries that come with Python, where it is not the system's own."""
    base = Path(sys.base_prefix)
    if base == Path("/usr"):
        return
    if (base / "conda-meta").exists():  # packages of conda share their libraries there
        yield str(base / "lib")
    else:
        yield from map(str, sorted((base / "lib").glob("lib*.so*")))


def folders_of_packages(folder: Path) -> Iterator[Path]:
    """The folders of packages that lie in a folder of libraries, or in a Python's in it."""
    for name in FOLDERS_OF_PACKAGES:
        for pattern in (name, f"python*/{name}"):
            yield from filter(Path.is_dir, folder.glob(pattern))


def links_out_of(packages: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Where packages lie that are only linked to from their folder."""
    for folder, names in packages.items():
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and path.resolve().parent != Path(folder).resolve():
                yield str(path.resolve())


def packages_seen(hidden: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The folders in which this process finds packages, and what installed distributions have put
    there, those with hidden packages aside. How a folder came to be searched does not matter.
    """
    for folder in dict.fromkeys(map(os.path.abspath, filter(None, sys.path))):
        if Path(folder).is_dir():
            names: set[str] = set()
            for distribution in importlib.metadata.distributions(path=[folder]):
                entries = set(installed_entries(distribution))
                if not is_editable(distribution) and not any(
                    hides_answers(entry, hidden) for entry in entries
                ):
                    names |= entries
            seen = [name for name in names if os.path.exists(os.path.join(folder, name))]
            if seen or Path(folder).name in FOLDERS_OF_PACKAGES:
                yield folder, tuple(sorted(seen))


def installed_entries(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """What a distribution has put into its folder, as far as it can be imported or describes it."""
    record = distribution.read_text("RECORD")
    if record is None:  # of a system's own packages
        for name in (distribution.read_text("top_level.txt") or "").split():
            yield from (name, f"{name}.py")
        return
    for line in record.splitlines():
        name = line.partition(",")[0].partition("/")[0].strip('"')
        if name not in ("", ".", "..", "__pycache__"):  # bytecode of others lies there too
            yield name


def is_editable(distribution: importlib.metadata.Distribution) -> bool:
    """Whether a distribution lies in a checkout, and its folder of packages only says where."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def hides_answers(entry: str, hidden: Sequence[str]) -> bool:
    """Whether a package, a module or a compiled one is hidden."""
    return entry.partition(".")[0] in hidden
