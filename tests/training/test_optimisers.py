"""Muon against its definition in float64 and against torch's own; what it is given and what Adam keeps."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from interslice.methods import build_method
from interslice.training.optimisers import Muon, build_optimisers, orthogonalised
from settings import small_settings

TRAINED = [
    "cae", "cae_multi", "cae_residual", "motion_spline", "vae", "acai", "srcnn3d", "srrecnn3d", "unet", "segsrgan",
    "slomo",
]  # fmt: skip


@pytest.mark.parametrize("shape", [(16, 144), (64, 288), (96, 32), (40, 40)])
def test_an_update_has_singular_values_near_one_and_the_vectors_of_the_gradient(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 1e-3
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    result = orthogonalised(matrix).double()
    rotated = left.T @ result @ right.T
    diagonal = rotated.diagonal()
    clear = values > 0.02 * values.norm()  # the iteration has not brought smaller ones up yet
    assert clear.sum() > 0.8 * len(values)
    assert ((diagonal[clear] > 0.65) & (diagonal[clear] < 1.25)).all()
    assert (rotated - torch.diag(diagonal)).abs().max() < 1e-4


def reference_step(weight, gradient, momentum, rate):
    """Jordan et al. 2024 in float64, the polynomial applied to singular values."""
    momentum = 0.95 * momentum + gradient  # the sum of their code; its scale does not survive what follows
    matrix = (gradient + 0.95 * momentum).reshape(len(weight), -1)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.sqrt((values**2).sum())
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    update = (left * values) @ right * np.sqrt(max(1, matrix.shape[0] / matrix.shape[1]))
    return weight - rate * update.reshape(weight.shape), momentum


@pytest.mark.parametrize("shape", [(12, 8, 3, 3), (24, 2, 1, 1), (6, 4, 3, 3, 3), (10, 7)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_steps_are_those_of_the_definition_in_float64(shape, memory):
    rng = np.random.default_rng(5)
    value = rng.normal(size=shape)
    weight = nn.Parameter(torch.tensor(value, dtype=torch.float32))
    if memory == torch.channels_last and len(shape) == 4:
        weight.data = weight.data.to(memory_format=memory)
    optimiser, momentum = Muon([weight], lr=0.02), np.zeros(shape)
    for _ in range(4):
        gradient = rng.normal(size=shape)
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
        value, momentum = reference_step(value, gradient, momentum, 0.02)
    np.testing.assert_allclose(weight.detach().numpy(), value, atol=2e-5)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon from 2.9 on")
def test_it_is_torchs_muon_but_for_the_precision_of_its_products():
    generator = torch.Generator().manual_seed(1)
    ours = nn.Parameter(torch.randn(24, 60, generator=generator))
    theirs = nn.Parameter(ours.detach().clone())
    optimisers = [Muon([ours], lr=0.05), torch.optim.Muon([theirs], lr=0.05, weight_decay=0.0)]
    start = ours.detach().clone()
    for _ in range(3):
        ours.grad = torch.randn(24, 60, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    moved = (ours - start).flatten() @ (theirs - start).flatten()
    assert moved / ((ours - start).norm() * (theirs - start).norm()) > 0.999


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_is_in_one_optimiser_and_the_ends_of_a_network_are_adams(name):
    settings = small_settings(name, optimiser="muon", matrix_learning_rate=0.02)
    method = build_method(settings)
    for group, optimisers in build_optimisers(method, settings["training"]).items():
        held = [id(p) for optimiser in optimisers for one in optimiser.param_groups for p in one["params"]]
        assert sorted(held) == sorted(id(parameter) for parameter in method.groups()[group])
        adam, muon = optimisers
        assert isinstance(adam, torch.optim.Adam)
        assert adam.param_groups[0]["betas"] == method.betas
        assert adam.param_groups[0]["initial_lr"] == settings["training"]["learning_rate"]
        assert muon.param_groups[0]["initial_lr"] == 0.02
        inside = {id(parameter) for parameter in muon.param_groups[0]["params"]}
        matrices = [p for p in method.groups()[group] if p.ndim > 1]
        assert inside
        assert all(parameter.ndim > 1 for parameter in muon.param_groups[0]["params"])
        assert not inside & {id(matrices[0]), id(matrices[-1])}
        assert {id(p) for p in method.groups()[group] if p.ndim < 2} <= {
            id(p) for p in adam.param_groups[0]["params"]
        }


def test_the_inner_convolutions_of_the_autoencoder_are_muons():
    method = build_method(small_settings("cae", optimiser="muon"))
    _, muon = build_optimisers(method, method.settings["training"])["autoencoder"]
    convolutions = [layer.weight for layer in method.network.modules() if isinstance(layer, nn.Conv2d)]
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(weight) for weight in convolutions[1:-1]]
    assert convolutions[0].shape[1] == convolutions[-1].shape[0] == 1  # the image's side of the network


def test_what_is_not_muons_moves_as_under_adam_alone():
    """The same gradients: biases, first and last layer end where Adam brings them, the others do not."""
    settings = small_settings("cae", optimiser="muon", matrix_learning_rate=0.02)
    both = build_method(settings)
    alone = copy.deepcopy(both)
    mixed = build_optimisers(both, settings["training"])["autoencoder"]
    (adam,) = build_optimisers(alone, settings["training"] | {"optimiser": "adam"})["autoencoder"]
    inner = {id(parameter) for parameter in mixed[1].param_groups[0]["params"]}
    for _ in range(3):
        for one, other in zip(both.network.parameters(), alone.network.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimiser in (*mixed, adam):
            optimiser.step()
    for one, other in zip(both.network.parameters(), alone.network.parameters(), strict=True):
        assert torch.equal(one, other) == (id(one) not in inner)
