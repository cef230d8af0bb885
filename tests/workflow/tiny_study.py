"""The tiny study: synthetic volumes, a control, two conventional methods, small autoencoders with two seeds."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from checkout import Checkout, copy_of_the_code

from phantoms import ellipsoids
from settings import ROOT, SMALL_NETWORK

SPLITS = {"train": ["a1", "a2"], "validation": ["b1"], "test": ["c1", "c2", "c3"]}


def write_volumes(folder: Path) -> None:
    for index, subject in enumerate(itertools.chain(*SPLITS.values())):
        data = 1000 * ellipsoids((46, 48, 19 + index), seed=index)
        nib.save(
            nib.Nifti1Image(data.astype(np.int16), np.diag([1.2, 1.2, 3, 1])), folder / f"{subject}.nii.gz"
        )


def write_tiny_study(folder: Path, resources: Path, trained: Sequence[str] = ("cae_mse", "cae")) -> Checkout:
    """A copy of the code with the study, not yet run; `resources` has the LPIPS weights."""
    copy_of_the_code(folder)
    place = folder / "tiny"
    place.mkdir()
    write_volumes(place)
    dataset = {
        "name": "phantoms",
        "title": "Synthetic ellipsoids",
        "source": "folder",
        "folder": "tiny",  # the study may be copied
        "splits": SPLITS,
        "slice_axis": "auto",
        "slice_profile": "none",
        "intensity": {"scaling": "percentile", "low": 1, "high": 99.8},
        "crop": {"margin_mm": 2},
        "figure_subject": "c1",
        "shards": 1,
    }
    (place / "phantoms.yaml").write_text(yaml.safe_dump(dataset))
    for name in trained:
        (place / f"{name}.yaml").write_text(yaml.safe_dump({"base": name, "network": SMALL_NETWORK}))
    methods = ", ".join(f"tiny/{name}.yaml" for name in trained)
    config = (ROOT / "tests" / "workflow" / "tiny.yaml").read_text()
    config = config.replace("PLACE/TRAINED", methods).replace("PLACE", "tiny")
    (folder / "tiny.yaml").write_text(config)
    return Checkout(folder, folder / "tiny.yaml", resources)
