"""Validation computes what it scores, on the weights that are kept."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

from interslice.methods import build_method
from interslice.training.average import averaged, update_average
from interslice.training.loop import train
from interslice.training.validation import validate, validation_slabs
from settings import small_settings
from trainings import FACTOR, phantom_data, run_of


@pytest.mark.parametrize(("name", "neighbours"), [("cae", 2), ("cae_residual", 4)])
def test_the_middle_gap_is_scored_and_nothing_else_is_decoded(name, neighbours):
    _, (pair,) = phantom_data()
    settings = small_settings(name)
    torch.manual_seed(0)
    method = build_method(settings)
    method.network.eval()
    (slab,) = validation_slabs(pair, FACTOR, neighbours, {"validation_slabs": 1})
    whole = np.clip(method.interpolate(slab.low, FACTOR), 0, 1)
    middle = (neighbours // 2 - 1) * FACTOR + 1  # the one synthesised slice of that gap at K = 2
    decoded = []
    method.decoder.register_forward_hook(lambda module, args, output: decoded.append(len(output)))
    expected = peak_signal_noise_ratio(slab.reference[middle], whole[middle], data_range=1.0)
    assert validate(method, [slab], FACTOR)["psnr"] == pytest.approx(expected, abs=1e-4)
    assert sum(decoded) == {"cae": 2, "cae_residual": 1}[name]  # the autoencoder rebuilds the kept slice
    assert method.network.training


def test_the_average_reaches_back_over_its_share():
    """Weights that are their own step: the mean age of the average is the share of all steps, whatever their number."""
    network, average = nn.Linear(1, 1), {}
    for step in range(1, 2001):
        with torch.no_grad():
            network.weight.fill_(step)
        update_average(average, network, 0.1, step)
        if step in (500, 2000):
            # Weights (s/t)^(1/share - 1) / share / t of a power function: mean share (1 + share).
            assert float(average["weight"]) / step == pytest.approx(1 / 1.1, rel=0.01)
    with averaged(network, average):
        assert torch.equal(network.weight, average["weight"])
    assert network.weight.item() == 2000
    assert not update_average({}, network, 0.0, 1)


def test_the_average_is_what_is_validated_and_kept(tmp_path):
    volumes, pairs = phantom_data()
    settings = small_settings("cae", steps=40, validate_every=40, average=0.3)
    state = train(run_of(settings), volumes, pairs, resume=tmp_path / "resume.pt")
    method = build_method(settings)
    method.network.load_state_dict(state["weights"])
    slabs = validation_slabs(pairs[0], FACTOR, 2, settings["training"])
    assert validate(method, slabs, FACTOR)["psnr"] == state["history"][-1]["validation_psnr"]
    plain = train(
        run_of(small_settings("cae", steps=40, validate_every=40)),
        volumes,
        pairs,
        resume=tmp_path / "plain.pt",
    )
    assert (
        plain["history"][-1]["loss"] == state["history"][-1]["loss"]
    )  # the average does not touch the training
    assert not torch.equal(plain["weights"]["decoder.0.weight"], state["weights"]["decoder.0.weight"])
