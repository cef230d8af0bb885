"""What an installation with some extras has, out of the packages of this one; and a Python that sees nothing else."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from settings import ROOT

PLATFORM = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.7", "implementation_name": "cpython"}


def listed(*extras: str) -> list[str]:
    """The requirements of pyproject.toml: those of a plain installation, and of extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chosen = [line for extra in extras for line in project["optional-dependencies"][extra]]
    nested = [line for line in chosen if line.startswith("interslice[")]
    inner = [line for entry in nested for line in listed(entry[len("interslice[") : -1])]
    return list(dict.fromkeys([*project["dependencies"], *inner, *chosen]))


def closure(requirements: Iterable[str], environment: dict[str, str] | None = None) -> set[str]:
    """Names of all that the requirements bring along, as the metadata of the packages here say."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**(environment or {}), "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) in seen or name == "interslice":
                continue
            seen.add((name, wanted))
            try:
                waiting += [(Requirement(line), wanted) for line in metadata.requires(name) or []]
            except metadata.PackageNotFoundError:
                continue  # of another platform
    return found - {"interslice"}


def plain_python(folder: Path, *extras: str) -> Path:
    """A folder with links to the packages of an installation with these extras, and to nothing else."""
    folder.mkdir()
    for name in closure(listed(*extras)):
        distribution = metadata.distribution(name)
        for file in distribution.files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))
    return folder


def run_plainly(packages: Path, code: str, source: Path = ROOT / "src") -> "subprocess.CompletedProcess[str]":
    """Run code that sees the standard library, the packages of a folder and this project."""
    head = f"import sys; sys.path[:0] = [{str(source)!r}, {str(packages)!r}]\n"
    command = [sys.executable, "-I", "-S", "-c", head + code]
    return subprocess.run(command, capture_output=True, text=True, check=False)
