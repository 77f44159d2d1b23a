"""What is wrong with a built book: dead links, ids that occur twice, files from afar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {  # what a page fetches by itself, by the element and attribute that name it
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")),
    *(("link", "href"),),
}
NOT_FETCHED = {
    "next",
    "prev",
    "index",
    "search",
    "author",
    "canonical",
    "genindex",
}  # rel of <link>
CSS_ADDRESS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


class Page(HTMLParser):
    """A page: its ids, where its links lead, and what it fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element is called and what it names."""
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids[given["id"]] += 1
        for name in ("href", "src", "xlink:href"):
            if name in given and not given[name].startswith("data:"):
                self.links.append(given[name])
                if (tag, name) in LOADED and given.get("rel") not in NOT_FETCHED:
                    self.fetched.append(given[name])


def pages_of(book: Path) -> dict[Path, Page]:
    """All pages of a built book; a theme may leave templates beside its scripts."""
    paths = sorted(path for path in book.rglob("*.html") if "_static" not in path.parts)
    return {path: Page(path) for path in paths}


def dead_links(pages: dict[Path, Page]) -> Iterator[str]:
    """Each link to a file that is not there, or to an id that its page does not have."""
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = path if not address.path else (path.parent / unquote(address.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(address.fragment)
            if not target.exists() or (
                anchor and target in pages and anchor not in pages[target].ids
            ):
                yield f"{path.name}: {link}"


def repeated_ids(pages: dict[Path, Page]) -> Iterator[str]:
    """Each id that a page has more than once."""
    for path, page in pages.items():
        yield from (f"{path.name}: {name}" for name, count in page.ids.items() if count > 1)


def from_afar(book: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Each file that a page or a style sheet fetches from another machine, or does not find."""
    for path, page in pages.items():
        yield from (f"{path.name}: {one}" for one in page.fetched if urlsplit(one).netloc)
    for path in book.rglob("*.css"):
        for found in CSS_ADDRESS.finditer(path.read_text(encoding="utf-8")):
            address = found[1] or found[2]
            if address.startswith(("data:", "#")):
                continue
            file = path.parent / urlsplit(address).path
            if urlsplit(address).netloc or not file.exists():
                yield f"{path.name}: {address}"
