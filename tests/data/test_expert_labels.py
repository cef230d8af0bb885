"""An expert's labels on the grid of the normalised volume, whatever headers say, and bad ones named."""

import nibabel as nib
import numpy as np
import pytest
import yaml

from generators import LABELLED, write_acdc, write_nifti
from interslice.common.schemas import read_yaml
from interslice.data.dataset_files import load_dataset
from interslice.data.index import index_case, split_cases
from interslice.data.labels import open_labels
from interslice.data.parts import part_of
from interslice.data.sources import Case, read_cases, read_excluded, write_cases
from interslice.data.volumes import open_volume
from interslice.steps.check import check_dataset, surplus_files
from interslice.steps.data import index_split, normalise_shard, volumes_of
from phantoms import ellipsoids
from settings import ROOT

SCHEMA = read_yaml(ROOT / "workflow" / "schemas" / "dataset.schema.yaml")


def published(tmp_path, name, **changes):
    """config/datasets/NAME.yaml of the files in tmp_path/data."""
    settings = read_yaml(ROOT / "config" / "datasets" / f"{name}.yaml")
    settings = {key: value for key, value in settings.items() if key not in ("archives", "unpack")}
    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump({**settings, "folder": str(tmp_path / "data"), **changes}))
    return load_dataset(str(path), SCHEMA, ROOT)


def indexed(settings):
    """What the index makes of all cases."""
    return [outcome for case in split_cases(settings, "") for outcome in index_case(case, settings, None)]


def normalised(tmp_path, settings):
    """(volume, labels) of every subject."""
    write_cases([one for one in indexed(settings) if isinstance(one, Case)], tmp_path / "cases.csv")
    normalise_shard(tmp_path / "cases.csv", 0, 1, settings, "0123456789", tmp_path / "out", 1)
    return {
        name: (open_volume(path), open_labels(path)) for name, path in volumes_of([tmp_path / "out"]).items()
    }


@pytest.mark.parametrize("sound", [False, True])
def test_labels_follow_the_image_through_resampling_and_crop(tmp_path, sound):
    """Resampled to 1.4 mm, cut in plane, one frame before them left out; with another header than the cine's."""
    write_acdc(tmp_path / "data", [21], shape=(5, 60, 64), frames=4)
    path = tmp_path / "data/training/patient021/patient021_4d.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    data[..., 1] = 7
    affine = np.diag([-1.433, 1.433, 10, 1.0]) if sound else None  # the labels' headers turn both axes
    if affine is not None:
        affine[:3, 3] = (40, -60, 15)
    changed = nib.Nifti1Image(data, affine, image.header)
    nib.save(changed, path)
    settings = published(
        tmp_path, "acdc", splits={"test": ["patient021"]}, on_bad_case="leave_out",
        crop={"margin_mm": None, "centre_px": 40}, intensity={"scaling": "minmax", "low": 0, "high": 100, "per": "volume"},
    )  # fmt: skip
    ((volume, labels),) = normalised(tmp_path, settings).values()
    assert labels.shape == volume.data.shape == (3, 5, 40, 40)
    assert not labels[1].any(), "the third frame has none"
    low, high = data[..., [0, 2, 3]].min(), data[..., [0, 2, 3]].max()
    for frame in (0, 2):
        expected = np.digitize(volume.data[frame] * (high - low) + low, 1000 * np.array(LABELLED))
        assert {0, 1, 2} <= set(np.unique(labels[frame]))
        places = [(0, 0, 0), *np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])]
        shares = [np.mean(labels[frame] == np.roll(expected, place, (0, 1, 2))) for place in places]
        assert shares[0] > 0.95, shares
        assert max(shares[1:]) < shares[0] - 0.01, "one voxel beside it is worse"


def test_bad_labels_are_named_and_left_out_alone(tmp_path):
    write_acdc(tmp_path / "data", [1, 2], shape=(5, 20, 24), frames=3)
    place = tmp_path / "data" / "training"
    write_nifti(place / "patient001/patient001_frame01_gt.nii.gz", np.ones((5, 20, 23)) / 1000, (1, 1, 10))
    half = nib.Nifti1Image(np.full((24, 20, 5), 0.5, np.float32), np.eye(4))
    nib.save(half, place / "patient001/patient001_frame03_gt.nii.gz")
    whole = (place / "patient002/patient002_frame03_gt.nii.gz").read_bytes()
    (place / "patient002/patient002_frame03_gt.nii.gz").write_bytes(whole[: len(whole) // 2])
    splits = {"test": ["patient001", "patient002"]}
    settings = published(tmp_path, "acdc", splits=splits)
    assert settings["on_bad_case"] == "stop", "which labels are no reason for: few studies ask for them"
    first, *excluded, second, last = indexed(settings)
    assert (first.labels, [frame for frame, _ in second.labels]) == ((), [0])
    assert [one.subject for one in (*excluded, last)] == [
        "patient001 labels of frame 0", "patient001 labels of frame 2", "patient002 labels of frame 2",
    ]  # fmt: skip
    assert "found labels of (23, 20, 5) voxels" in excluded[0].reason
    assert "found voxels that are no labels" in excluded[1].reason
    assert "cannot be read" in last.reason
    index_split(
        part_of(settings, "test") | {"access": None},
        "test",
        "",
        None,
        tmp_path / "in.csv",
        tmp_path / "out.csv",
        1,
    )
    assert len(read_cases(tmp_path / "in.csv")) == 2
    assert len(read_excluded(tmp_path / "out.csv")) == 3
    state = check_dataset(settings, "", 1)
    assert [line.partition(":")[0] for line in state["corrupt"]] == ["patient001", "patient002"]


def test_labels_of_the_decathlon(tmp_path):
    """labelsTr beside imagesTr, of the first of two contrasts; another grid is refused where no header is known to be wrong."""
    for number in (0, 1):
        volume = ellipsoids((5, 24, 20), number)
        two = np.stack([volume, ellipsoids((5, 24, 20), 5)], axis=3)
        name = f"prostate_{number:02d}.nii.gz"
        write_nifti(tmp_path / "data/Task05_Prostate/imagesTr" / name, two, (0.6, 0.6, 3.6))
        drawn = np.digitize(volume, LABELLED) / 1000
        write_nifti(tmp_path / "data/Task05_Prostate/labelsTr" / name, drawn, (0.6, 0.6 + number, 3.6))
    settings = published(tmp_path, "msd_prostate", splits={"test": ["prostate_00", "prostate_01"]})
    found = [one for _, one in split_cases(settings, "")]
    assert surplus_files(found, tmp_path / "data", settings) == []
    cases = indexed(settings)
    assert [frame for frame, _ in cases[0].labels] == [0]
    assert "found labels on another grid" in cases[2].reason
    made = normalised(tmp_path, settings)
    assert made["prostate_01"][1] is None
    labels = made["prostate_00"][1]
    expected = np.digitize(ellipsoids((5, 24, 20), 0), LABELLED)
    np.testing.assert_array_equal(labels[0], np.swapaxes(expected, 1, 2))
