"""`minddpm book` serves a folder to this machine, and says what is missing."""

import socket
import struct
import threading
import urllib.request
import webbrowser

import pytest

import minddpm_course.book
from minddpm.__main__ import main
from minddpm_course.book import address_of, book_server


@pytest.fixture
def book(tmp_path):
    """A folder with a page and a script."""
    (tmp_path / "index.html").write_text("<h1>A book</h1>")
    (tmp_path / "a.mjs").write_text("1")
    return tmp_path


@pytest.fixture
def served(book):
    """The address of that folder while it is served."""
    with book_server(book) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address_of(server)
        server.shutdown()
        thread.join()


def test_pages_and_scripts_are_sent(served, capfd):
    with urllib.request.urlopen(served) as page:
        assert page.read() == b"<h1>A book</h1>"
    with urllib.request.urlopen(f"{served}a.mjs") as script:
        assert script.headers["Content-Type"] == "text/javascript"
    assert capfd.readouterr().err == ""


def test_a_reader_who_leaves_before_a_page_is_sent_leaves_no_traceback(book, capfd):
    (book / "long.bin").write_bytes(bytes(20_000_000))
    with book_server(book) as server:  # which waits for its threads at the end
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.create_connection(server.server_address) as leaves:
            leaves.sendall(b"GET /long.bin HTTP/1.0\r\n\r\n")
            leaves.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaves.recv(10)
        server.shutdown()
        thread.join()
    assert capfd.readouterr().err == ""


def test_only_this_machine_is_served(book):
    with book_server(book) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_two_books_are_served_at_once(book):
    with book_server(book) as one, book_server(book) as other:
        assert address_of(one) != address_of(other)


def test_the_command_opens_the_browser_at_the_book_and_ends_with_ctrl_c(book, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)

    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(minddpm_course.book.ThreadingHTTPServer, "serve_forever", interrupted)
    assert main(["book", str(book)]) == 0
    (address,) = opened
    assert address.startswith("http://127.0.0.1:")
    assert capsys.readouterr().out == f"{address} has the book; Ctrl-C ends it\n"


def test_a_folder_without_a_book_is_said(tmp_path, capsys):
    assert main(["book", str(tmp_path / "none")]) == 2
    wanted = f"error: no book at {tmp_path / 'none'}: `make book` builds one in _book\n"
    assert capsys.readouterr().err == wanted
