"""What the steps cost on one core: CPU seconds, so that other work on the machine hardly matters. Writes costs.json beside it.

python benchmarks/measure.py            (minutes; `make bench` runs it and then writes docs/results/scale.md)
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.config import load_method_settings
from interslice.data.masks import foreground_mask
from interslice.data.volumes import Volume, decimate, open_volume, reference_slices, write_volume
from interslice.methods import build_method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.scoring.longtable import read_scores, write_scores
from interslice.scoring.slices import score_volume
from interslice.training.loop import take_step
from interslice.training.lpips import load_lpips
from interslice.training.optimisers import build_optimisers
from interslice.training.triplets import draw_batch
from phantoms import ellipsoids

ROOT = Path(__file__).parent.parent
SLICES, SIDE = 17, 128
# Distinct training settings of the paper's study: name to dataset (None: the cardiac ones).
TRAININGS = {"acdc": None, "dhcp": "dhcp", "oasis": "oasis"}


def cpu_seconds(work: Callable[[], Any], repeats: int = 2) -> float:
    """The least CPU time of some repeats, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def volume_costs(folder: Path) -> dict[str, float]:
    """Per million voxels: scaling, dropping slices, writing and reading."""
    data = ellipsoids((SLICES, SIDE, SIDE))[np.newaxis]
    volume, millions = Volume(data, np.eye(4), 2), data.size / 1e6
    path = folder / "volume.nii"
    write_volume(volume, path)
    work = {
        "scale": lambda: np.clip(data / np.percentile(data, 99.8) - np.percentile(data, 1), 0, 1),
        "decimate": lambda: decimate(volume, 4, "gaussian"),
        "write": lambda: write_volume(volume, path),
        "read": lambda: np.array(open_volume(path).data),
    }
    costs = {name: cpu_seconds(call) / millions for name, call in work.items()}
    return costs | {"bytes_per_voxel": path.stat().st_size / data.size}


def slice_costs(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Interpolation by method and K, and metrics, per slice of SIDE x SIDE pixels."""
    data = ellipsoids((SLICES, SIDE, SIDE))
    volume = Volume(data[np.newaxis], np.eye(4), 2)
    interpolation: dict[str, Any] = {}
    for name in ("nearest", "linear", "bspline", "lanczos", "cae_paper"):
        method = build_method(load_method_settings(name, ROOT))
        for factor in (2, 4):
            low = decimate(volume, factor, "none").data[0]
            seconds = cpu_seconds(partial(method.interpolate, low, factor), 2)
            interpolation.setdefault(name, {})[str(factor)] = seconds / ((low.shape[0] - 1) * factor + 1)
    backbone = load_lpips("vgg", ROOT / "resources/lpips/vgg.pt")
    reference = reference_slices(volume.data, 4)[0]
    blurred = np.clip(reference + 0.01, 0, 1)
    mask, scoring = foreground_mask(reference), {}
    for metric in ("ssim", "psnr", "vif", "lpips"):
        network = backbone if metric == "lpips" else None

        def score(metric: str = metric, network: Any = network) -> Any:
            return score_volume(
                blurred, reference, 4, metrics=[metric], mask=mask, lpips_network=network, gap_step=2
            )

        scoring[metric] = cpu_seconds(score, 1) / score()["slice"].nunique()
    return interpolation, scoring | table_costs(folder)


def table_costs(folder: Path) -> dict[str, float]:
    """Bytes of a row of the long table as a file and in memory, in a table large enough that its header does not count."""
    slices, metrics = 2000, ["ssim", "psnr", "vif", "lpips"]
    keys = itertools.product(
        [f"OAS1_{number:04d}" for number in range(10)], range(slices // 10), metrics, ["whole", "foreground"]
    )
    table = pd.DataFrame(keys, columns=["subject", "slice", "metric", "region"])
    constant: dict[str, Any] = {
        "dataset": "oasis",
        "method": "linear",
        "K": 4,
        "seed": 1,
        "frame": 0,
        "kind": "synthesised",
        "protocol": "strict",
    }
    table = table.assign(value=np.random.default_rng(0).random(len(table)), **constant)
    write_scores(table, folder / "scores.parquet")
    loaded = read_scores(folder / "scores.parquet")
    return {
        "bytes_per_row": (folder / "scores.parquet").stat().st_size / len(table),
        "memory_bytes_per_row": float(loaded.memory_usage(deep=True).sum()) / len(table),
    }


def training_costs() -> dict[str, Any]:
    """CPU seconds and floating point operations of one step at the paper's crop, per triplet of the batch."""
    costs: dict[str, Any] = {}
    perceptual = load_lpips("vgg", ROOT / "resources/lpips/vgg.pt")
    for name, dataset in TRAININGS.items():
        for method_name in ("cae_paper_mse", "cae_paper"):
            settings = load_method_settings(method_name, ROOT, dataset)
            training = settings["training"]
            method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
            method.perceptual = perceptual if settings["synthesis"]["lpips"] else None
            method.network.train()
            optimisers = build_optimisers(method, training)
            volume = ellipsoids((9, training["crop"], training["crop"]))[np.newaxis]
            batch = draw_batch([volume], training | {"batch": 2}, 0, 0)
            with FlopCounterMode(display=False) as counter:
                take_step(method, optimisers, batch, training, 0)
            started = time.process_time()
            take_step(method, optimisers, batch, training, 1)
            costs[f"{name}/{method_name}"] = {
                "cpu_seconds_per_triplet": (time.process_time() - started) / 2,
                "gflop_per_triplet": counter.get_total_flops() / 2e9,
                "steps": training["steps"],
                "batch": training["batch"],
                "crop": training["crop"],
            }
    return costs


def start_costs() -> dict[str, float]:
    """CPU seconds to start the script of a job: Python, its imports, and reading the workflow."""
    costs = {}
    for name, code in {
        "light": "import interslice.steps.data",
        "torch": "import interslice.steps.train",
        "workflow": "from snakemake.cli import main; main(['--dry-run', '--quiet', 'all', '--forceall'])",
    }.items():
        before = os.times()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=name != "workflow")
        after = os.times()
        costs[name] = (
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return costs


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        interpolation, scoring = slice_costs(Path(folder))
        costs = {
            "environment": environment_record(),
            "side": SIDE,
            "volume": volume_costs(Path(folder)),
            "interpolation": interpolation,
            "scoring": scoring,
            "training": training_costs(),
            "start": start_costs(),
        }
    with replacing(Path(__file__).parent / "costs.json") as temporary:
        temporary.write_text(json.dumps(costs, indent=2) + "\n")


if __name__ == "__main__":
    main()
