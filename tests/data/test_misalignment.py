import numpy as np
import pytest
import yaml

from interslice.common.errors import InputError
from interslice.data.misalignment import misalign, slice_shifts
from interslice.data.parts import write_record
from interslice.data.volumes import Volume, decimate, open_volume, write_volume
from interslice.steps.data import decimate_shard
from phantoms import ellipsoids
from settings import study_of

SETTING = {"mm": 1.0, "seed": 1}
AFFINE = np.diag([0.8, 1.25, 2.0, 1.0])  # rows 0.8 mm, columns 1.25 mm, slices 2 mm


def reference(slices=13):
    return Volume(ellipsoids((slices, 48, 40))[np.newaxis], AFFINE, 2)


def centre_mm(image, spacing):
    """Centre of mass of an image in mm."""
    rows, columns = np.indices(image.shape)
    return np.array([(rows * image).sum() * spacing[0], (columns * image).sum() * spacing[1]]) / image.sum()


def test_shifts_are_seeded_bounded_and_those_of_the_slice_whatever_its_place_in_the_volume():
    shifts = slice_shifts("CSI3", 41, SETTING)
    assert shifts.shape == (41, 2)
    assert np.abs(shifts).max() <= 1
    assert np.abs(shifts).max() > 0.9
    np.testing.assert_array_equal(slice_shifts("CSI3", 21, SETTING), shifts[:21])
    np.testing.assert_array_equal(slice_shifts("CSI3", 41, {"mm": 2.0, "seed": 1}), 2 * shifts)
    for other in (slice_shifts("JHU", 41, SETTING), slice_shifts("CSI3", 41, {"mm": 1.0, "seed": 2})):
        assert np.abs(other - shifts).min() > 0


@pytest.mark.parametrize("factor", [2, 4])
def test_every_low_resolution_slice_moves_by_its_shift_in_mm(factor):
    """The centre of mass of a slice on a dark background moves by the shift, in mm along rows and columns."""
    low = decimate(reference(), factor, "none")
    moved = misalign(low, "CSI3", factor, SETTING)
    expected = slice_shifts("CSI3", 13, SETTING)[::factor]
    for index in range(1, low.data.shape[1] - 1):  # the first and last slice are noise alone
        before, after = (centre_mm(volume.data[0, index], (0.8, 1.25)) for volume in (low, moved))
        np.testing.assert_allclose(after - before, expected[index], atol=0.1)
    assert moved.data.dtype == np.float32
    assert 0 <= moved.data.min() <= moved.data.max() <= 1
    np.testing.assert_array_equal(moved.affine, low.affine)


def test_decimation_shifts_the_low_resolution_slices_alone(tmp_path):
    write_volume(reference(), tmp_path / "normalised/c1.nii")
    write_record(tmp_path / "normalised", "0123456789")
    for name, shift in (("aligned", None), ("shifted", SETTING)):
        dataset = {"slice_profile": "none", "noise": None, "slice_shift": shift, "already_low": False}
        decimate_shard(tmp_path / "normalised", 3, dataset, tmp_path / name, 1)
    aligned, shifted = (open_volume(tmp_path / name / "c1.nii").data for name in ("aligned", "shifted"))
    np.testing.assert_allclose(
        shifted, misalign(decimate(reference(), 3, "none"), "c1", 3, SETTING).data, atol=1e-6
    )
    assert np.abs(shifted - aligned)[:, 1:-1].max() > 0.02
    np.testing.assert_array_equal(open_volume(tmp_path / "normalised/c1.nii").data, reference().data)


def study(**changes):
    return study_of("misalignment.yaml", **changes)


def test_the_shifted_dataset_is_the_test_split_of_t1_with_its_models():
    found = study()
    plain, shifted = found.datasets["t1"], found.datasets["t1_shifted"]
    assert shifted["splits"] == plain["splits"] | {"train": [], "validation": []}
    assert shifted["slice_shift"] == {"mm": 1.0, "seed": 1, "interleaved": False}
    assert plain["slice_shift"] is None
    same = set(plain) - {"name", "title", "base", "splits", "trained_on", "slice_shift"}
    assert {key: shifted[key] for key in same} == {key: plain[key] for key in same}
    assert found.trained_datasets() == ["t1"]
    assert [found.origin(name) for name in found.datasets] == ["t1", "t1"], (
        "whose subjects no model may have seen"
    )
    assert found.named("trained") == ["cae", "cae_multi"]


def test_a_copy_stands_without_its_base_but_takes_as_many_jobs_and_no_key_that_it_lacks(tmp_path):
    assert study_of(datasets=["t1_shifted"], methods=["linear"]).origin("t1_shifted") == "t1"
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({"base": "t1", "name": "odd", "shards": 3}))
    with pytest.raises(
        InputError, match=r"key shards: found 1, .* for all datasets of the files of t1: found 1, 3"
    ):
        study(datasets=["t1", str(tmp_path / "odd.yaml")])
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({"base": "t1", "name": "odd", "shift": 1}))
    with pytest.raises(InputError, match=r"odd.yaml: found key shift, allowed are the base's: name, title"):
        study(datasets=["t1", str(tmp_path / "odd.yaml")])
    (tmp_path / "odd.yaml").write_text(
        yaml.safe_dump({"base": "t1", "name": "odd", "slice_shift": {"mm": 0, "seed": 1}})
    )
    with pytest.raises(InputError, match=r"key slice_shift.mm: found 0, allowed are numbers above 0"):
        study(datasets=["t1", str(tmp_path / "odd.yaml")])
