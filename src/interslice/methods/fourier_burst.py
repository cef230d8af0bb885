"""Self super-resolution by anchored regression and Fourier burst accumulation (Jog, Carass and Prince, MICCAI 2016).

For every in-plane direction a regression from the degraded to the sharp slices is learned: patches of first and second
derivatives, reduced by principal components, each assigned to the nearest of some anchors, with a ridge regression to
the missing detail per anchor (anchored neighbourhood regression, Timofte, De Smet and Van Gool 2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import Ridge

from interslice.methods.self_supervised import Restore, SelfSupervised

FLAT = 1e-4  # length of a feature vector below which a patch has nothing to learn from or to restore


@dataclass(frozen=True)
class AnchoredRegression:
    """basis: (features, components). anchors: (anchors, components), of unit length. maps: (anchors, components, pixels)."""

    patch: int
    basis: np.ndarray
    anchors: np.ndarray
    maps: np.ndarray

    def restore(self, images: np.ndarray) -> np.ndarray:
        """(images, rows, columns) plus the missing detail, the mean over overlapping patches."""
        return np.stack([image + self.detail(image) for image in images])

    def detail(self, image: np.ndarray) -> np.ndarray:
        """(rows, columns) of one image, from the patches about every pixel."""
        patch, rows, columns = self.patch, *image.shape
        features = feature_patches(np.pad(image, patch - 1, mode="edge"), patch)
        high, wide = rows + patch - 1, columns + patch - 1  # places of patches
        reduced = features.reshape(high * wide, -1) @ self.basis
        pixels = self.predict(reduced).reshape(high, wide, patch, patch)
        total = np.zeros((rows, columns), dtype=np.float32)
        for row in range(patch):  # every pixel is in patch x patch patches, at another place in each
            for column in range(patch):
                place = (slice(patch - 1 - row, high - row), slice(patch - 1 - column, wide - column))
                total += pixels[(*place, row, column)]
        return total / patch**2

    def predict(self, reduced: np.ndarray) -> np.ndarray:
        """(patches, components) to (patches, pixels): the map of the nearest anchor, 0 for flat patches."""
        nearest = np.argmax(reduced @ self.anchors.T, axis=1)
        nearest[np.linalg.norm(reduced, axis=1) < FLAT] = -1
        result = np.zeros((len(reduced), self.maps.shape[2]), dtype=np.float32)
        for index, linear in enumerate(self.maps):
            chosen = nearest == index
            result[chosen] = reduced[chosen] @ linear
        return result


class FourierBurst(SelfSupervised):
    """Settings besides those of SelfSupervised: patch, samples, components, anchors, neighbours, ridge."""

    def learn(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Restore]:
        return [self.regression(*pair).restore for pair in pairs]

    def regression(self, degraded: np.ndarray, sharp: np.ndarray) -> AnchoredRegression:
        """Fit to random patches of the pairs; without any structure the regression adds nothing."""
        settings = self.settings
        patch, seed = settings["patch"], settings["seed"]
        features, details = draw_patches(degraded, sharp, patch, settings["samples"], seed)
        structured = np.linalg.norm(features, axis=1) >= FLAT
        features, details = features[structured], details[structured]
        components = min(settings["components"], features.shape[1])
        if len(features) < settings["anchors"]:
            shapes = (features.shape[1], components), (1, components), (1, components, patch**2)
            return AnchoredRegression(patch, *(np.zeros(shape, np.float32) for shape in shapes))
        # Not centred, unlike the usual principal components: no structure must stay no structure.
        basis = np.linalg.eigh(features.T @ features)[1][:, : -components - 1 : -1]
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
        return AnchoredRegression(patch, basis, anchors, np.stack(maps).astype(np.float32))


def derivatives(image: np.ndarray) -> np.ndarray:
    """(rows, columns) to (4, rows, columns): first and second central differences along both axes, edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    above, below = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    return np.stack(
        [(below - above) / 2, (right - left) / 2, above - 2 * image + below, left - 2 * image + right]
    )


def feature_patches(image: np.ndarray, patch: int) -> np.ndarray:
    """(rows, columns) to the derivatives in every whole patch: (places down, places across, 4, patch, patch)."""
    return np.moveaxis(sliding_window_view(derivatives(image), (patch, patch), axis=(1, 2)), 0, 2)


def draw_patches(
    degraded: np.ndarray, sharp: np.ndarray, patch: int, samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """About `samples` random patches of pairs (images, rows, columns): features (n, 4 patch^2), missing detail (n, patch^2)."""
    rng = np.random.default_rng(seed)
    wanted = -(-samples // len(degraded))
    features, details = [], []
    for image, target in zip(degraded, sharp, strict=True):
        if min(image.shape) < patch:
            continue
        windows = feature_patches(image, patch)
        missing = sliding_window_view(target - image, (patch, patch))
        rows, columns = (rng.integers(length, size=wanted) for length in missing.shape[:2])
        features.append(windows[rows, columns].reshape(wanted, -1))
        details.append(missing[rows, columns].reshape(wanted, -1))
    if not features:
        return np.zeros((0, 4 * patch**2), np.float32), np.zeros((0, patch**2), np.float32)
    return np.concatenate(features), np.concatenate(details)


CLASSES = {"fourier_burst": FourierBurst}
