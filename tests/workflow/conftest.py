"""A copy of the workflow in a temporary folder, with synthetic volumes, run once for all tests."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from phantoms import ellipsoids
from settings import ROOT, SMALL_NETWORK

SPLITS = {"train": ["a1", "a2"], "validation": ["b1"], "test": ["c1", "c2", "c3"]}
COPIED = ["Snakefile", "workflow", "config", "src", "envs"]


@dataclass
class Checkout:
    """A copy of the repository's code that a test may edit and run."""

    folder: Path
    config: Path
    resources: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--configfile", str(self.config), *arguments]
        overrides = [] if "--config" in arguments else ["--config"]
        command += [*overrides, f"resources={self.resources}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

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


def write_volumes(folder: Path) -> None:
    for index, subject in enumerate(itertools.chain(*SPLITS.values())):
        data = 1000 * ellipsoids((46, 48, 19 + index), seed=index)
        nib.save(
            nib.Nifti1Image(data.astype(np.int16), np.diag([1.2, 1.2, 3, 1])), folder / f"{subject}.nii.gz"
        )


@pytest.fixture(scope="session")
def new_checkout(tmp_path_factory, lpips_weights):
    """Make a checkout with the tiny study, not yet run."""

    def make() -> Checkout:
        folder = tmp_path_factory.mktemp("checkout")
        for name in COPIED:
            copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
            copy(ROOT / name, folder / name)
        place = folder / "tiny"
        place.mkdir()
        write_volumes(place)
        dataset = {
            "name": "phantoms",
            "title": "Synthetic ellipsoids",
            "source": "folder",
            "folder": str(place),
            "splits": SPLITS,
            "slice_axis": "auto",
            "slice_profile": "none",
            "intensity": {"scaling": "percentile", "low": 1, "high": 99.8},
            "crop": {"margin_mm": 2},
            "figure_subject": "c1",
            "shards": 1,
        }
        (place / "phantoms.yaml").write_text(yaml.safe_dump(dataset))
        (place / "cae.yaml").write_text(yaml.safe_dump({"base": "cae", "network": SMALL_NETWORK}))
        (place / "cae_mse.yaml").write_text(yaml.safe_dump({"base": "cae_mse", "network": SMALL_NETWORK}))
        config = (ROOT / "tests" / "workflow" / "tiny.yaml").read_text().replace("PLACE", str(place))
        (folder / "tiny.yaml").write_text(config)
        return Checkout(folder, folder / "tiny.yaml", lpips_weights["alex"].parent.parent)

    return make


@pytest.fixture(scope="session")
def finished(new_checkout):
    """The tiny study, run to its end."""
    checkout = new_checkout()
    run = checkout.snakemake("--cores", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout
