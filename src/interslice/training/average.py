"""A running average of the weights, which is validated and kept in their place."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, share: float, step: int) -> None:
    """Move the average after an update (`step` of them are done) so that it reaches back over about `share` of all.

    A power-function average (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models", section
    3.1): unlike one of a fixed length it needs no knowledge of how long the training will be. 0 keeps none.
    """
    if not share:
        return
    weights = network.state_dict()
    if not average:
        average.update({name: weight.clone() for name, weight in weights.items()})
    for name, weight in weights.items():
        if weight.is_floating_point():
            average[name].lerp_(weight, 1 / (1 + share * step))
        else:
            average[name].copy_(weight)


@contextmanager
def averaged(network: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """The network with the average as its weights, where there is one, and with its own again."""
    if not average:
        yield
        return
    own = {name: weight.clone() for name, weight in network.state_dict().items()}
    network.load_state_dict(average)
    try:
        yield
    finally:
        network.load_state_dict(own)
