"""A network that is the scan: from a place to the intensity there, fitted to its voxels and read between its slices.

Q. Wu et al., "IREM: high-resolution magnetic resonance image reconstruction via implicit neural representation", MICCAI 2021,
fit such a network to several scans of one head; here there is only one. Places are seen as in T. Mueller, A. Evans, C. Schied,
A. Keller, "Instant neural graphics primitives with a multiresolution hash encoding", ACM Transactions on Graphics 2022 (arXiv
2201.05989), without the hashing: a scan is small enough for its grids.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interslice.methods.base import Method
from interslice.methods.parts.networks import minimise

PLACES_AT_ONCE = 65_536  # bounds the memory of reading a slice


class GridNetwork(nn.Module):
    """Places (n, 3: slice, row, column, in voxels of the scan) to intensities (n,).

    At each of `levels` a grid holds `features` numbers per node, read by trilinear interpolation; nodes are a voxel apart at
    the first, twice as far at each next. `layers` linear layers of `width` channels with ReLU make an intensity of them.
    """

    def __init__(self, shape: Sequence[int], levels: int, features: int, layers: int, width: int) -> None:
        super().__init__()
        self.register_buffer("last", torch.tensor([max(1, size - 1) for size in shape], dtype=torch.float32))
        self.grids = nn.ParameterList()
        for level in range(levels):
            nodes = [(size - 2) // 2**level + 2 for size in shape]
            self.grids.append(torch.empty(1, features, *nodes).uniform_(-1e-4, 1e-4))
        stack: list[nn.Module] = []
        for before, after in itertools.pairwise([levels * features, *[width] * layers]):
            stack += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*stack, nn.Linear(width, 1))

    def forward(self, places: Tensor) -> Tensor:
        within = (2 * places / self.get_buffer("last") - 1).flip(1).view(1, 1, 1, -1, 3)
        read = [
            nn.functional.grid_sample(grid, within, align_corners=True)[0, :, 0, 0] for grid in self.grids
        ]
        result: Tensor = self.layers(torch.cat(read).T)[:, 0]
        return result


class Implicit(Method):
    """Settings: `network`, `training`, `seed`. Input slices come back as they were."""

    def _interpolate_at(self, volume: np.ndarray, positions: np.ndarray) -> np.ndarray:
        network, result = self.fitted(volume), np.empty((len(positions), *volume.shape[1:]), np.float32)
        device = next(network.parameters()).device
        rows, columns = (torch.arange(size, device=device) for size in volume.shape[1:])
        plane = torch.cartesian_prod(rows, columns).float()
        for index, place in enumerate(positions):
            if place == int(place):
                result[index] = volume[int(place)]
                continue
            with torch.no_grad():
                parts = [
                    network(torch.cat([torch.full_like(part[:, :1], float(place)), part], dim=1))
                    for part in plane.split(PLACES_AT_ONCE)
                ]
            result[index] = torch.cat(parts).view(volume.shape[1:]).cpu().numpy()
        return result

    def fitted(self, volume: np.ndarray) -> GridNetwork:
        """Minimise the mean squared error at random voxels, as many updates as configured."""
        training: Mapping[str, Any] = self.settings["training"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings["seed"])
            network = GridNetwork(volume.shape, **self.settings["network"]).to(device)
        rng = np.random.default_rng(self.settings["seed"])

        def loss() -> Tensor:
            places = rng.integers(volume.shape, size=(training["batch"], 3))
            wanted = torch.from_numpy(volume[tuple(places.T)]).to(device)
            found = network(torch.from_numpy(places.astype(np.float32)).to(device))
            return nn.functional.mse_loss(found, wanted)

        minimise(network, training, loss)
        return network


CLASSES = {"implicit": Implicit}
