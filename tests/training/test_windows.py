"""Windows at every place and gap: where the target lies is what the batch says."""

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.training.triplets import check_volumes
from interslice.training.windows import blobs, disturbed, draw_windows, other_contrast

SHARES = ("in_plane", "thick", "contrast", "noise", "moved")
PLAIN = {"batch": 16, "crop": 16} | dict.fromkeys(SHARES, 0.0)


def slope(shape, axis):
    """(1, slices, rows, columns) that rises by .01 a voxel along one axis."""
    return np.float32(0.01) * np.indices(shape, dtype=np.float32)[axis][np.newaxis]


@pytest.mark.parametrize(("in_plane", "axes"), [(0.0, [0]), (1.0, [1, 2])])
def test_the_target_lies_where_the_batch_says_and_the_gap_is_as_wide(in_plane, axes):
    """Along the axis of the gap a slope tells where an image is from; on the other axis of the plane it says nothing."""
    alphas, gaps = set(), set()
    for axis in axes:
        volume = slope((24, 40, 40), axis)
        for step in range(8):
            windows, told = draw_windows([volume], PLAIN | {"in_plane": in_plane}, 1, step, [2])
            middle = windows[:, :, 8, 8].astype(float)
            moved = middle[:, 3] - middle[:, 1]
            along = np.abs(moved) > 1e-4  # a view across the other axis has no slope from image to image
            if in_plane == 0:
                assert along.all()
            rise = middle[along, 2] - middle[along, 1]
            np.testing.assert_allclose(rise / moved[along], told[along, 0, 0, 0], atol=1e-4)
            voxel = 0.02 / 2 if in_plane else 0.005  # a slice is two pixels thick
            np.testing.assert_allclose(np.abs(moved[along]), voxel * told[along, 1, 0, 0], atol=1e-4)
            alphas |= set(told[:, 0, 0, 0].round(3).tolist())
            gaps |= set(told[:, 1, 0, 0].tolist())
    assert gaps == ({2, 3, 4, 5, 6, 7, 8} if in_plane else {4, 6, 8})
    assert {0.5, 0.25, 0.75} <= alphas
    assert (0.125 in alphas) == bool(in_plane)


def test_a_batch_is_a_function_of_seed_and_step():
    volume = np.random.default_rng(0).random((1, 24, 40, 40), dtype=np.float32)
    everything = PLAIN | dict.fromkeys(SHARES, 0.5)
    first, again, other = (draw_windows([volume], everything, 1, step, [2]) for step in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert np.abs(first[0] - other[0]).max() > 0.1
    assert first[0].shape == (16, 10, 16, 16)
    assert first[0].dtype == first[1].dtype == np.float32


def test_noise_and_motion_are_in_the_input_slices_alone():
    volume = np.random.default_rng(0).random((1, 24, 40, 40), dtype=np.float32)
    clean = volume[0, [2, 4, 5, 6, 8], :16, :16]
    for key in ("noise", "moved"):
        given = disturbed(clean, PLAIN | {key: 1.0}, np.random.default_rng(1))
        np.testing.assert_array_equal(given[2], clean[2])
        assert all(np.abs(given[image] - clean[image]).max() > 0.01 for image in (0, 1, 3, 4))


def test_blobs_are_of_either_sign_and_the_small_ones_in_one_image_alone():
    rng = np.random.default_rng(0)
    drawn = np.array([blobs(np.array([-8.0, 0, 3, 8, 16]), 32, rng) for _ in range(60)])
    areas = np.count_nonzero(drawn, axis=(2, 3))
    seen = areas > 0
    only = {tuple(one.tolist()) for one in seen}
    assert {tuple(np.arange(5) == image) for image in (1, 3)} <= only, "in one slice alone"
    assert (seen[:, 1] & seen[:, 3]).any(), "a large one is in both"
    assert drawn.min() < -0.2
    assert drawn.max() > 0.2
    assert areas.max() > 12**2 / 2
    assert drawn.dtype == np.float32


def test_a_window_has_its_images_and_beside_them_what_blobs_add():
    windows, _ = draw_windows([slope((24, 40, 40), 0)], PLAIN, 1, 0, [2])
    assert windows[:, 5:].any(axis=(2, 3)).sum() > 16
    flat = windows[:, :5] - windows[:, :5, :1, :1]
    assert np.abs(flat).max() < 1e-6, "the images themselves are as they were"


def test_contrasts_of_either_sign_come_up_and_stay_in_range():
    rising = np.linspace(0, 1, 50, dtype=np.float32).reshape(1, 5, 10)
    rng = np.random.default_rng(0)
    curves = [other_contrast(rising, rng).ravel() for _ in range(60)]
    signs = {(bool((np.diff(c) >= 0).all()), bool((np.diff(c) <= 0).all())) for c in curves}
    assert signs == {(True, False), (False, True), (False, False)}
    assert all(c.min() >= 0 and c.max() <= 1 and c.dtype == np.float32 for c in curves)


def test_volumes_without_a_window_are_refused():
    with pytest.raises(InputError, match=r"training.crop: found 16, the smallest slice is 12x40"):
        check_volumes([np.zeros((1, 9, 12, 40))], PLAIN["crop"])
    with pytest.raises(InputError, match="found a volume of 2 slices"):
        check_volumes([np.zeros((1, 2, 40, 40))], PLAIN["crop"])
    with pytest.raises(InputError, match="found no training volumes"):
        check_volumes([], PLAIN["crop"])
    windows, told = draw_windows([np.zeros((1, 3, 16, 16), np.float32)], PLAIN | {"in_plane": 1.0}, 1, 0, [4])
    assert windows.shape == (16, 10, 16, 16)  # too thin for a view across: all through the plane
    np.testing.assert_array_equal(told[:, 0], 0.5)
