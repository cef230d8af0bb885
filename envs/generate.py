"""Write envs/*.yaml from requirements.lock: python and pip from conda-forge, every package by pip at the locked version.

Run by `make envs`. An environment is the closure of a few packages, resolved by uv against the lock as constraints.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LIGHT = [
    "jinja2",
    "jsonschema",
    "matplotlib",
    "nibabel",
    "numpy",
    "pandas",
    "pip",
    "psutil",
    "pyarrow",
    "pydicom",
    "pyyaml",
    "requests",
    "scikit-image",
    "scipy",
    "simpleitk",
    "statsmodels",
    "tqdm",
]
PACKAGES = {"light": LIGHT, "torch": [*LIGHT, "lpips", "scikit-learn", "torch", "torchvision"]}
HEADER = """# Made by `make envs` from requirements.lock: do not edit.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def resolve(uv: str, packages: list[str]) -> list[str]:
    """The pinned closure of `packages` for Linux and Python 3.11, at the versions of the lock."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--constraints", "requirements.lock", "-"]
    run = subprocess.run(
        command, input="\n".join(packages), cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    return [line for line in run.stdout.splitlines() if "==" in line]


if __name__ == "__main__":
    for name, packages in PACKAGES.items():
        pins = "".join(f"      - {pin}\n" for pin in resolve(sys.argv[1], packages))
        (HERE / f"{name}.yaml").write_text(HEADER + pins)
