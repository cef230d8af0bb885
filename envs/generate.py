"""Write envs/*.yaml from requirements.lock: python and pip from conda-forge, every package by pip at the locked version.

And envs/torch.def, the container with the same packages as envs/torch.yaml: it serves every rule.

Run by `make envs`. An environment is the closure of what pyproject.toml lists for a study, resolved by uv against the
lock as constraints: torch without the workflow manager, which runs the rules from outside; light without torch either.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
OUTSIDE = {
    "interslice",
    "snakemake",
    "snakemake-executor-plugin-cluster-generic",
    "snakemake-executor-plugin-slurm",
}
TORCH = {"lpips", "scikit-learn", "torch", "torchvision"}
HEADER = """# Made by `make envs` from requirements.lock: do not edit.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
"""
CONTAINER = """# Made by `make envs` from requirements.lock: do not edit. An image for every rule of a study: docs/cluster.md.
#   apptainer build envs/torch.sif envs/torch.def
Bootstrap: docker
From: python:3.11-slim

%post
    pip install --no-cache-dir --no-deps"""


def packages() -> dict[str, list[str]]:
    """Environment to the names of the packages that it is the closure of."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["model"], *extras["study"]]
    names = {match[0] for match in map(re.compile(r"[A-Za-z0-9_.-]+").match, listed) if match} - OUTSIDE
    return {"light": sorted(names - TORCH), "torch": sorted(names)}


def resolve(uv: str, packages: list[str]) -> list[str]:
    """The pinned closure of `packages` for Linux and Python 3.11, at the versions of the lock."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--constraints", "requirements.lock", "-"]
    run = subprocess.run(
        command, input="\n".join(packages), cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    return [line for line in run.stdout.splitlines() if "==" in line]


if __name__ == "__main__":
    for name, wanted in packages().items():
        pins = resolve(sys.argv[1], wanted)
        (HERE / f"{name}.yaml").write_text(HEADER + "".join(f"      - {pin}\n" for pin in pins))
        if name == "torch":
            (HERE / "torch.def").write_text(CONTAINER + "".join(f" \\\n        {pin}" for pin in pins) + "\n")
