"""Files that are either whole or not there."""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from interslice.common.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
LONGEST = 220  # bytes of a name that our own names may begin with; file systems take 255
ALMOST_NOTHING = 2**16  # bytes
# Process ids mean something on one machine only.
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """`unfinished` beside a path; renamed to the path on success."""
    path = Path(path)
    with unfinished(path) as made:
        yield made
        os.replace(made, path)


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a name beside `path`, for a file or a folder, and remove what is there at the end.

    The name keeps the suffixes of `path`, because writers choose their format by them. What writers of `path` left that were
    killed on this machine is removed first. InputError where the file system is full.
    """
    made = path.with_name(f".partial-{_HOST}-{os.getpid()}-{short_name(path)}")
    with folder_of(path):
        remove_abandoned(path)
        try:
            with naming_full_disk(path):
                yield made
        except OSError as error:
            if str(error.filename) == str(made):
                error.filename = str(path)  # the name that a person knows
            raise
        finally:
            remove(made)


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """InputError where writing fails because the file system of `path` is full; while the unfinished file is still there."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch and ITK have no error of their own for it
        free = shutil.disk_usage(path.parent).free
        if getattr(error, "errno", None) in NO_SPACE or free < ALMOST_NOTHING:
            raise InputError(f"{path}: not written, its file system is full or a quota is reached") from error
        raise


def short_name(path: Path) -> str:
    """The name of a path, or where nothing fits before that, a digest of it and its end."""
    if len(os.fsencode(path.name)) <= LONGEST:
        return path.name
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    return digest + path.name[-(LONGEST // 8) :]


@contextmanager
def folder_of(path: Path) -> Iterator[None]:
    """Make the folder of a file to write; what was made for it goes again where nothing was written."""
    made = list(itertools.takewhile(lambda folder: not folder.exists(), path.parents))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` whose process is no more."""
    name = re.compile(rf"\.partial-{_HOST}-(\d+)-{re.escape(short_name(path))}")
    with os.scandir(path.parent) as entries:
        found = [(entry.path, name.fullmatch(entry.name)) for entry in entries]
    for file, match in found:
        if match and not psutil.pid_exists(int(match[1])):
            remove(Path(file))


def sha256_of(path: str | Path) -> str:
    """The sha256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(text: str, path: str | Path) -> None:
    """Write text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(table: Any, path: str | Path) -> None:
    """Write a pandas table without its index, whole or not at all."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all; what JSON does not know as text."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")


def link_folder(target: Path, link: Path) -> None:
    """Make `link` lead to a folder, which is made where there is none; a link that leads elsewhere is replaced.

    Raises InputError where a folder is in the place of the link: a copy of the results that did not keep links.
    """
    if link.is_dir() and not link.is_symlink():
        raise InputError(f"{link}: found a folder, allowed is a link to {target}; remove the folder")
    target.mkdir(parents=True, exist_ok=True)
    place = os.path.relpath(target.absolute(), link.parent.absolute())
    if not link.is_symlink() or os.readlink(link) != place:
        with replacing(link) as temporary:
            os.symlink(place, temporary)


def shown(path: Path) -> str:
    """A path as a person finds it: without links, and from here where it lies below."""
    real, here = Path(os.path.realpath(path)), Path.cwd()
    return str(real.relative_to(here) if real.is_relative_to(here) else real)


def walk(source: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links to folders are followed, each real folder once.

    A folder that cannot be listed comes itself, at the end, so that its files are not left out without a word.
    """
    seen: set[str] = set()
    closed: list[OSError] = []
    for folder, names, files in os.walk(source, onerror=closed.append, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(files))
    yield from (Path(error.filename) for error in closed)
