"""Build wheel, source package and source archive of the last commit into dist/: the same bytes from the same commit.

What is not committed is not in them. Run by `make release` with the environment's Python.
"""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(output: Path) -> None:
    epoch = int(git("log", "-1", "--format=%ct"))
    content = git("archive", "--format=tar", "HEAD")
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(name, filter="data")
        os.environ["SOURCE_DATE_EPOCH"] = str(epoch)  # of the files in the wheel
        build(Path(name), output)
    (package,) = output.glob("*.tar.gz")
    package.write_bytes(packed(gzip.decompress(package.read_bytes()), epoch))
    source = output / package.name.replace(".tar.gz", "-source.tar.gz")
    source.write_bytes(gzip.compress(content, mtime=epoch))


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


def build(project: Path, output: Path) -> None:
    """Wheel and source package, by the backend that pyproject.toml names."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("interslice-*"):
        old.unlink()
    code = "import sys; from setuptools import build_meta as backend; to = sys.argv[1]; "
    code += "backend.build_sdist(to); backend.build_wheel(to)"
    subprocess.run(
        [sys.executable, "-c", code, str(output.resolve())],
        cwd=project,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def packed(content: bytes, epoch: int) -> bytes:
    """A tar, sorted, with one date and no owner, compressed."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as tar,
        tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(tar, key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.pax_headers = {}
            new.addfile(member, tar.extractfile(member) if member.isfile() else None)
    return gzip.compress(made.getvalue(), mtime=epoch)


if __name__ == "__main__":
    main(ROOT / "dist")
