"""The data steps hold one case at a time, whatever the number of subjects; a case that fails stops no other."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from generators import write_nifti
from interslice.common.errors import InputError
from interslice.common.parallel import for_each
from phantoms import ellipsoids
from settings import ROOT

# Peak resident memory of a step, above what it has after its imports and one small case.
MEASURE = """
import json, resource, sys
from pathlib import Path
from interslice.data.dataset_files import load_dataset
from interslice.common.schemas import read_yaml
from interslice.data.parts import low_part_of, part_of
from interslice.steps.data import decimate_shard, index_split, normalise_shard

place, root = Path(sys.argv[1]), Path(sys.argv[2])
dataset = load_dataset(str(place / "own.yaml"), read_yaml(root / "workflow/schemas/dataset.schema.yaml"), root)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
peaks = {"imports": peak()}
index_split(part_of(dataset, "test"), "test", "", None, place / "index.csv", place / "excluded.csv", 1)
peaks["index"] = peak()
normalise_shard(place / "index.csv", 0, 1, dataset, "made", place / "normalised", 1)
peaks["normalise"] = peak()
low = low_part_of(dataset, "test") | {"slice_profile": "gaussian"}
decimate_shard(place / "normalised", 2, low, place / "low", 1)
peaks["decimate"] = peak()
print(json.dumps(peaks))
"""
DATASET = """
    name: own
    title: Own
    source: folder
    folder: {folder}
    splits: {{train: 1, validation: 1, test: rest}}
    slice_axis: auto
    slice_profile: none
    intensity: {{scaling: percentile, low: 1, high: 99}}
    crop: {{margin_mm: null}}
    shards: 1
"""
SHAPE = (24, 160, 160)  # 2.3 MiB as float32


def peaks_of(place, count):
    """Peak memory in MiB after each step on `count` volumes that differ in one voxel."""
    write_nifti(place / "data" / "v000.nii", ellipsoids(SHAPE), (1, 1, 3))
    content = (place / "data" / "v000.nii").read_bytes()
    for index in range(1, count):
        (place / "data" / f"v{index:03d}.nii").write_bytes(content[:-2] + index.to_bytes(2, "little"))
    (place / "own.yaml").write_text(textwrap.dedent(DATASET.format(folder=place / "data")))
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(place), str(ROOT)], capture_output=True, text=True, check=True
    )
    assert len(list((place / "low").rglob("*.nii"))) == count - 2  # the test split
    return json.loads(run.stdout)


def test_peak_memory_does_not_grow_with_the_number_of_subjects(tmp_path):
    """64 volumes hold 130 MiB more than 8 do: a step that kept them would show it."""
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few, many = peaks_of(tmp_path / "few", 8), peaks_of(tmp_path / "many", 64)
    more = 56 * 4 * np.prod(SHAPE) / 2**20
    for step in ("index", "normalise", "decimate"):
        growth = (many[step] - many["imports"]) - (few[step] - few["imports"])
        assert growth < 0.25 * more, (
            f"{step}: {growth:.0f} MiB more for 56 subjects more, whose volumes have {more:.0f} MiB"
        )


@pytest.mark.parametrize("workers", [1, 3])
def test_a_case_that_fails_is_named_while_the_others_finish(workers):
    done = []

    def work(item):
        if item in (2, 5):
            raise InputError(f"case {item} is bad")
        done.append(item)

    with pytest.raises(InputError, match="2 of 8 cases failed: case 2 is bad; case 5 is bad"):
        for_each(work, range(8), workers)
    assert sorted(done) == [0, 1, 3, 4, 6, 7]
