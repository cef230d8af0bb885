"""The plain step that ours is timed against does the same work."""

import numpy as np
import pytest
import reference_step
import torch
from reference_step import compare, our_step, plain_autoencoder, plain_step
from torch import nn

from interslice.common.errors import InputError
from settings import parameter_count


class Distance(nn.Module):
    """In place of LPIPS, whose weights are no part of the repository."""

    def forward(self, first, second):
        return ((first - second) ** 2).mean(dim=(1, 2, 3))


def test_the_plain_network_has_the_published_number_of_parameters():
    assert parameter_count(plain_autoencoder()) == 443_777


def test_both_steps_take_the_same_way():
    """On one batch: the fall of the loss says that gradients and updates agree, not the first loss alone.

    Batch normalisation with fixed statistics: ours takes them over the images of a triplet together, the plain one apart.
    """
    torch.manual_seed(0)
    network = plain_autoencoder().eval()
    ours = our_step(network, 0.05, Distance(), "float32")
    plain = plain_step(network, 0.05, Distance())
    batch = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    losses = np.array([(plain(batch), ours(batch)) for _ in range(4)])
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-4)
    falls = losses[0] - losses[-1]
    assert falls[0] > 0
    assert falls[1] == pytest.approx(falls[0], rel=0.05)


def test_a_comparison_has_seconds_and_refuses_unequal_work(monkeypatch):
    cpu = torch.device("cpu")
    row = compare("oasis", 1, cpu, Distance(), shrink=4)
    assert (row["batch"], row["side"]) == (4, 16)
    assert row["times_as_fast"]["float32"] == row["seconds"]["plain"] / row["seconds"]["float32"]
    monkeypatch.setattr(
        reference_step, "plain_step", lambda network, weight, net: plain_step(network, 0, net)
    )
    with pytest.raises(InputError, match="cardiac: found a first loss of"):
        compare("cardiac", 1, cpu, Distance(), shrink=8)
