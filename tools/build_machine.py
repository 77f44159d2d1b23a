"""Build the digit machine, a page in which the shipped network draws: build_machine.py [FOLDER]

It needs Node.js and its npm, which installs what book/machine/package-lock.json names, each package
by its hash. The page that is built needs nothing else, not even a server.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from minddpm import OnnxNetwork, load_pretrained

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "book" / "machine"


def program(name: str) -> str:
    """Where a program of Node.js is.

    Raises: FileNotFoundError where it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"building the machine needs {name}, which is not installed")
    return path


def install() -> None:
    """Install the runtime and the bundler in book/machine/.

    Raises: FileNotFoundError without npm; ConnectionError where it does not get the packages.
    """
    command = [program("npm"), "ci", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConnectionError(f"the machine's packages cannot be installed: {done.stderr.strip()}")


def build(folder: Path, book: bool = False) -> Path:
    """Write FOLDER/index.html, with the shipped weights that know labels inside.

    Args:
        folder: where to write the page.
        book: whether the folder is in the web book's; the page then leads back to the book.

    Raises: as `install`; CalledProcessError where the bundler fails.
    """
    install()
    model, _, _ = load_pretrained("mnist_labels")
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    with tempfile.TemporaryDirectory() as scratch:
        network = Path(scratch) / "unet.onnx"
        network.write_bytes(OnnxNetwork(model, (1, 28, 28), half=True).onnx)
        command = [program("node"), str(SOURCE / "build.mjs"), str(network), str(page)]
        subprocess.run([*command, "book"] if book else command, check=True)
    return page


def main() -> int:
    """Build the page, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=ROOT / "_book" / "machine",
        help="where to write index.html (default: _book/machine)",
    )
    parser.add_argument("--book", action="store_true", help="link the web book in the folder above")
    options = parser.parse_args()
    try:
        page = build(options.folder, options.book)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    content = page.read_bytes()
    sent = len(gzip.compress(content))
    print(f"wrote {page}: {len(content) / 1e6:.1f} MB, gzipped {sent / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
