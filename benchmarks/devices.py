"""The same training on the devices and in the precisions that are at hand: do they agree, and how long does a step take?

    CUBLAS_WORKSPACE_CONFIG=:4096:8 PYTHONPATH=src:tests python benchmarks/devices.py

CPU float32 and bfloat16; with a GPU also CUDA float32 and bfloat16. Trains the autoencoder with its LPIPS term for 200
steps from one seed on synthetic heads, and compares each with CPU float32: the loss of the last 20 steps, and slices
predicted from the same input. Ends with code 1 where CUDA float32 is further off than the tolerance; bfloat16 is reported.
Writes devices.json. Times are CPU seconds on a CPU, wall-clock seconds on a GPU.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from interslice.common.devices import cpu_has_bfloat16, select_precision
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.common.similarity import psnr
from interslice.config import load_method_settings
from interslice.methods import build_method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.loop import take_step
from interslice.training.lpips import load_lpips
from interslice.training.optimisers import build_optimisers
from interslice.training.schedule import State, rate_share
from interslice.training.triplets import draw_batch
from phantoms import ellipsoids

ROOT = Path(__file__).parent.parent
STEPS, LAST, WARM = 200, 20, 10  # the last ones, whose loss counts; the first ones, whose time does not
SEED = 1
# Of CUDA float32 against CPU float32, same seed and batches. Sums are taken in another order, and 200 steps of Adam amplify it:
# the tolerance is on what is predicted, not on single weights.
TOLERANCE_LOSS, TOLERANCE_IMAGE = 0.02, 0.01  # relative; mean absolute difference, data range 1


def train(device: str, precision: str, perceptual: nn.Module) -> dict[str, Any]:
    """STEPS steps; the mean loss of the last ones, a predicted volume, and seconds per step."""
    settings = load_method_settings("cae", ROOT)
    training = settings["training"] | {"crop": 48, "batch": 4, "warmup_steps": 20, "precision": precision}
    training["precision"] = select_precision(precision, torch.device(device))
    torch.manual_seed(SEED)
    method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
    method.network.to(device).train()
    method.perceptual = perceptual.to(device)
    optimisers = build_optimisers(method, training)
    volumes = [ellipsoids((15, 64, 64), seed)[np.newaxis] for seed in range(3)]
    losses, clock = [], time.process_time if device == "cpu" else time.perf_counter
    for step in range(STEPS):
        if step == WARM:
            started = clock()
        batch = draw_batch(volumes, training, SEED, step)
        torch.manual_seed(SEED * 1_000_003 + step)
        share = rate_share(training, State(step=step))
        losses.append(
            take_step(method, optimisers, batch, training, step, share)["loss"]
        )  # waits for the device
    seconds = (clock() - started) / (STEPS - WARM)
    method.network.eval()
    predicted = np.clip(method.interpolate(ellipsoids((17, 64, 64), 9)[::2].copy(), 2), 0, 1)
    return {"loss": float(np.mean(losses[-LAST:])), "predicted": predicted, "seconds_per_step": seconds}


def compare(result: dict[str, Any], reference: dict[str, Any], truth: np.ndarray) -> dict[str, float]:
    """A training against CPU float32."""
    between = slice(1, None, 2)  # the synthesised slices
    return {
        "seconds_per_step": result["seconds_per_step"],
        "steps_per_second_against_cpu_float32": reference["seconds_per_step"] / result["seconds_per_step"],
        "loss": result["loss"],
        "relative_difference_of_loss": abs(result["loss"] / reference["loss"] - 1),
        "mean_absolute_difference_of_prediction": float(
            np.abs(result["predicted"][between] - reference["predicted"][between]).mean()
        ),
        "psnr_of_prediction": float(
            np.mean(
                [
                    psnr(*pair, data_range=1.0)
                    for pair in zip(result["predicted"][between], truth[between], strict=True)
                ]
            )
        ),
    }


def agreement(perceptual: nn.Module) -> dict[str, dict[str, float]]:
    """Every training that the machine can do against CPU float32, by device and precision."""
    runs = [("cpu", "float32")]
    runs += [("cpu", "bfloat16")] if cpu_has_bfloat16() else []  # emulated it takes ten times as long
    if torch.cuda.is_available():
        runs += [("cuda", "float32")]
        runs += [("cuda", "bfloat16")] if torch.cuda.is_bf16_supported(including_emulation=False) else []
    exact = torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False
    try:
        results = {
            f"{device} {precision}": train(device, precision, perceptual) for device, precision in runs
        }
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.allow_tf32 = exact
    truth, reference = ellipsoids((17, 64, 64), 9), results["cpu float32"]
    return {name: compare(result, reference, truth) for name, result in results.items()}


def agrees(row: dict[str, float]) -> bool:
    """Whether a training of `agreement` is within the tolerances."""
    return (
        row["relative_difference_of_loss"] < TOLERANCE_LOSS
        and row["mean_absolute_difference_of_prediction"] < TOLERANCE_IMAGE
    )


def main() -> int:
    torch.set_num_threads(1)
    table = agreement(load_lpips("alex", ROOT / "resources/lpips/alex.pt"))
    content = {"steps": STEPS, "environment": environment_record(), "runs": table}
    with replacing(Path(__file__).parent / "devices.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    for name, row in table.items():
        print(name, *(f"{key} {value:.4g}" for key, value in row.items()), sep="\n  ")
    cuda = table.get("cuda float32")
    if cuda is None:
        print("no CUDA GPU is visible: the agreement of CPU and GPU was not looked at")
        return 0
    agree = agrees(cuda)
    print(
        "CPU and GPU agree" if agree else "CPU and GPU do NOT agree",
        f"(within {TOLERANCE_LOSS:g} and {TOLERANCE_IMAGE:g})",
    )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
