"""Validation curves of the recipes that `cae` has had, against updates and CPU seconds: one command, one figure.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/recipes.py results/normalise_volumes/t1 FOLDER \\
        [--factor 2] [--steps 300] [--seeds 1 2 3] [--batch 4]

Trains every recipe with every seed on the training volumes of a study (`snakemake` makes them) and scores it on its
validation volumes, never on test volumes. A recipe is the settings of a method but for what all share: updates, batch,
64-pixel crops, LPIPS on AlexNet, how often it is validated. What is in FOLDER already is not trained again, and a training
that was stopped goes on. Writes FOLDER/RECIPE_seedN.csv and FOLDER/recipes.png.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from interslice.common.files import replacing
from interslice.common.schemas import override
from interslice.common.seeds import seed_for
from interslice.common.similarity import psnr, ssim
from interslice.config import load_method_settings
from interslice.data.volumes import decimate, open_volume, reference_slices
from interslice.methods import build_method
from interslice.report.style import COLOURS, STYLE, WIDTH_INCHES, legend_below, save, title_above, value_label
from interslice.training.loop import Run, train
from interslice.training.lpips import load_lpips
from interslice.training.validation import Pair, validation_slabs

ROOT = Path(__file__).parent.parent
# Label to the method file and what of it is otherwise. The released schedule is meant for 1.2 million updates.
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "cae": ("cae", {}),
    "fast schedule of before": (
        "cae_released", {"training": {"learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 50}},
    ),
    "released schedule": ("cae_released", {}),
}  # fmt: skip
SHARED = {"synthesis": {"backbone": "alex"}, "training": {"crop": 64, "checkpoint_every": 25}}


def settings_of(recipe: str, **training: Any) -> dict[str, Any]:
    """The settings of a recipe with the keys of `training` that all share."""
    method, changes = RECIPES[recipe]
    settings = load_method_settings(method, ROOT)
    for layer in (changes, SHARED, {"training": training}):
        settings = override(settings, layer, recipe)
    return settings


def file_of(recipe: str, seed: int) -> str:
    return f"{recipe.replace(' ', '_')}_seed{seed}"


def pairs_of(folder: Path, split: str, factor: int) -> dict[str, Pair]:
    """Low-resolution volume and reference of every subject of a split, of its first frame."""
    pairs = {}
    for path in sorted(folder.glob(f"{split}-*/*/*.nii")):
        volume = open_volume(path)
        low = np.array(decimate(volume, factor, "none").data[0])
        pairs[path.stem] = Pair(low, reference_slices(volume.data, factor)[0])
    return pairs


def train_recipe(
    recipe: str, seed: int, factor: int, volumes: Path, out: Path, training: Mapping[str, Any]
) -> None:
    """Write the history of one training, unless it is there."""
    history = out / f"{file_of(recipe, seed)}.csv"
    if history.exists():
        return
    settings = settings_of(recipe, **training)
    given, held = (pairs_of(volumes, split, factor) for split in ("train", "validation"))
    run = Run(
        f"{recipe}, seed {seed}",
        settings,
        seed_for("t1", factor, seed),
        factor,
        "recipes",
        list(given),
        list(held),
    )
    weight, backbone = settings["synthesis"]["lpips"], settings["synthesis"]["backbone"]
    state = train(
        run,
        [pair.low[np.newaxis] for pair in given.values()],
        list(held.values()),
        resume=out / f"{file_of(recipe, seed)}_resume.pt",
        perceptual=load_lpips(backbone, ROOT / f"resources/lpips/{backbone}.pt") if weight else None,
    )
    with replacing(history) as temporary:
        pd.DataFrame(state["history"]).to_csv(temporary, index=False)
    (out / f"{file_of(recipe, seed)}_resume.pt").unlink(missing_ok=True)


def linear_level(pairs: Mapping[str, Pair], factor: int, slabs: int) -> dict[str, float]:
    """Mean SSIM and PSNR of linear interpolation where a training of two neighbours is validated."""
    method, scores = build_method(load_method_settings("linear", ROOT)), []
    for pair in pairs.values():
        for slab in validation_slabs(pair, factor, 2, {"validation_slabs": slabs}):
            result = np.clip(method.interpolate(slab.low, factor), 0, 1)
            for index in range(1, factor):
                both = result[index], slab.reference[index]
                scores.append((ssim(*both, data_range=1.0), psnr(*both, data_range=1.0)))
    means = np.mean(scores, axis=0)
    return {"ssim": float(means[0]), "psnr": float(means[1])}


def recipe_curves(
    histories: Mapping[str, Sequence[pd.DataFrame]], levels: Mapping[str, float], title: str
) -> Figure:
    """PSNR and SSIM against updates and CPU seconds (logarithmic): a thin line per seed, a thick one for their mean.

    histories: label to a history (step, compute_seconds, validation_psnr, validation_ssim) per seed; levels: metric to the
    score that a dashed line shows.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, 5.2))
        panels = figure.subplots(2, 2, sharey="row")
        for row, metric in zip(panels, ("psnr", "ssim"), strict=True):
            for axes, column, name in zip(
                row, ("step", "compute_seconds"), ("Updates", "CPU seconds"), strict=True
            ):
                for colour, (label, seeds) in zip(COLOURS, histories.items(), strict=False):
                    for one in seeds:
                        axes.plot(one[column], one[f"validation_{metric}"], color=colour, linewidth=0.5)
                    # Seeds are validated at the same updates; their seconds differ a little.
                    mean = pd.concat(seeds).groupby("step", as_index=False).mean(numeric_only=True)
                    axes.plot(
                        mean[column],
                        mean[f"validation_{metric}"],
                        color=colour,
                        label=label,
                        marker="o",
                        markersize=3,
                    )
                axes.axhline(levels[metric], color="0.4", linestyle="--", label="linear interpolation")
                axes.set(xscale="log", xlabel=name)
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter(NullFormatter())  # else it writes over the others
            row[0].set_ylabel(value_label(metric))
        legend_below(figure)
        title_above(figure, title)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("volumes", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    training = {"steps": given.steps, "batch": given.batch, "validate_every": max(1, given.steps // 12)}
    for seed in given.seeds:
        for recipe in RECIPES:
            train_recipe(recipe, seed, given.factor, given.volumes, given.folder, training)
    histories = {
        recipe: [pd.read_csv(given.folder / f"{file_of(recipe, seed)}.csv") for seed in given.seeds]
        for recipe in RECIPES
    }
    held = pairs_of(given.volumes, "validation", given.factor)
    slabs = settings_of("cae")["training"]["validation_slabs"]
    title = (
        f"{', '.join(held)}, K = {given.factor}, synthesised slices at {slabs} places; {given.steps} updates of "
        f"{given.batch} triplets of 64 x 64, LPIPS on AlexNet; seeds: {len(given.seeds)}"
    )
    levels = linear_level(held, given.factor, slabs)
    save(recipe_curves(histories, levels, title), given.folder / "recipes.png")


if __name__ == "__main__":
    main()
