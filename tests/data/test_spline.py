import numpy as np
import pytest
from scipy import ndimage

from interslice.data.spline import bspline_weights


@pytest.mark.parametrize("slices", [3, 4, 9, 60])
def test_weights_are_scipys_answer_to_every_unit_impulse(slices):
    """Within the stack, at its slices and beyond its ends, where it is mirrored."""
    positions = np.concatenate([np.arange(4 * slices - 3) / 4, np.linspace(-slices, 3 * slices, 50)])
    expected = [ndimage.map_coordinates(unit, [positions], order=3, mode="mirror") for unit in np.eye(slices)]
    np.testing.assert_allclose(bspline_weights(slices, positions), np.stack(expected, axis=1), atol=1e-12)


def test_two_slices_are_joined_by_a_curve_that_is_level_at_both():
    half = np.array([0, 0.25, 0.5, 0.75, 1])
    rise = 3 * half**2 - 2 * half**3
    np.testing.assert_allclose(bspline_weights(2, half), np.stack([1 - rise, rise], axis=1), atol=1e-12)
