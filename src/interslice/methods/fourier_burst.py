"""Self super-resolution by anchored regression and Fourier burst accumulation (Jog, Carass and Prince, MICCAI 2016).

For every in-plane direction a regression from the degraded to the sharp slices is learned: patches of first and second
derivatives, reduced by principal components, each assigned to the nearest of some anchors, with a ridge regression to
the missing detail per anchor (anchored neighbourhood regression, Timofte, De Smet and Van Gool 2013).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import Ridge

from interslice.methods.parts.patches import FLAT, PatchRestorer, draw_patches, principal_basis
from interslice.methods.parts.self_supervised import Restore, SelfSupervised, unchanged


class AnchoredRegression(PatchRestorer):
    """anchors: (anchors, components), of unit length. maps: (anchors, components, pixels)."""

    def __init__(self, patch: int, basis: np.ndarray, anchors: np.ndarray, maps: np.ndarray) -> None:
        super().__init__(patch, basis)
        self.anchors, self.maps = anchors, maps

    def predict(self, reduced: np.ndarray) -> np.ndarray:
        """The map of the nearest anchor."""
        nearest = np.argmax(reduced @ self.anchors.T, axis=1)
        result = np.zeros((len(reduced), self.maps.shape[2]), dtype=np.float32)
        for index, linear in enumerate(self.maps):
            chosen = nearest == index
            result[chosen] = reduced[chosen] @ linear
        return result


class FourierBurst(SelfSupervised):
    """Settings besides those of SelfSupervised: patch, samples, components, anchors, neighbours, ridge."""

    def learn(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Restore]:
        return [self.regression(*pair) for pair in pairs]

    def regression(self, degraded: np.ndarray, sharp: np.ndarray) -> Restore:
        """Fit to random patches of the pairs; without any structure nothing is added."""
        settings = self.settings
        patch, seed = settings["patch"], settings["seed"]
        features, details = draw_patches(degraded, sharp, patch, settings["samples"], seed)
        if len(features) < settings["anchors"]:
            return unchanged
        basis = principal_basis(features, settings["components"])
        reduced = features @ basis
        directions = reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), FLAT)
        clusters = MiniBatchKMeans(settings["anchors"], random_state=seed, n_init=1, batch_size=4096)
        centres = clusters.fit(directions).cluster_centers_
        anchors = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
        maps = []
        for anchor in anchors:
            closest = np.argsort(-(directions @ anchor), kind="stable")[: settings["neighbours"]]
            ridge = Ridge(settings["ridge"], fit_intercept=False).fit(reduced[closest], details[closest])
            maps.append(ridge.coef_.T)
        return AnchoredRegression(patch, basis, anchors, np.stack(maps).astype(np.float32)).restore


CLASSES = {"fourier_burst": FourierBurst}
