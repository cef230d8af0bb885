"""Volumes that tests make for themselves."""

import numpy as np
from scipy import ndimage


def ellipsoids(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A smooth head-like phantom (slices, rows, columns) float32 in [0, 1]: nested ellipsoids, blobs and a dark background."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    radius = np.sqrt(sum((axis / size) ** 2 for axis, size in zip(grid, (0.95, 0.85, 0.75), strict=True)))
    volume = 0.25 * (radius < 1) + 0.35 * (radius < 0.8)
    for _ in range(12):
        centre, size = rng.uniform(-0.5, 0.5, 3), rng.uniform(0.1, 0.3)
        distance = sum((axis - place) ** 2 for axis, place in zip(grid, centre, strict=True))
        volume = volume + rng.uniform(-0.15, 0.2) * np.exp(-distance / (2 * size**2)) * (radius < 0.8)
    volume = ndimage.gaussian_filter(volume, 0.7) + 0.01 * rng.standard_normal(shape) * (radius < 1.1)
    return np.clip(volume, 0, 1).astype(np.float32)


def ramp(slices: int, rows: int = 24, columns: int = 20, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    """Constant slices whose value rises linearly along the slice axis."""
    values = np.linspace(low, high, slices, dtype=np.float32)
    return np.broadcast_to(values[:, np.newaxis, np.newaxis], (slices, rows, columns)).copy()


def shells(side: int) -> np.ndarray:
    """A cube (side, side, side) float32 of concentric shells, 7 voxels apart: alike along all axes, too fine for a spline."""
    axes = np.meshgrid(*(np.arange(side) - side // 2,) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return (0.5 + 0.4 * np.tanh(3 * np.sin(radius * 2 * np.pi / 7))).astype(np.float32)
