"""Seeds, code digests, logs and records."""

import hashlib
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interslice.common.errors import InputError
from interslice.common.provenance import code_digest, environment_record, git_state, seed_for

SOURCE = Path(__file__).parents[2] / "src"


def test_seeds_are_fixed_and_in_range() -> None:
    # By hand: the first four bytes of the sha256 of the three lines, without the sign bit.
    head = hashlib.sha256(b"t1\n4\n2").hexdigest()[:8]
    assert seed_for("t1", 4, 2) == int(head, 16) & 0x7FFFFFFF == 1492675408
    seeds = {seed_for(d, k, r) for d in ("t1", "t", "cine") for k in range(2, 14) for r in range(1, 115)}
    assert len(seeds) == 3 * 12 * 114
    assert all(0 <= seed < 2**31 for seed in seeds)


FILES = {
    "__init__.py": '"""Package."""\n',
    "errors.py": "class E(Exception):\n    pass\n",
    "grid.py": "from interslice.errors import E\n\nSTEP = 2\n",
    "relative.py": "from . import grid\n",
    "training.py": ('def fit():\n    """Train."""\n    import interslice.relative\n    return 1  # one\n'),
    "metrics.py": "import numpy\nfrom interslice.methods import METHODS\n",
    "unrelated.py": "X = 1\n",
    "methods/__init__.py": "from interslice.methods import cae, other\nMETHODS = {'cae': cae}\n",
    "methods/cae.py": "from ..training import fit\nfrom .base import Base\n",
    "methods/base.py": "class Base: ...\n",
    "methods/other.py": "Y = 1\n",
    "steps/__init__.py": "from . import run\nfrom ..grid import STEP\n",
    "steps/run.py": "Q = 1\n",
    "broken.py": "import interslice.absent\n",
    "invalid.py": "def f(:\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "interslice"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def changes(package: Path, edited: str, *modules: str, old: str = "", new: str = "Z = 3\n") -> bool:
    """Whether the digest of `modules` differs after `old` became `new` in one file (or was appended)."""
    before = code_digest(*modules, package_root=package)
    text = (package / edited).read_text()
    assert old in text
    (package / edited).write_text(text.replace(old, new) if old else text + new)
    return code_digest(*modules, package_root=package) != before


@pytest.mark.parametrize(
    ("edited", "module"),
    [
        ("training.py", "interslice.training"),
        ("relative.py", "interslice.training"),  # imported inside a function
        ("grid.py", "interslice.training"),  # from . import
        ("errors.py", "interslice.training"),  # three steps away
        ("grid.py", "interslice.methods.cae"),  # from ..training
        ("methods/base.py", "interslice.methods.cae"),
        ("steps/run.py", "interslice.steps"),  # from . in an __init__
        ("grid.py", "interslice.steps"),  # from .. in an __init__
        ("methods/__init__.py", "interslice.metrics"),  # something of the registry's own is imported
    ],
)
def test_the_digest_follows_imports(package: Path, edited: str, module: str) -> None:
    assert changes(package, edited, module)


@pytest.mark.parametrize(
    ("edited", "module"),
    [
        ("unrelated.py", "interslice.training"),
        ("methods/other.py", "interslice.methods.cae"),
        ("methods/other.py", "interslice.metrics"),  # behind the registry
        ("methods/cae.py", "interslice.methods"),
        ("methods/__init__.py", "interslice.methods.cae"),  # a new entry leaves the others alone
        ("__init__.py", "interslice.training"),
    ],
)
def test_the_digest_does_not_follow_more(package: Path, edited: str, module: str) -> None:
    assert not changes(package, edited, module)


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("# one", "# another comment", False),
        ('"""Train."""', '"""Fit the network."""', False),
        ('    """Train."""\n', "", False),
        ("return 1 ", "return (1)\n\n", False),
        ("return 1", "return 2", True),
        ("import interslice.relative", "import interslice.grid", True),
        ("fit()", "fit(x)", True),
        ('"""Train."""', 'f"""Train."""', True),
    ],
)
def test_what_counts_in_a_file(package: Path, old: str, new: str, counts: bool) -> None:
    assert changes(package, "training.py", "interslice.training", old=old, new=new) is counts


def test_the_digest_is_of_names_and_code_in_any_order(package: Path) -> None:
    pair = code_digest("interslice.metrics", "interslice.methods.cae", package_root=package)
    assert pair == code_digest("interslice.methods.cae", "interslice.metrics", package_root=package)
    assert pair != code_digest("interslice.metrics", package_root=package)
    assert len(pair) == 64
    before = code_digest("interslice.unrelated", package_root=package)
    (package / "unrelated.py").rename(package / "renamed.py")
    assert code_digest("interslice.renamed", package_root=package) != before


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("interslice.nothing", "interslice.nothing: no such module"),
        ("numpy.linalg", "numpy.linalg: no such module"),
        (
            "interslice.broken",
            "interslice.absent: no such module in the package, needed by interslice.broken",
        ),
        ("interslice.invalid", "interslice.invalid: not valid Python"),
    ],
)
def test_modules_that_cannot_be_digested(package: Path, module: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        code_digest(module, package_root=package)


def test_this_package_can_be_digested_without_being_imported() -> None:
    names = sorted(
        "interslice." + ".".join(path.relative_to(SOURCE / "interslice").with_suffix("").parts)
        for path in (SOURCE / "interslice").rglob("*.py")
        if path.name != "__init__.py"
    )
    code = (
        "import sys; from interslice.common.provenance import code_digest; before = set(sys.modules)\n"
        f"for name in {names!r}: code_digest(name)\n"
        "print([m for m in set(sys.modules) - before if m.startswith(('interslice', 'torch', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
