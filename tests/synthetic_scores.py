"""Seeded synthetic long tables and statistics with the traps of real ones: infinite PSNR, several seeds."""

from itertools import product

import numpy as np
import pandas as pd

from interslice.analysis.comparisons import study_comparisons
from interslice.scoring.longtable import check_scores, frame_means

LABELS = {
    "oracle": "Oracle",
    "nearest": "Nearest",
    "linear": "Linear",
    "bspline": "B-spline",
    "lanczos": "Lanczos",
    "cae_mse": "cae_mse",
    "cae": "CAE (λ = 0.05)",
}
CONTROLS = {"oracle", "nearest"}
TRAINED, BASELINES = ["cae_mse", "cae"], ["linear", "bspline", "lanczos"]
GAIN = dict(zip(LABELS, [0.0, -0.08, 0.0, 0.01, 0.012, 0.02, 0.035], strict=True))
PERFECT = {"ssim": 1.0, "psnr": np.inf, "vif": 1.0, "lpips": 0.0}
LEVEL = {"ssim": 0.78, "psnr": 25.0, "vif": 0.3, "lpips": 0.25}
SCALE = {"ssim": 1.0, "psnr": 40.0, "vif": 0.8, "lpips": -1.0}


def synthetic_scores(seeds: tuple[int, ...] = (0,), slices: int = 9, subjects: int = 5) -> pd.DataFrame:
    """Dataset "t1_embedded", K 2 and 4; trained methods have all `seeds`, the others the first."""
    draw = np.random.default_rng(0)
    rows = []
    names = [f"sub-{i:02d}" for i in range(subjects)]
    level = {name: draw.normal(0, 0.02) for name in names}
    for K, method, subject, region, metric in product((2, 4), LABELS, names, ("whole", "foreground"), LEVEL):
        for seed, i in product(seeds if method in TRAINED else seeds[:1], range(slices)):
            kind = "kept" if i % K == 0 else "synthesised"
            passed_through = kind == "kept" and method not in TRAINED
            gain = (
                GAIN[method]
                - 0.03 * K
                + level[subject]
                - 0.05 * (region == "foreground")
                + draw.normal(0, 0.02)
            )
            value = LEVEL[metric] + SCALE[metric] * gain
            if method == "oracle" or passed_through:
                value = PERFECT[metric]
            rows.append(
                ("t1_embedded", method, K, seed, "strict", subject, 0, i, kind, region, metric, value)
            )
    columns = [
        "dataset",
        "method",
        "K",
        "seed",
        "protocol",
        "subject",
        "frame",
        "slice",
        "kind",
        "region",
        "metric",
    ]
    return check_scores(pd.DataFrame(rows, columns=[*columns, "value"]))


def synthetic_comparisons(scores: pd.DataFrame) -> pd.DataFrame:
    """Those of both trained methods with the three baselines, whole image: 24 rows per K, no primary one."""
    settings = {"confidence": 0.95, "margins": {"psnr": 0.5}, "primary": None}
    tests = study_comparisons(frame_means(scores), list(product(TRAINED, BASELINES)), settings)
    return tests[tests["region"] == "whole"].reset_index(drop=True)
