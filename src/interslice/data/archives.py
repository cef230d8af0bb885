"""Archives from elsewhere: unpacked into one folder and nowhere else, up to a stated size, or refused."""

import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from interslice.common.errors import InputError
from interslice.common.files import replacing

BLOCK = 1 << 20


def unpack(archive: str | Path, target: str | Path, *, limit: int, members: Sequence[str] = ("*",)) -> Path:
    """Unpack the members of a .tar, .tar.gz, .tgz or .zip whose path matches a pattern; `target` appears when
    all are out.

    limit: bytes that the archive may have unpacked. Raises InputError, naming archive and member, for a path
    or link that leaves the folder, a device, a name that is there twice, more than `limit` bytes, a corrupt
    archive, or no match.
    """
    archive = Path(archive)
    with replacing(target) as folder:
        folder.mkdir(parents=True)
        try:
            count = (
                unpack_zip(archive, folder, limit, members)
                if archive.suffix == ".zip"
                else unpack_tar(archive, folder, limit, members)
            )
        except (zipfile.BadZipFile, tarfile.ReadError, zlib.error, EOFError, RuntimeError) as error:
            raise InputError(f"{archive.name}: corrupt archive, it cannot be unpacked ({error})") from error
        except OSError as error:
            if error.errno is not None:
                raise  # the disk, not the archive
            raise InputError(f"{archive.name}: corrupt archive, it cannot be unpacked ({error})") from error
        if count == 0:
            raise InputError(f"{archive.name}: found no member that matches {', '.join(members)}")
    return Path(target)


class Guard:
    """What is true of an archive as a whole: no name twice, no more than `limit` bytes."""

    def __init__(self, archive: Path, limit: int) -> None:
        self.archive, self.limit = archive, limit
        self.names: set[str] = set()
        self.size = 0

    def name(self, name: str) -> str:
        """A member's path, normalised; InputError if it leaves the folder or is there twice."""
        clean = posixpath.normpath(name)
        if (
            name.startswith(("/", "\\"))
            or ":" in name
            or "\\" in name
            or clean == ".."
            or clean.startswith("../")
        ):
            raise InputError(
                f"{self.archive.name}: member {name!r} leaves the folder it is unpacked into, refused"
            )
        if clean != "." and clean in self.names:
            raise InputError(f"{self.archive.name}: member {name!r} is there twice, refused")
        self.names.add(clean)
        return clean

    def add(self, size: int) -> None:
        """Count unpacked bytes."""
        self.size += size
        if self.size > self.limit:
            raise InputError(
                f"{self.archive.name}: unpacks to more than {self.limit} bytes, refused (unpack.limit_gib)"
            )

    def refuse(self, name: str, what: str) -> InputError:
        return InputError(f"{self.archive.name}: member {name!r} is {what}, refused")


def wanted(name: str, members: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in members)


def unpack_tar(archive: Path, folder: Path, limit: int, members: Sequence[str]) -> int:
    """Read a tar once, as a stream. Links inside the folder are allowed, as tarfile's own "data" filter
    judges.
    """
    guard, count = Guard(archive, limit), 0
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            clean = guard.name(member.name)
            guard.add(member.size)
            if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                raise guard.refuse(member.name, "a device or a pipe")
            try:
                safe = tarfile.data_filter(member, str(folder))
            except tarfile.FilterError as error:
                raise guard.refuse(member.name, f"not safe ({error})") from error
            if member.isdir() or not wanted(clean, members):
                continue
            try:
                tar.extract(safe, folder, filter="data")
            except (KeyError, tarfile.ExtractError) as error:
                raise guard.refuse(member.name, f"a link to what is not there ({error})") from error
            count += 1
    return count


def unpack_zip(archive: Path, folder: Path, limit: int, members: Sequence[str]) -> int:
    """Unpack a zip; sizes are counted as they come out, because the headers may lie."""
    guard, count = Guard(archive, limit), 0
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            clean = guard.name(member.filename)
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise guard.refuse(member.filename, "a link or a device")
            if member.is_dir() or not wanted(clean, members):
                continue
            path = folder / clean
            path.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(member) as source, open(path, "wb") as file:
                for block in blocks(source):
                    guard.add(len(block))
                    file.write(block)
            count += 1
    return count


def blocks(source: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, a block at a time."""
    while block := source.read(BLOCK):
        yield block
