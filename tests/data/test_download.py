"""Against a server on 127.0.0.1 that breaks off, lies, redirects, hangs, or does as it should."""

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.download import Patience, Wanted, download
from interslice.steps.fetch import download_archive

CONTENT = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(100_000))  # 3.2 MB
SHA256, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)
OTHER = CONTENT[::-1]  # of the same length
IMPATIENT = Patience(retries=2, timeout=0.5, backoff=0.01)


class Handler(BaseHTTPRequestHandler):
    """The path says how to behave: /breaks, /lies-more, /redirect, ..."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, behaviour = self.server, self.path.strip("/")
        asked = self.headers.get("Range")
        server.requests.append((behaviour, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        turn = sum(name == behaviour for name, _ in server.requests)
        if behaviour == "redirect":
            return self.answer(302, {"Location": "/good", "Content-Length": "0"}, b"")
        if behaviour == "circle":
            return self.answer(302, {"Location": "/circle", "Content-Length": "0"}, b"")
        if behaviour == "gone":
            return self.answer(404, {"Content-Length": "0"}, b"")
        if behaviour == "page":
            return self.answer(200, {"Content-Length": "32"}, b"<!DOCTYPE html><p>Please log in.")
        if behaviour in ("nothing", "begins"):  # and says no length
            return self.answer(200, {}, b"" if behaviour == "nothing" else b"PK\x03\x04" + CONTENT[:1000])
        if behaviour == "busy" and turn < 3:
            return self.answer(503, {"Retry-After": "0", "Content-Length": "0"}, b"")
        if behaviour == "down":
            return self.answer(503, {"Content-Length": "0"}, b"")
        if behaviour == "hangs":
            return time.sleep(3)
        if behaviour == "wrong":
            return self.answer(200, {"Content-Length": str(SIZE)}, CONTENT[::-1])
        if behaviour == "longer":
            return self.answer(200, {}, CONTENT + b"more")
        if behaviour == "offers-more":
            return self.answer(200, {"Content-Length": str(SIZE + 5)}, CONTENT)
        if behaviour == "shorter":  # says it is whole, and is not
            return self.answer(200, {"Content-Length": "1000"}, CONTENT[:1000])
        if behaviour == "shifted":
            part = CONTENT[max(0, start - 7) :]
            return self.answer(206, {"Content-Range": f"bytes {max(0, start - 7)}-{SIZE - 1}/{SIZE}"}, part)
        if behaviour == "forgets":
            start = 0
        if behaviour.startswith("edited"):
            return self.edited(behaviour, start, turn)
        body = CONTENT[start:]
        headers = {"Content-Length": str(len(body))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{SIZE - 1}/{SIZE}"
        if behaviour == "breaks" or (behaviour == "forgets" and turn == 1):
            body = body[:700_000]
        if behaviour == "stalls":
            self.answer(206 if start else 200, headers, body[:500_000])
            return time.sleep(1.5)
        return self.answer(206 if start else 200, headers, body)

    def edited(self, behaviour: str, start: int, turn: int) -> None:
        """The transfer breaks off, and by the next request the file is another of the same length.

        edited-etag, edited-date and edited-weak name their versions and honour If-Range; edited-deaf names them and sends any
        range of the newest; edited-mute names none and does the same.
        """
        content = CONTENT if turn == 1 else OTHER
        version = {
            "edited-date": ("Last-Modified", f"Mon, 0{min(turn, 2)} Jan 2024 10:00:00 GMT"),
            "edited-weak": ("ETag", 'W/"same"'),
            "edited-mute": ("X-None", "0"),
        }.get(behaviour, ("ETag", f'"{min(turn, 2)}"'))
        self.server.versions.append(self.headers.get("If-Range"))
        if behaviour in ("edited-etag", "edited-date") and self.headers.get("If-Range") != version[1]:
            start = 0
        body = content[start:]
        headers = {"Content-Length": str(len(body)), version[0]: version[1]}
        if start:
            headers["Content-Range"] = f"bytes {start}-{SIZE - 1}/{SIZE}"
        self.answer(206 if start else 200, headers, body[:700_000] if turn == 1 else body)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that went away is what some tests are about
    server.requests, server.versions = [], []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def fetch(server, tmp_path):
    def run(*paths, size=SIZE, sha256=SHA256, md5=None, **options):
        urls = [f"http://127.0.0.1:{server.server_port}/{path}" for path in paths]
        options = {"patience": IMPATIENT, "progress": io.StringIO()} | options
        return download(urls, tmp_path / "disc.tar.gz", Wanted(size, sha256, md5), **options)

    return run


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_a_file_comes_once(fetch, server, tmp_path):
    progress = io.StringIO()
    assert fetch("good", progress=progress).read_bytes() == CONTENT
    assert "disc.tar.gz" in progress.getvalue()
    assert "100%" in progress.getvalue()
    fetch("good")
    assert server.requests == [("good", None)], "a file that is there and right is not asked for again"
    assert left(tmp_path) == ["disc.tar.gz"]


def test_broken_connections_are_continued(fetch, server):
    """Four breaks, each after 700 kB: more than the retries, but every one brought something."""
    assert fetch("breaks").read_bytes() == CONTENT
    starts = [int(asked[6:-1]) for _, asked in server.requests[1:]]
    assert len(starts) == 4
    assert all(0 < 700_000 - step < 2**16 for step in np.diff([0, *starts])), "little is fetched twice"


def test_a_later_call_continues_what_an_earlier_one_left(fetch, server, tmp_path):
    (tmp_path / ".disc.tar.gz.partial").write_bytes(CONTENT[:2_000_000])
    assert fetch("good").read_bytes() == CONTENT
    assert server.requests == [("good", "bytes=2000000-")]


def test_a_partial_file_of_another_file_is_replaced(fetch, server, tmp_path):
    (tmp_path / ".disc.tar.gz.partial").write_bytes(bytes(2_000_000))
    assert fetch("good").read_bytes() == CONTENT
    assert server.requests == [("good", "bytes=2000000-"), ("good", None)]


def test_a_server_that_cannot_continue_starts_again(fetch, server):
    assert fetch("forgets").read_bytes() == CONTENT
    assert server.requests == [("forgets", None), ("forgets", "bytes=655360-")]


def test_a_stalled_transfer_is_continued(fetch, server):
    assert fetch("stalls").read_bytes() == CONTENT
    assert server.requests[1] == ("stalls", "bytes=458752-")


def test_a_busy_server_is_asked_again(fetch, server):
    assert fetch("busy").read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_redirects_are_followed(fetch, server):
    assert fetch("redirect").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["redirect", "good"]


def test_the_next_address_is_tried(fetch):
    assert fetch("gone", "wrong", "good").read_bytes() == CONTENT


def test_size_and_checksum_may_be_unknown(fetch):
    assert fetch("good", size=None, sha256=None).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [
        ("edited-etag", [None, '"1"']),
        ("edited-date", [None, "Mon, 01 Jan 2024 10:00:00 GMT"]),
        ("edited-weak", [None, None]),
        ("edited-deaf", [None, '"1"', None]),
        ("edited-mute", [None, None]),
    ],
)
def test_two_versions_are_never_spliced(fetch, server, behaviour, asked):
    """The file is edited while it is fetched, no checksum is known, and both versions have the same number of bytes."""
    assert fetch(behaviour, sha256=None).read_bytes() == OTHER
    assert server.versions == asked


def test_a_later_call_does_not_splice_either(fetch, server, tmp_path):
    """What an earlier process left is gone on with by its version, and not at all at another address."""
    with pytest.raises(InputError, match="the connection broke off"):
        fetch("edited-etag", sha256=None, patience=Patience(retries=-1))
    assert left(tmp_path) == [".disc.tar.gz.partial", ".disc.tar.gz.partial.version"]
    assert fetch("edited-etag", sha256=None).read_bytes() == OTHER
    assert server.versions == [None, '"1"']
    (tmp_path / "disc.tar.gz").replace(tmp_path / ".disc.tar.gz.partial")
    assert fetch("good", sha256=None).read_bytes() == CONTENT
    assert server.requests[-1] == ("good", None)
    assert left(tmp_path) == ["disc.tar.gz"]


def test_md5_is_a_checksum_too(fetch, server, tmp_path):
    known = hashlib.md5(CONTENT).hexdigest()
    assert fetch("good", sha256=None, md5=known).read_bytes() == CONTENT
    (tmp_path / "disc.tar.gz").unlink()
    with pytest.raises(InputError, match=f"found md5 {hashlib.md5(OTHER).hexdigest()}, expected {known}"):
        fetch("wrong", sha256=None, md5=known)
    (tmp_path / ".disc.tar.gz.partial").write_bytes(CONTENT[:2_000_000])
    assert fetch("good", sha256=None, md5=known).read_bytes() == CONTENT
    assert server.requests[-1] == ("good", "bytes=2000000-")


@pytest.mark.parametrize(
    ("path", "message", "requests"),
    [
        ("wrong", "found sha256 .*, expected " + SHA256, 1),
        ("longer", f"the server sent more than the expected {SIZE} bytes", 1),
        ("offers-more", f"the server offers {SIZE + 5} bytes, expected {SIZE}", 1),
        ("shorter", f"the server offers 1000 bytes, expected {SIZE}", 1),
        ("gone", "the server answered 404", 1),
        ("down", "the server answered 503 .*, after 3 attempts without a byte", 3),
        ("hangs", "the server did not answer in time, after 3 attempts", 3),
        ("circle", "redirected in a circle", 31),
    ],
)
def test_what_cannot_be_had_is_one_sentence(fetch, server, tmp_path, path, message, requests):
    with pytest.raises(InputError, match=message) as raised:
        fetch(path)
    assert f"/{path}: " in str(raised.value)
    assert len(server.requests) == requests
    assert "disc.tar.gz" not in left(tmp_path), "a file that is not whole and verified never has its name"


def test_an_answer_for_another_range_is_refused(fetch, tmp_path):
    (tmp_path / ".disc.tar.gz.partial").write_bytes(CONTENT[:1000])
    with pytest.raises(InputError, match=r"the server sent the range 'bytes 993-"):
        fetch("shifted")


def test_no_server_and_no_address(tmp_path):
    with pytest.raises(InputError, match="the connection was refused, after 3 attempts"):
        download(["http://127.0.0.1:9/file"], tmp_path / "file", patience=IMPATIENT)
    with pytest.raises(InputError, match="no address is configured"):
        download([], tmp_path / "file")
    with pytest.raises(InputError, match="not a usable address"):
        download(["ftp://127.0.0.1/file"], tmp_path / "file", patience=IMPATIENT)


def test_an_existing_wrong_file_is_replaced(fetch, tmp_path):
    (tmp_path / "disc.tar.gz").write_bytes(b"old")
    assert fetch("good").read_bytes() == CONTENT


def test_the_step_tells_a_person_what_to_do(tmp_path):
    dataset = {"name": "oasis", "access": {"page": "https://example.org/register", "terms": "an agreement"}}
    remote = {"urls": [], "size": None, "sha256": None}
    with pytest.raises(
        InputError, match=r"get it from https://example.org/register \(an agreement\) and put disc.tgz into"
    ):
        download_archive(dataset, remote, tmp_path / "archives" / "disc.tgz")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("page", "the server sent a page in place of it .'<!DOCTYPE html><p>Please"),
        ("nothing", "acdc.zip: the server sent nothing"),
        ("begins", "the server sent the first 1004 bytes of it and no end"),
    ],
)
def test_what_is_no_archive_is_refused_and_not_kept(server, tmp_path, path, message):
    """Where neither size nor checksum is known, as of ACDC: the next run would have taken it for the archive."""
    address = f"http://127.0.0.1:{server.server_port}"
    remote = {"urls": [f"{address}/{path}"], "size": None, "sha256": None}
    with pytest.raises(InputError, match=message):
        download_archive({"name": "acdc", "access": None}, remote, tmp_path / "acdc.zip")
    assert left(tmp_path) == []
    remote["urls"] = [f"{address}/good"]
    download_archive({"name": "acdc", "access": None}, remote, tmp_path / "acdc.zip")
    assert left(tmp_path) == ["acdc.zip"]
