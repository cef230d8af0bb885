"""A copy of the repository's code in a temporary folder, and what Snakemake says of it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import warm

from interslice.scoring.longtable import read_scores
from settings import ROOT

COPIED = ["Snakefile", "workflow", "config", "src", "envs", "profiles"]


@dataclass
class Checkout:
    """A copy of the repository's code that a test may edit and run."""

    folder: Path
    config: Path
    resources: Path

    def command(self, python: str, *arguments: str) -> list[str]:
        command = [python, "-m", "snakemake", "--configfile", str(self.config), *arguments]
        overrides = [] if "--config" in arguments else ["--config"]
        return [*command, *overrides, f"resources={self.resources}"]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with a Python that has the libraries loaded."""
        python = sys.executable if "--profile" in arguments else warm.python()  # a scheduler has its own jobs
        command, environment = self.command(python, *arguments), os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def start(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Snakemake in the background, its output appended to a file; it may be killed."""
        command = self.command(sys.executable, *arguments)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with open(log, "ab") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def scores(self, study: str) -> pd.DataFrame:
        """The long table of a study, from its shards."""
        return read_scores((self.folder / "results" / study / "score_method").rglob("*.parquet"))

    def recover(self) -> subprocess.CompletedProcess[str]:
        """What is documented for a Snakemake that was killed."""
        command = [sys.executable, "workflow/recover.py"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rule to number of jobs that a dry run plans; the target rule `all` is left out."""
        run = self.snakemake("--dry-run", *arguments)
        assert run.returncode == 0, run.stdout + run.stderr
        text = run.stdout + run.stderr
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.DOTALL)
        if table is None:
            assert "Nothing to be done" in text, text
            return {}
        counts = {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()}
        counts.pop("all", None)
        return counts


def copy_of_the_code(folder: Path) -> None:
    """Copy what a study needs of the repository into a folder."""
    for name in COPIED:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / name)
        else:  # config/methods is a link to the settings in the package, and stays one
            shutil.copytree(ROOT / name, folder / name, symlinks=True)
