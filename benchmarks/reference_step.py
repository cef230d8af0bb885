"""A training step of the paper's autoencoder against a plain one, at the three released settings, in one run.

    OMP_NUM_THREADS=1 PYTHONPATH=src python benchmarks/reference_step.py [--settings cardiac dhcp oasis] [--repeats 3]

The plain step has no tricks: the network, loss and optimiser of Sander, de Vos and Isgum 2022 written out with torch's
modules, float32, rows before columns, the three images of a triplet passed one after the other, LPIPS on VGG16, Adam. Both
start at the same weights and see the same batch, and the run ends where their first losses differ. Turn by turn, so that
other work on the machine hits both; the least CPU time (on a GPU wall-clock time) of the repeats counts. bfloat16 is measured
where the machine computes in it. Writes reference_step.json beside it, which scale.py shows.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from interslice.common.devices import select_device, select_precision
from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.config import load_method_settings
from interslice.methods import build_method
from interslice.methods.parts.autoencoder import TrainedMethod
from interslice.training.loop import take_step
from interslice.training.lpips import load_lpips
from interslice.training.optimisers import build_optimisers

ROOT = Path(__file__).parent.parent
# Triplets, side of the crop and weight of LPIPS as released.
SETTINGS = {"cardiac": (12, 128, 0.05), "dhcp": (8, 256, 0.001), "oasis": (16, 64, 0.001)}
# Relative, of the first step in float32: ours passes the images of a triplet together, so that batch normalisation takes its
# statistics over all of them.
SAME_LOSS = 0.01

Step = Callable[[np.ndarray], float]


def block(before: int, after: int) -> list[nn.Module]:
    """Twice convolution and LeakyReLU, then batch normalisation."""
    return [
        nn.Conv2d(before, after, 3, padding=1),
        nn.LeakyReLU(0.01),
        nn.Conv2d(after, after, 3, padding=1),
        nn.LeakyReLU(0.01),
        nn.BatchNorm2d(after),
    ]


def plain_autoencoder() -> nn.ModuleDict:
    """The released encoder and decoder: two scales, 32 channels, a latent of 128."""
    encoder: list[nn.Module] = [nn.Conv2d(1, 32, 1)]
    encoder += [*block(32, 32), nn.AvgPool2d(2), *block(32, 64), nn.AvgPool2d(2)]
    encoder += [nn.Conv2d(64, 128, 3, padding=1), nn.LeakyReLU(0.01), nn.Conv2d(128, 128, 3, padding=1)]
    decoder: list[nn.Module] = [
        *block(128, 64),
        nn.Upsample(scale_factor=2),
        *block(64, 32),
        nn.Upsample(scale_factor=2),
    ]
    decoder += [nn.Conv2d(32, 32, 3, padding=1), nn.LeakyReLU(0.01)]
    decoder += [nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid()]
    return nn.ModuleDict({"encoder": nn.Sequential(*encoder), "decoder": nn.Sequential(*decoder)})


def plain_step(network: nn.ModuleDict, weight: float, perceptual: nn.Module) -> Step:
    """A function that takes one step with triplets (batch, 3, side, side) and returns its loss."""
    encoder, decoder = network["encoder"], network["decoder"]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-5)
    device = next(network.parameters()).device

    def step(triplets: np.ndarray) -> float:
        before, middle, after = torch.from_numpy(triplets).to(device).split(1, dim=1)
        first, last = encoder(before), encoder(after)
        outer = torch.cat([before, after])
        reconstruction = nn.functional.mse_loss(torch.cat([decoder(first), decoder(last)]), outer)
        synthesised = decoder(0.5 * first + 0.5 * last)
        pair = [2 * image.expand(-1, 3, -1, -1) - 1 for image in (synthesised, middle)]
        loss = reconstruction + weight * perceptual(*pair).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def our_step(network: nn.ModuleDict, weight: float, perceptual: nn.Module, precision: str) -> Step:
    """As plain_step, by the training loop's own step, from the weights of `network`."""
    settings = load_method_settings("cae_paper", ROOT)
    settings["synthesis"]["lpips"] = weight
    training = settings["training"] | {"precision": precision}
    method: TrainedMethod = build_method(settings)  # type: ignore[assignment]
    # Both have the same layers in the same order; those without weights are numbered otherwise.
    same = dict(zip(method.network.state_dict(), network.state_dict().values(), strict=True))
    method.network.load_state_dict(same)
    method.network.to(next(network.parameters()).device).train(network.training)
    method.perceptual = perceptual
    optimisers = build_optimisers(method, training)

    def step(triplets: np.ndarray) -> float:
        halves = np.full((len(triplets), 1, 1, 1), 0.5, np.float32)
        return take_step(method, optimisers, (triplets, halves), training, 0)["loss"]

    return step


def compare(
    name: str, repeats: int, device: torch.device, perceptual: nn.Module, shrink: int = 1
) -> dict[str, Any]:
    """Seconds of each step, and how many of ours go into a plain one. shrink: divides batch and side, for tests.

    Raises InputError where the first losses differ by more than SAME_LOSS: the two would not be the same work.
    """
    batch, side, weight = SETTINGS[name]
    batch, side = max(2, batch // shrink), side // shrink
    triplets = np.random.default_rng(0).random((batch, 3, side, side), np.float32)
    network = plain_autoencoder().to(device).train()
    ours = {
        precision: our_step(network, weight, perceptual, precision)
        for precision in dict.fromkeys(["float32", select_precision("auto", device)])
    }
    steps = {"plain": plain_step(network, weight, perceptual), **ours}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, float] = {}
    for turn in range(repeats + 1):
        losses = {}
        for key, step in steps.items():
            started = clock()
            losses[key] = step(triplets)  # reading the loss waits for a GPU
            taken = clock() - started
            if turn:  # the first ones warm up
                seconds[key] = min(taken, seconds.get(key, taken))
        if not turn and abs(losses["float32"] / losses["plain"] - 1) > SAME_LOSS:
            raise InputError(
                f"{name}: found a first loss of {losses['float32']}, the plain step has {losses['plain']}"
            )
    ratios = {key: seconds["plain"] / seconds[key] for key in ours}
    return {"batch": batch, "side": side, "seconds": seconds, "times_as_fast": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = select_device("auto")
    perceptual = load_lpips("vgg", ROOT / "resources/lpips/vgg.pt").to(device)
    rows = {name: compare(name, arguments.repeats, device, perceptual) for name in arguments.settings}
    for name, row in rows.items():
        ratios = ", ".join(f"{key} {ratio:.2f} times as fast" for key, ratio in row["times_as_fast"].items())
        print(f"{name}, {row['batch']} x {row['side']}²: {ratios}")
    content = {"environment": environment_record(), "device": str(device), "steps": rows}
    with replacing(Path(__file__).parent / "reference_step.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
