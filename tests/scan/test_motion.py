"""A movement between the passes of an interleaved stack, made on a real scan by scikit-image, is found and undone."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from heads import head_volume
from interslice.scan.motion import corrected, detect_motion, register_halves, write_transform
from moving import OBLIQUE, SIZES, as_scan, moved


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    return head_volume()[::2]


@pytest.mark.parametrize("step", [1, 2])
def test_a_still_head_is_left_alone(step):
    assert detect_motion(as_scan(head_volume()[::step])) is None


@pytest.fixture(scope="module")
def found(still):
    """A scan with a movement, and what the registration makes of it."""
    scan = as_scan(moved(still, 3.0, 2.0, -3.0))
    return scan, *register_halves(scan)


def test_a_movement_is_seen_and_measured(found, still):
    scan, motion, _ = found
    np.testing.assert_allclose((motion.down_mm, motion.right_mm, motion.degrees), (3, 2, -3), atol=0.35)
    for one in (scan, as_scan(moved(still, 0.0, -1.0, 0.0)), as_scan(moved(still, 0.0, 0.0, 1.5))):
        assert detect_motion(one) is not None


def test_correction_brings_the_odd_slices_back(found, still):
    """Most of what the movement did is undone; even slices stay bit by bit."""
    scan, _, transform = found
    before, after = as_scan(still), corrected(scan, transform)
    np.testing.assert_array_equal(after.stored[..., ::2], scan.stored[..., ::2])
    error = [float(np.std(one.frame(0)[1::2] - before.frame(0)[1::2])) for one in (scan, after)]
    assert error[1] < 0.3 * error[0]
    assert detect_motion(after) is None


def test_the_transform_is_in_world_coordinates(tmp_path, found, still):
    """Of a scan that is oblique to the world: ITK reads it, and points of odd slices go where their content was."""
    scan, _, transform = found
    path = write_transform(scan, transform, tmp_path / "fine.nii.gz")
    assert path == tmp_path / "fine_odd-slices.tfm"
    world = sitk.ReadTransform(str(path))
    lps = np.array([-1, -1, 1])
    turn = np.radians(-3)
    for row, column in ((30, 50), (47, 63), (70, 90)):
        # mm about the middle of the slice, turned and moved as `moved` did
        down, right = (row - 47.5) * SIZES[0], (column - 63.5) * SIZES[1]
        right, down = (
            right * np.cos(turn) - down * np.sin(turn) + 2,
            right * np.sin(turn) + down * np.cos(turn) + 3,
        )
        there = nib.affines.apply_affine(OBLIQUE, [47.5 + down / SIZES[0], 63.5 + right / SIZES[1], 3])
        here = nib.affines.apply_affine(OBLIQUE, [row, column, 3])
        np.testing.assert_allclose(np.array(world.TransformPoint(here * lps)) * lps, there, atol=0.6)


def test_few_slices_and_empty_ones_are_no_movement():
    assert detect_motion(as_scan(head_volume()[:6])) is None
    flat = np.zeros((12, 20, 20), dtype=np.float32)
    assert detect_motion(as_scan(flat)) is None
