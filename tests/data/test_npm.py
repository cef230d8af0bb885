"""Against an `npm` that the test writes: what ours makes of what npm does."""

import hashlib
import os
from pathlib import Path

import pytest

from interslice.common.errors import InputError
from interslice.data.npm import download_npm_archive, npm_command

CONTENT = b"a package"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Put a script named npm in front of the PATH; it writes down its arguments."""

    def install(script: str) -> Path:
        (tmp_path / "bin").mkdir(exist_ok=True)
        path = tmp_path / "bin" / "npm"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\n{script}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
        return tmp_path / "calls"

    return install


def get(tmp_path, name="scans-1.0.0.tgz", sha256=SHA256):
    return download_npm_archive("scans@1.0.0", name, sha256, tmp_path / "out")


def test_a_package_comes_once_under_the_wanted_name(npm, tmp_path):
    calls = npm('printf "a package" > "$last/whatever.tgz"')
    assert get(tmp_path).read_bytes() == CONTENT
    get(tmp_path)
    (call,) = calls.read_text().splitlines()
    assert call.startswith("pack scans@1.0.0 --ignore-scripts")
    assert os.listdir(tmp_path / "out") == ["scans-1.0.0.tgz"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('printf "another" > "$last/scans.tgz"', "sha256 .* found in the npm registry, expected " + SHA256),
        (
            'echo "npm error 404 Not Found" >&2; exit 1',
            r"cannot be downloaded as scans@1.0.0 with npm \(npm error 404",
        ),
        ("exit 0", "npm said nothing"),
    ],
)
def test_what_goes_wrong_is_one_sentence(npm, tmp_path, script, message):
    npm(script)
    with pytest.raises(InputError, match=message):
        get(tmp_path)
    assert os.listdir(tmp_path / "out") == []


def test_npm_of_this_environment_is_found_and_without_any_it_is_said(npm, tmp_path, monkeypatch):
    npm('printf "a package" > "$last/whatever.tgz"')
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert npm_command() == str(tmp_path / "bin" / "npm")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match="needs npm, which is not installed here"):
        get(tmp_path)
