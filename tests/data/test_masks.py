"""The foreground of a phantom with what makes heads hard, and of a real head."""

import numpy as np
import pytest
from scipy import ndimage

from heads import head_volume
from interslice.common.errors import InputError
from interslice.data.masks import foreground_mask, holes


def head_phantom() -> tuple[np.ndarray, np.ndarray]:
    """A noisy head, (40, 90, 80), and its truth; what makes heads hard is in it: see the comments."""
    z, y, x = np.mgrid[0:40, 0:90, 0:80]
    radius = np.sqrt(((z - 8) / 30) ** 2 + ((y - 60) / 40) ** 2 + ((x - 38) / 30) ** 2)  # cut by the last row
    volume = np.zeros(radius.shape)
    for outer, value in (
        (1.0, 0.9),
        (0.9, 0.02),
        (0.84, 0.45),
        (0.2, 0.05),
    ):  # scalp, skull, brain, ventricles
        volume[radius < outer] = value
    truth = volume > 0
    volume[4:14, :40, 37:39] *= 0.02  # a slit through scalp and skull
    volume[:4] *= 0.45  # the receive coil ends
    volume[20:24, 2:6, 2:6] = 1  # bright, but no head
    noise = np.random.default_rng(0).normal(0, 0.03, (2, *volume.shape))
    return np.hypot(volume + noise[0], noise[1]).astype(np.float32), truth  # Rician, as in magnitude images


def test_foreground_is_the_whole_head_and_nothing_else() -> None:
    volume, truth = head_phantom()
    mask = foreground_mask(volume)
    assert mask.dtype == bool
    assert (mask & truth).sum() > 0.999 * truth.sum()
    around = ndimage.binary_dilation(truth, np.ones((1, 3, 3)))
    assert (mask & ~around).sum() < 0.001 * truth.sum()  # the smoothed edge is up to one voxel outside
    assert mask[8, 55, 38]  # ventricle
    assert not mask[21, 4, 4]  # bright, but no head
    assert not mask[39].any()
    assert mask[8, -1, 30:46].all()  # reaches the border


def test_foreground_does_not_depend_on_the_slices_taken_or_the_gain() -> None:
    volume, _ = head_phantom()
    mask = foreground_mask(volume)
    assert np.mean(foreground_mask(0.5 * volume) != mask) < 0.001
    assert np.mean(foreground_mask(volume[::4]) != mask[::4]) < 0.01  # thick slices


def test_holes_are_those_that_scipy_fills_in_every_slice() -> None:
    mask = np.random.default_rng(1).random((6, 40, 30)) < 0.6
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[[0, 2]] = False
    filled = np.stack([ndimage.binary_fill_holes(one) for one in mask])
    assert (filled != mask).sum() > 50
    np.testing.assert_array_equal(mask | holes(mask, in_plane), filled)
    assert not holes(np.ones((2, 5, 5), bool), in_plane).any()


def test_foreground_of_a_real_head() -> None:
    volume = head_volume()
    mask = foreground_mask(volume)
    assert mask.any(axis=(1, 2)).all()
    assert 0.3 < mask.mean() < 0.45
    for one in mask:
        labels, count = ndimage.label(one)
        assert np.bincount(labels.ravel())[1:].max() > 0.98 * one.sum(), count
    assert volume[~mask].mean() < 0.1 * volume[mask].mean()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.full((3, 50, 50), 0.5), "every voxel is 0.5"),
        (np.zeros((50, 50)), "shape \\(50, 50\\)"),
        (np.full((3, 50, 50), np.nan), "finite"),
        (-np.eye(50)[None], "at least 0"),
    ],
)
def test_foreground_of_bad_input(volume: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        foreground_mask(volume)
