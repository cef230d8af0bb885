"""Optimisers of a training: Adam, or Muon for the matrices inside a network and Adam for the rest of it.

Muon: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, kellerjordan.github.io/posts/muon.
torch's own (2.9 and later) takes matrices alone and multiplies them in bfloat16, which costs ten times as much as float32
on a processor without instructions for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interslice.methods.parts.autoencoder import TrainedMethod

MOMENTUM = 0.95
# a x + b x^3 + c x^5 of the singular values, five times: their slope at 0 is steep, and they end near 1, not on it.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5

Optimisers = Mapping[str, Sequence[torch.optim.Optimizer]]


class Muon(torch.optim.Optimizer):
    """Momentum (Nesterov) of each weight, as its (outputs, rest) matrix, with all singular values brought near 1.

    An update is scaled by sqrt(max(1, rows / columns)) of its matrix. No weight decay.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the weights that have a gradient."""
        if closure is not None:
            raise TypeError("Muon takes no closure")
        for group in self.param_groups:
            for weight in (one for one in group["params"] if one.grad is not None):
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
                matrix = torch.lerp(weight.grad, momentum, MOMENTUM).flatten(1)
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                weight.add_(orthogonalised(matrix).view(weight.shape), alpha=-scale * group["lr"])


def orthogonalised(matrix: Tensor) -> Tensor:
    """A matrix with its singular vectors kept and its singular values near 1, by Newton and Schulz's iteration; the values
    end between .7 and 1.2, those of less than about a hundredth of the matrix's norm below that."""
    wide = matrix.shape[0] <= matrix.shape[1]
    result = (matrix if wide else matrix.T) / (matrix.norm() + 1e-7)
    first, second, third = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = result @ result.T
        result = torch.addmm(
            result, torch.addmm(gram, gram, gram, beta=second, alpha=third), result, beta=first
        )
    return result if wide else result.T.contiguous()


def build_optimisers(
    method: TrainedMethod, training: Mapping[str, Any]
) -> dict[str, list[torch.optim.Optimizer]]:
    """The optimisers of every parameter group of a method, at their peak rates.

    optimiser "adam": one, at `learning_rate`. "muon": Muon at `matrix_learning_rate` for the weights of convolutions and
    linear layers but the group's first and last, Adam for all else. A parameter is in one optimiser exactly.
    """
    optimisers = {}
    for name, parameters in method.groups().items():
        inner = inner_matrices(method.network, parameters) if training["optimiser"] == "muon" else []
        held = {id(weight) for weight in inner}
        rest = [parameter for parameter in parameters if id(parameter) not in held]
        adam = torch.optim.Adam(rest, lr=training["learning_rate"], betas=method.betas)
        muon = [Muon(inner, training["matrix_learning_rate"])] if inner else []
        for optimiser in (both := [adam, *muon]):
            for group in optimiser.param_groups:
                group["initial_lr"] = group["lr"]  # torch's name for a rate that a schedule scales
        optimisers[name] = both
    return optimisers


def inner_matrices(network: nn.Module, parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The weights of convolutions and linear layers among `parameters`, without the first and the last."""
    own = {id(parameter) for parameter in parameters}
    layers = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear))
    return [layer.weight for layer in layers if id(layer.weight) in own][1:-1]
