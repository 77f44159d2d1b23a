"""The web book, read without a network: a folder that is served to this machine alone."""

from __future__ import annotations

import contextlib
import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Pages(SimpleHTTPRequestHandler):
    """Sends files, and prints nothing of it."""

    # Windows may have other ideas of scripts, which browsers then refuse to run
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def handle(self) -> None:
        """Answer while somebody listens: a reader who leaves a page closes its connections."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def book_server(folder: Path) -> ThreadingHTTPServer:
    """A server of a built book, on a free port of this machine; `serve_forever` starts it.

    Raises: FileNotFoundError for a folder without a book.
    """
    if not (folder / "index.html").is_file():
        raise FileNotFoundError(f"no book at {folder}: `make book` builds one in _book")
    return ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=str(folder)))


def address_of(server: ThreadingHTTPServer) -> str:
    """Where the book is: "http://127.0.0.1:41873/"."""
    return f"http://127.0.0.1:{server.server_port}/"
