"""Registration-based interpolation: neighbouring slices are moved towards each other and blended.

The conventional method that follows moving structures (after Rousseau et al. 2006, who register slices to each other).
Registration by SimpleITK's symmetric-forces demons (Vercauteren et al. 2009, additive variant), from coarse to fine: demons
follow a structure only where it overlaps with itself, and at K = 4 thin ones no longer do.
"""

import numpy as np
import SimpleITK
from scipy import ndimage

from interslice.methods.base import Method

SMALLEST_SIDE = 8  # pixels of an image that is still worth a level of its own


class Registration(Method):
    """x_a(p) = (1 - a) x_i(p - a v(p)) + a x_(i+1)(p + (1 - a) v(p)), 0 < a < 1, v the displacement from x_i to x_(i+1).

    v is half the difference of the displacements found in both directions, so that the result does not depend on the
    direction in which the slices are counted. Input slices come back as they were.
    """

    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        places = np.mgrid[: volume.shape[1], : volume.shape[2]].astype(np.float32)
        result = np.empty((len(positions), *volume.shape[1:]), dtype=np.float32)
        found = -1  # the gap whose displacement is at hand
        for number, position in enumerate(positions):
            index = int(position)
            alpha = position - index
            if alpha == 0:
                result[number] = volume[index]
                continue
            before, after = volume[index], volume[index + 1]
            if index != found:
                moved = 0.5 * (self.displacement(before, after) - self.displacement(after, before))
                found = index
            first = sample(before, places - alpha * moved)
            second = sample(after, places + (1 - alpha) * moved)
            result[number] = (1 - alpha) * first + alpha * second
        return result

    def displacement(self, fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
        """(2, rows, columns) in pixels along rows and columns, such that moving(p + v(p)) is close to fixed(p).

        Found on images shrunk by ..., 4, 2, 1, with the iterations of each, and each level starting from the one before.
        """
        demons = SimpleITK.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetStandardDeviations(self.settings["smoothing_px"])
        demons.SetSmoothDisplacementField(True)
        demons.SetNumberOfThreads(1)  # sums over threads are in no fixed order: one makes equal runs equal
        thin = [(0, max(0, 2 - side)) for side in fixed.shape]  # on one row demons divide 0 by 0
        images = [SimpleITK.GetImageFromArray(np.pad(image, thin, mode="edge")) for image in (fixed, moving)]
        found: SimpleITK.Image | None = None
        every = self.settings["iterations"]
        for level, iterations in zip(reversed(range(len(every))), every, strict=True):
            if level and min(fixed.shape) >> level < SMALLEST_SIDE:
                continue
            pair = [SimpleITK.BinShrink(image, [2**level] * 2) for image in images]
            start = () if found is None else (resampled(found, pair[0]),)
            demons.SetNumberOfIterations(iterations)
            found = demons.Execute(*pair, *start)
        assert found is not None  # the level of the images themselves is never left out
        field = SimpleITK.GetArrayFromImage(found)[: fixed.shape[0], : fixed.shape[1]]
        return np.stack([field[..., 1], field[..., 0]]).astype(np.float32)  # ITK counts (column, row)


def resampled(field: SimpleITK.Image, like: SimpleITK.Image) -> SimpleITK.Image:
    """A displacement field, in units that do not depend on the grid, on the grid of an image; linear, edges repeated."""
    resample = SimpleITK.ResampleImageFilter()
    resample.SetReferenceImage(like)
    resample.SetOutputPixelType(field.GetPixelID())
    resample.UseNearestNeighborExtrapolatorOn()
    return resample.Execute(field)


def sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`image` (rows, columns) at `places` (2, rows, columns) in pixels: cubic spline, edges repeated."""
    return ndimage.map_coordinates(image, places, order=3, mode="nearest")


CLASSES = {"registration": Registration}
