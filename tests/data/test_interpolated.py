"""Compact volumes: the error of their sixteen bits, exact slices, and what any other program reads of them."""

import nibabel as nib
import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.interpolated import read_interpolated, write_interpolated
from interslice.data.volumes import Volume, open_volume, write_volume


@pytest.fixture(params=[0, 1, 2])
def low(request, tmp_path):
    """A low-resolution volume of 2 frames of 4 slices of 6 x 5, along each axis."""
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-7, 5, 1]
    data = np.random.default_rng(request.param).random((2, 4, 6, 5), dtype=np.float32)
    write_volume(Volume(data, affine, request.param), tmp_path / "low.nii")
    return tmp_path / "low.nii"


def frames_of(low, factor=3):
    """Random frames whose kept slices are those of `low`."""
    frames = np.random.default_rng(9).random((2, 3 * factor + 1, 6, 5), dtype=np.float32)
    frames[:, ::factor] = open_volume(low).data
    return frames


def test_no_value_is_off_by_more_than_half_a_step(low, tmp_path):
    frames = frames_of(low)
    frames[0, 1, 0, :2] = 0, 1
    write_interpolated(frames, open_volume(low), 3, tmp_path / "fine.nii.gz")
    found = read_interpolated(tmp_path / "fine.nii.gz")
    assert found.data.dtype == np.float32
    assert 1e-6 < np.abs(found.data - frames).max() < 0.5 / 65535 + 1e-7
    assert list(found.data[0, 1, 0, :2]) == [0, 1]


def test_nibabel_reads_the_same_values_where_they_lie(low, tmp_path):
    write_interpolated(frames_of(low), open_volume(low), 3, tmp_path / "fine.nii.gz")
    image, found = nib.load(tmp_path / "fine.nii.gz"), read_interpolated(tmp_path / "fine.nii.gz")
    axis = found.slice_axis
    assert image.get_data_dtype() == np.uint16
    np.testing.assert_allclose(np.moveaxis(image.get_fdata(), (3, axis), (0, 1)), found.data, atol=1e-7)
    coarse = nib.load(low)
    index = [0, 0, 0]
    index[axis] = 6  # slice 6 is slice 2 of the input
    expected = [2 if number == axis else 0 for number in range(3)]
    np.testing.assert_allclose(
        nib.affines.apply_affine(image.affine, index), nib.affines.apply_affine(coarse.affine, expected)
    )


def test_slices_that_are_passed_through_come_back_bit_by_bit_and_no_others(low, tmp_path):
    frames = frames_of(low)
    frames[1, 3, 2, 2] += 1e-4  # no longer the input's
    write_interpolated(frames, open_volume(low), 3, tmp_path / "fine.nii.gz")
    kept = read_interpolated(tmp_path / "fine.nii.gz", low).data[:, ::3]
    equal = (kept == open_volume(low).data).all(axis=(2, 3))
    assert equal.sum() == 7
    assert not equal[1, 1]


@pytest.mark.parametrize("exact", [True, False])
def test_what_must_stay_exact_or_is_not_finite_stays_float32(low, tmp_path, exact):
    frames = frames_of(low)
    if not exact:
        frames[0, 0, 0, 0] = np.nan
    write_interpolated(frames, open_volume(low), 3, tmp_path / "fine.nii.gz", exact=exact)
    np.testing.assert_array_equal(read_interpolated(tmp_path / "fine.nii.gz").data, frames)


def test_it_takes_less_than_half_of_float32_on_smooth_volumes(low, tmp_path):
    smooth = np.linspace(0, 1, 2 * 31 * 60 * 50, dtype=np.float32).reshape(2, 31, 60, 50) ** 2
    volume = Volume(smooth[:, ::3], np.eye(4), 2)
    write_interpolated(smooth, volume, 3, tmp_path / "fine.nii.gz")
    assert (tmp_path / "fine.nii.gz").stat().st_size < smooth.nbytes / 2


def test_another_input_and_a_broken_file_are_refused(low, tmp_path):
    path = tmp_path / "fine.nii.gz"
    write_interpolated(frames_of(low)[:, :9], open_volume(low), 3, path)
    with pytest.raises(InputError, match="fine.nii.gz: found the shape"):
        read_interpolated(path, low)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="fine.nii.gz"):
        read_interpolated(path)
