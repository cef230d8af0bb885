"""The power p of Fourier burst accumulation under noise: the table of docs/appendix/peers.md, on the validation subject.

Rician noise is added to the low-resolution slices of a slab in the middle of the volume; the score is against the scan
without it. A scan has noise of its own: once it is taken as it is, and once after non-local means (scikit-image). Run in the
environment after `snakemake --until normalise_volumes`: python benchmarks/burst_noise.py VOLUME.nii
"""

import sys
from pathlib import Path

import numpy as np
from skimage.restoration import denoise_nl_means

from interslice.common.similarity import psnr
from interslice.config import load_method_settings
from interslice.data.volumes import open_volume, output_size, profile_blur, reference_slices
from interslice.methods.fourier_burst import FourierBurst
from interslice.methods.parts.self_supervised import fourier_burst

ROOT = Path(__file__).parent.parent
FACTOR, SLICES = 2, 7
NOISE = (0.0, 0.01, 0.03, 0.06)
STRENGTH = 0.04  # of non-local means, in units of intensity
POWERS = (0, 1, 2, 4, 8, 16)


def rician(volume: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """The magnitude of a complex signal whose two channels have Gaussian noise of standard deviation sigma."""
    real, imaginary = np.random.default_rng(seed).normal(0, sigma, (2, *volume.shape))
    return np.hypot(volume + real, imaginary).astype(np.float32)


def main(path: str) -> None:
    volume, settings = open_volume(path), load_method_settings("fourier_burst", ROOT)
    scan = reference_slices(volume.data, FACTOR)[0]
    first = (len(scan[::FACTOR]) - SLICES) // 2 * FACTOR
    slab = np.asarray(scan[first : first + output_size(SLICES, FACTOR)])
    smooth = denoise_nl_means(slab, patch_size=3, patch_distance=5, h=STRENGTH).astype(np.float32)
    between = [index for index in range(len(slab)) if index % FACTOR]
    print("| slice profile | scan | added sigma | " + " | ".join(f"p = {power}" for power in POWERS) + " |")
    print("| :--- | :--- | ---: |" + " ---: |" * len(POWERS), flush=True)
    for profile, name, reference in (
        ("none", "as it is", slab),
        ("gaussian", "as it is", slab),
        ("gaussian", "denoised", smooth),
    ):
        low = profile_blur(reference, FACTOR, profile, axis=0)[::FACTOR]
        for sigma in NOISE:
            noisy = rician(low, sigma, seed=1)
            directions = FourierBurst(settings | {"slice_profile": profile}).directions(noisy, FACTOR)
            scores = []
            for power in POWERS:
                merged = np.clip(fourier_burst(directions, power), 0, 1)
                scores.append(np.mean([psnr(merged[i], reference[i], data_range=1.0) for i in between]))
            values = " | ".join(f"{score:.2f}" for score in scores)
            print(f"| {profile} | {name} | {sigma} | {values} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
