"""What made a result: the environment, and the log of the script that ran."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import psutil

from interslice.common.errors import InputError
from interslice.common.interruption import STOPPED, Interrupted, Stopped, signals_as_exceptions

PACKAGE_ROOT = Path(__file__).parent.parent
RECORDED_PACKAGES = ("torch", "lpips", "numpy", "nibabel", "scikit-image", "scipy", "snakemake")


@contextmanager
def logged(log_path: str | Path) -> Iterator[TextIO]:
    """Send all that this process and its children print into a log file; yield the terminal, for progress.

    File descriptors 1 and 2 are redirected, so that output of subprocesses and of C libraries arrives as
    well. An exception leaves its traceback in the log. An InputError or Interrupted moreover prints its one sentence on
    the terminal and ends in SystemExit(1), without a traceback there; any other exception is raised again. SIGTERM ends what
    the script has started, as an exception does, and it with the exit code of a process that a signal has ended.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    with (
        _closing(open(log_path, "w", buffering=1, encoding="utf-8", errors="backslashreplace")) as log,
        os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as terminal,
        _redirected(log.fileno()),
        signals_as_exceptions(),
    ):
        try:
            yield terminal
        except (InputError, Interrupted) as error:
            with suppress(OSError):  # the log may be on the file system that is full
                traceback.print_exc(file=log)
            print(error, file=terminal)
            raise SystemExit(1) from None
        except Stopped as stop:
            traceback.print_exc(file=log)
            raise SystemExit(STOPPED + int(stop.args[0])) from None
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
