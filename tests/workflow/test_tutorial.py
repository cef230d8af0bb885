"""docs/tutorial.md: its files are written, its commands run, and they print what the page says."""

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import warm
from checkout import copy_of_the_code

from settings import ROOT

PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# A trained network's scores differ between processors: its means by no more than this share of them.
TRAINED, TOLERANCE = "narrow", 0.25


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text())


def write_files(folder: Path) -> list[str]:
    """Write the blocks whose first line is a comment with a path; return the paths."""
    names = []
    for _, text in blocks():
        if named := re.match(r"# (mine/\S+)\n", text):
            (folder / named[1]).parent.mkdir(exist_ok=True)
            (folder / named[1]).write_text(text)
            names.append(named[1])
    return names


def same(said: str, found: str) -> bool:
    """Whether a line of output is what the page says, but for the last digit of numbers and what a training makes."""
    pairs = list(zip(said.split(), found.split(), strict=False))
    if len(said.split()) != len(found.split()):
        return False
    share = TOLERANCE if TRAINED in said else 0.0
    after = [None, *(word for word, _ in pairs)]
    return all(
        close(a, b, share) or (share > 0 and previous == "±")
        for (a, b), previous in zip(pairs, after, strict=False)
    )


def close(said: str, found: str, share: float) -> bool:
    """Equal, or numbers no further apart than one in the last digit that is said, or a share of it."""
    if said == found:
        return True
    try:
        number, other = float(said), float(found)
    except ValueError:
        return False
    return abs(number - other) <= max(1.01 * 10.0 ** -len(said.partition(".")[2]), share * abs(number))


def write_commands(folder: Path) -> None:
    """The programs that the page names, of the Python that has the libraries loaded."""
    folder.mkdir()
    for name, command in (("python", ""), ("snakemake", "-m snakemake"), ("interslice", "-m interslice")):
        (folder / name).write_text(f'#!/bin/sh\nexec {warm.python()} {command} "$@"\n')
        (folder / name).chmod(0o755)


@pytest.mark.timeout(1800)  # half a minute of work, on a machine that has nothing else to do
def test_the_tutorial_runs_and_prints_what_it_says(tmp_path):
    copy_of_the_code(tmp_path)
    assert write_files(tmp_path) == [
        "mine/draw.py", "mine/balls.yaml", "mine/narrow.yaml", "mine/quadratic.py", "mine/quadratic.yaml", "mine/study.yaml",
    ]  # fmt: skip
    write_commands(tmp_path / "bin")
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    commands = 0
    for (language, text), (after, said) in pairwise([*blocks(), ("", "")]):
        if language != "sh":
            continue
        commands += 1
        run = subprocess.run(
            ["bash", "-euc", text], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        output = run.stdout + run.stderr
        assert run.returncode == 0, f"{text}\n{output}"
        for expected in said.splitlines() if after == "text" else []:
            printed = any(same(expected, line) for line in output.splitlines())
            assert printed, f"{text}\nnot printed: {expected}\n{output}"
    assert commands == 6
    assert (tmp_path / "mine" / "fine.nii.gz").is_file()
