"""Reconstruction in the style of compressed sensing: total variation against the dropped slices.

The idea of Lustig, Donoho and Pauly 2007 carried to the slice axis: x = argmin 1/2 |A x - y|^2 + w TV(x), where A blurs
along the slice axis with the slice profile and keeps every K-th slice. Slices dropped on a regular grid alias coherently,
which is what the theory of compressed sensing excludes; docs/appendix/peers.md says what that costs. Solved by FISTA (Beck and
Teboulle 2009) with scikit-image's total-variation denoising (Chambolle 2004) as the proximal step.
"""

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle

from interslice.data.volumes import FWHM_PER_SIGMA
from interslice.methods.base import Method
from interslice.methods.conventional import BSpline


class TotalVariation(Method):
    """FISTA from the cubic B-spline. Without a slice profile the input slices come back as they were."""

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        result = self.solve(volume, factor)
        if self.settings["slice_profile"] == "none":
            result[::factor] = volume
        return result

    def solve(self, volume: np.ndarray, factor: int) -> np.ndarray:
        """((n - 1) K + 1, rows, columns) float32: the minimiser as far as the iterations go."""
        estimate = BSpline({}).interpolate(volume, factor)
        point, momentum = estimate, 1.0
        for _ in range(self.settings["iterations"]):
            # |A| is at most 1, so the gradient step has length 1.
            updated = denoise_tv_chambolle(
                point - self.gradient(point, volume, factor),
                weight=self.settings["weight"],
                eps=0,  # a fixed number of inner steps: the time is known beforehand
                max_num_iter=self.settings["inner_iterations"],
            )
            faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            point = updated + np.float32((momentum - 1) / faster) * (updated - estimate)
            estimate, momentum = updated, faster
        return estimate

    def gradient(self, estimate: np.ndarray, volume: np.ndarray, factor: int) -> np.ndarray:
        """A^T (A x - y)."""
        misfit = np.zeros_like(estimate)
        misfit[::factor] = self.blur(estimate, factor)[::factor] - volume
        return self.blur(misfit, factor)

    def blur(self, slices: np.ndarray, factor: int) -> np.ndarray:
        """A Gaussian (FWHM: one input slice) along the slice axis, a slab's as well; reflected ends make it self-adjoint."""
        if self.settings["slice_profile"] == "none":
            return slices
        return ndimage.gaussian_filter1d(slices, factor / FWHM_PER_SIGMA, axis=0, mode="reflect")


CLASSES = {"total_variation": TotalVariation}
