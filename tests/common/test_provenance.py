"""Logs and records."""

import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interslice.common.provenance import environment_record, git_state

SOURCE = Path(__file__).parents[2] / "src"


def run_script(body: str, log: Path) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script = (
        "import os, subprocess, sys, warnings\n"
        "from interslice.common.errors import InputError\nfrom interslice.common.provenance import logged\n"
        f"print('before')\nwith logged({str(log)!r}) as terminal:\n{lines}\nprint('after')\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_all_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "rule.log"
    body = (
        "print('from python')\nwarnings.warn('careful')\nos.write(1, b'from C\\n')\n"
        "subprocess.run(['sh', '-c', 'echo child out; echo child err >&2'])\n"
        "print('50 %', file=terminal)"
    )
    done = run_script(body, log)
    assert (done.returncode, done.stdout, done.stderr) == (0, "before\nafter\n", "50 %\n")
    for line in ("from python", "UserWarning: careful", "from C", "child out", "child err"):
        assert line in log.read_text()
    assert "before" not in log.read_text()


def test_an_input_error_is_one_sentence_on_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "rule.log"
    body = "error = InputError('x.nii: no such file')\nerror.add_note('pip said so')\nraise error"
    done = run_script(body, log)
    assert (done.returncode, done.stdout, done.stderr) == (1, "before\n", "x.nii: no such file\n")
    assert "Traceback" in log.read_text()
    assert "InputError: x.nii: no such file\npip said so" in log.read_text()


def test_any_other_exception_is_in_the_log_and_raised(tmp_path: Path) -> None:
    done = run_script("1 / 0", tmp_path / "rule.log")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in (tmp_path / "rule.log").read_text()
    assert "ZeroDivisionError: division by zero" in (tmp_path / "rule.log").read_text()


def test_the_environment_record() -> None:
    record = environment_record()
    text = json.dumps(record)
    assert record["python"] == platform.python_version()
    assert record["cores"] == os.cpu_count()
    assert 0.1 < record["memory_gib"] < 1e5
    assert record["packages"]["numpy"] == __import__("numpy").__version__
    assert set(record["packages"]) >= {"torch", "lpips", "nibabel", "scikit-image", "scipy", "snakemake"}
    assert socket.gethostname() not in text
    assert str(SOURCE.parent) not in text


def test_recording_imports_no_package() -> None:
    code = (
        "import sys; from interslice.common.provenance import environment_record; r = environment_record()\n"
        "print(r['gpu'], [m for m in ('torch', 'numpy', 'lpips', 'snakemake') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None []\n"


def test_the_state_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        command = [
            "git",
            "-C",
            str(tmp_path),
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.org",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    folder, installed = tmp_path / "src", tmp_path / "venv"
    for made in (folder, installed):
        made.mkdir()
        (made / "a.py").write_text("1\n")
    assert git_state(folder) is None
    git("init", "-q")
    (tmp_path / ".gitignore").write_text("venv\n")
    git("add", ".")
    git("commit", "-qm", "first")
    assert git_state(folder) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert git_state(installed) is None
    (tmp_path / "new.py").write_text("2\n")
    state = git_state(folder)
    assert state is not None
    assert state["dirty"] is True
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(folder) == state
    monkeypatch.setenv("PATH", "")
    assert git_state(folder) is None
