"""Patches of images: the features that degraded ones are known by, and restoring an image from the patches about every pixel.

Features are first and second derivatives (Zeyde, Elad and Protter 2010); each patch gives the detail that it lacks, and
overlapping patches are averaged.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

FLAT = 1e-4  # length of a feature vector below which a patch has nothing to learn from or to restore


class PatchRestorer:
    """patch: side in pixels. basis: (features, components) float32, what features are reduced with.

    Subclasses write `predict`.
    """

    def __init__(self, patch: int, basis: np.ndarray) -> None:
        self.patch = patch
        self.basis = basis

    def restore(self, images: np.ndarray) -> np.ndarray:
        """(images, rows, columns) plus the missing detail, the mean over overlapping patches."""
        return np.stack([image + self.detail(image) for image in images])

    def detail(self, image: np.ndarray) -> np.ndarray:
        """(rows, columns) of one image, from the patches about every pixel; flat patches lack nothing."""
        patch, rows, columns = self.patch, *image.shape
        features = feature_patches(np.pad(image, patch - 1, mode="edge"), patch)
        high, wide = rows + patch - 1, columns + patch - 1  # places of patches
        reduced = features.reshape(high * wide, -1) @ self.basis
        structured = np.linalg.norm(reduced, axis=1) >= FLAT
        pixels = np.zeros((high * wide, patch**2), dtype=np.float32)
        pixels[structured] = self.predict(reduced[structured])
        pixels = pixels.reshape(high, wide, patch, patch)
        total = np.zeros((rows, columns), dtype=np.float32)
        for row in range(patch):  # every pixel is in patch x patch patches, at another place in each
            for column in range(patch):
                place = (slice(patch - 1 - row, high - row), slice(patch - 1 - column, wide - column))
                total += pixels[(*place, row, column)]
        return total / patch**2

    def predict(self, reduced: np.ndarray) -> np.ndarray:
        """The missing detail (patches, pixels) of reduced features (patches, components)."""
        raise TypeError(f"{type(self).__name__} has no predict: a restorer must write it")


def principal_basis(features: np.ndarray, components: int) -> np.ndarray:
    """(n, features) to (features, components at most). Not centred, unlike the usual principal components: no structure
    must stay no structure."""
    return np.linalg.eigh(features.T @ features)[1][:, : -min(components, features.shape[1]) - 1 : -1]


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
    """Random patches of pairs (images, rows, columns), about `samples` less the flat ones: features (n, 4 patch^2), missing
    detail (n, patch^2)."""
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
    known = np.concatenate(features)
    structured = np.linalg.norm(known, axis=1) >= FLAT
    return known[structured], np.concatenate(details)[structured]
