"""Methods on the validation volumes of a study at their own budgets: one line each, with CPU seconds.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/validation_scores.py results/normalise_volumes/t1 \\
        --factor 4 linear bspline implicit slomo

Thin slices are dropped. Trained methods are trained on the study's training volumes with seed 1, and their best validation
is kept; scored are all new slices of every fifth gap, whole slices, PSNR (dB) and SSIM. Test volumes are not read.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from recipes import ROOT, pairs_of

from interslice.common.seeds import seed_for
from interslice.common.similarity import psnr, ssim
from interslice.config import load_method_settings
from interslice.methods import build_method
from interslice.methods.base import Method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.loop import Run, train
from interslice.training.lpips import load_lpips
from interslice.training.validation import Pair

EVERY = 5  # gaps
FIRST = 2


def ready(name: str, factor: int, given: Mapping[str, Pair], held: Mapping[str, Pair]) -> Method:
    """A method by the name of its file, trained if it is one to train."""
    settings = load_method_settings(name, ROOT)
    method = build_method(settings)
    if isinstance(method, TrainedMethod):
        weights = settings.get("synthesis", {})
        with tempfile.TemporaryDirectory() as folder:
            state = train(
                Run(name, settings, seed_for("t1", factor, 1), factor, "", list(given), list(held)),
                [pair.low[np.newaxis] for pair in given.values()],
                list(held.values()),
                resume=Path(folder) / "resume.pt",
                references=[pair.reference[np.newaxis] for pair in given.values()]
                if method.supervised
                else None,
                perceptual=load_lpips(weights["backbone"], ROOT / f"resources/lpips/{weights['backbone']}.pt")
                if weights.get("lpips")
                else None,
            )
        method.network.load_state_dict(state["weights"])
        method.network.eval()
    return method


def scores(method: Method, pair: Pair, factor: int) -> list[tuple[float, float]]:
    """PSNR and SSIM of every new slice of the scored gaps."""
    gaps = range(FIRST, len(pair.low) - 1, EVERY)
    made = method.interpolate(pair.low, factor, gaps)
    places = [gap * factor + step for gap in gaps for step in range(1, factor)]
    both = [(np.clip(made[place], 0, 1), pair.reference[place]) for place in places]
    return [(psnr(*one, data_range=1.0), ssim(*one, data_range=1.0)) for one in both]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("volumes", type=Path)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--factor", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    given, held = (pairs_of(options.volumes, split, options.factor) for split in ("train", "validation"))
    for name in options.methods:
        start = time.process_time()
        method = ready(name, options.factor, given, held)
        trained = time.process_time()
        found = np.mean(
            [one for pair in held.values() for one in scores(method, pair, options.factor)], axis=0
        )
        print(
            f"{name}: {found[0]:.2f} / {found[1]:.3f}, training {trained - start:.0f} s, "
            f"interpolation {time.process_time() - trained:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
