"""What made a result: seeds, the digest of the code, the environment, and the log of the script that ran."""

import ast
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import psutil

from interslice.common.errors import InputError
from interslice.common.interruption import Interrupted

PACKAGE = "interslice"
PACKAGE_ROOT = Path(__file__).parent.parent
RECORDED_PACKAGES = ("torch", "lpips", "numpy", "nibabel", "scikit-image", "scipy", "snakemake")
# Adding an entry to a registry must not change the digest of the others: what it imports is not followed.
REGISTRIES = (f"{PACKAGE}.methods", f"{PACKAGE}.data.sources")

Import = tuple[int, str, tuple[str, ...]]  # level of "from ..", module, names that are taken from it


def seed_for(dataset: str, factor: int, repetition: int) -> int:
    """The random seed of one repetition at one anisotropy factor K, in [0, 2**31).

    It never depends on the method, so that all methods see the same draw.
    """
    digest = hashlib.sha256(f"{dataset}\n{factor}\n{repetition}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


@contextmanager
def logged(log_path: str | Path) -> Iterator[TextIO]:
    """Send all that this process and its children print into a log file; yield the terminal, for progress.

    File descriptors 1 and 2 are redirected, so that output of subprocesses and of C libraries arrives as
    well. An exception leaves its traceback in the log. An InputError or Interrupted moreover prints its one sentence on
    the terminal and ends in SystemExit(1), without a traceback there; any other exception is raised again.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    with (
        _closing(open(log_path, "w", buffering=1, encoding="utf-8", errors="backslashreplace")) as log,
        os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as terminal,
        _redirected(log.fileno()),
    ):
        try:
            yield terminal
        except (InputError, Interrupted) as error:
            with suppress(OSError):  # the log may be on the file system that is full
                traceback.print_exc(file=log)
            print(error, file=terminal)
            raise SystemExit(1) from None
        except BaseException:
            traceback.print_exc(file=log)
            raise


@contextmanager
def _closing(file: TextIO) -> Iterator[TextIO]:
    """Close a file; what cannot be written any more must not hide why."""
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


@contextmanager
def _redirected(target: int) -> Iterator[None]:
    """Point file descriptors 1 and 2 at `target`, and back."""
    saved = [(number, os.dup(number)) for number in (1, 2)]
    try:
        _flush()
        for number, _ in saved:
            os.dup2(target, number)
        yield
    finally:
        _flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()


def environment_record() -> dict[str, Any]:
    """Python, platform, hardware, package versions and git commit as plain JSON types; no host, user or path.

    `memory_gib` is the machine's memory in GiB. `gpu` is None unless torch was imported and sees a CUDA
    device. `packages` has None for one that is not installed. `git` is as in git_state.
    """
    versions: dict[str, str | None] = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "packages": versions,
        "git": git_state(PACKAGE_ROOT),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def git_state(folder: str | Path) -> dict[str, Any] | None:
    """The commit that `folder` belongs to and whether its repository has uncommitted changes, or None.

    None also where git is missing, or the folder merely lies inside a repository that does not track it (a
    virtual environment in a project's folder).
    """
    # Inside a git hook these variables would point git at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    try:
        if not git("ls-files", "--", "."):
            return None
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def code_digest(*modules: str, package_root: str | Path = PACKAGE_ROOT) -> str:
    """The sha256 of the code of `modules` and all that they import from this package, without importing any.

    `modules` are full names ("interslice.training.loop"), `package_root` the folder of the package. Comments,
    layout and docstrings do not count. Imports are followed wherever they stand in a file; a package's
    `__init__` counts where it is imported itself or something it defines is, not where one of its
    submodules is. A registry (REGISTRIES) counts itself, but what it imports is not followed: the caller
    names the method that it uses. Digests can be compared under one minor version of Python. Raises
    InputError for a missing or invalid module.
    """
    root = Path(package_root)
    digests: dict[str, str] = {}
    waiting = [(name, "code_digest") for name in modules]
    while waiting:
        name, importer = waiting.pop()
        if name in digests:
            continue
        path = _module_file(root, name)
        if path is None:
            raise InputError(f"{name}: no such module in the package, needed by {importer}")
        try:
            digests[name], imports = _examine(path.read_bytes())
        except (SyntaxError, ValueError) as error:
            raise InputError(f"{name}: not valid Python ({error})") from error
        if name not in REGISTRIES:
            is_package = path.name == "__init__.py"
            waiting += [(found, name) for found in _resolve(imports, name, is_package, root)]
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _module_file(root: Path, name: str) -> Path | None:
    top, *parts = name.split(".")
    base = root.joinpath(*parts)
    candidates = [base / "__init__.py", *([base.with_suffix(".py")] if parts else [])]
    return next((path for path in candidates if top == PACKAGE and path.is_file()), None)


# The workflow asks once per job; a module's source changes hardly ever in between.
@functools.lru_cache(maxsize=1024)
def _examine(source: bytes) -> tuple[str, tuple[Import, ...]]:
    """The digest of a module's code without docstrings, and its imports."""
    tree = ast.parse(source)
    imports: list[Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports)


def _resolve(imports: Iterable[Import], name: str, is_package: bool, root: Path) -> list[str]:
    """Full names of the modules of this package behind the imports of module `name`."""
    found = []
    for level, module, attributes in imports:
        parts = name.split(".")
        above = parts[: len(parts) - level + is_package] if level else []
        source = ".".join([*above, *([module] if module else [])])
        if source.split(".")[0] != PACKAGE:
            continue
        submodules = [f"{source}.{attribute}" for attribute in attributes]
        found += [sub if _module_file(root, sub) else source for sub in submodules] or [source]
    return found
