"""How good an interpolation between two lines is: the two metrics of Berthelot, Raffel, Roy and Goodfellow 2018, section 3.

Both look for the most similar line of a reference set, by cosine: Mean Distance says how much images are lines, Smoothness
how evenly they turn.
"""

import numpy as np

from interslice.data.sources.lines import draw_lines

REFERENCE_LINES = 3600  # a tenth of a degree apart


def nearest_lines(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reference line closest to each image (..., 32, 32): cosine distances (...) and angles (...) in radians.

    The distance is 0 for an image proportional to a reference line, at most 1 for images >= 0; both are NaN for an image
    that is 0 everywhere, which has no direction.
    """
    angles = np.linspace(0, 2 * np.pi, REFERENCE_LINES, endpoint=False)
    reference = draw_lines(angles).reshape(REFERENCE_LINES, -1).astype(np.float64)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    flat = np.asarray(images, dtype=np.float64).reshape(-1, reference.shape[1])
    norms = np.linalg.norm(flat, axis=1)
    cosines = flat @ reference.T / np.where(norms > 0, norms, np.nan)[:, np.newaxis]
    shape = np.shape(images)[:-2]
    found = np.where(norms > 0, angles[cosines.argmax(axis=1)], np.nan)
    return (1 - cosines.max(axis=1)).reshape(shape), found.reshape(shape)


def smoothness(angles: np.ndarray) -> np.ndarray:
    """Largest step of the unwrapped angles (..., n) over their total, minus 1 / (n - 1): (...), 0 for equal steps.

    NaN where the total is 0 (under 1e-4 radians): nothing turned.
    """
    unwrapped = np.unwrap(angles, axis=-1)
    total = np.abs(unwrapped[..., -1] - unwrapped[..., 0])
    largest = np.abs(np.diff(unwrapped, axis=-1)).max(axis=-1)
    return largest / np.where(total > 1e-4, total, np.nan) - 1 / (angles.shape[-1] - 1)
