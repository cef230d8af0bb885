"""VAE and ACAI: their losses written out, who learns from what, and that they share the autoencoder's body and budget."""

import numpy as np
import pytest
import torch

from interslice.common.errors import InputError
from interslice.config import load_method_settings
from interslice.methods import build_method
from interslice.methods.vae import divergence
from interslice.training.loop import take_step
from interslice.training.optimisers import build_optimisers
from phantoms import ellipsoids
from settings import ROOT, parameter_count, small_settings

HALF = torch.full((1, 1, 1, 1), 0.5)
NO_SYNTHESIS = {"lpips": 0.0, "mse": 0.0, "l1": 0.0, "backbone": "alex"}


@pytest.mark.parametrize("dataset", [None, "t1", "mnist", "mnist_idx", "lines"])
@pytest.mark.parametrize("name", ["vae", "acai"])
def test_the_same_body_and_budget_with_and_without_the_synthesis_term(name, dataset):
    for variant, base in ((name, "cae_mse"), (f"{name}_synthesis", "cae")):
        found, expected = (load_method_settings(one, ROOT, dataset) for one in (variant, base))
        assert found["training"] == expected["training"]
        assert found["synthesis"] == expected["synthesis"]
        if (name, dataset) == ("vae", "lines"):
            expected["output"] = "sigmoid"  # cross-entropy needs probabilities
        assert [found["network"], found["output"]] == [expected["network"], expected["output"]]


@pytest.mark.parametrize(
    ("name", "dataset", "batch"),
    [
        ("cae_paper", "acdc", 12),
        ("cae", "mnist", 32),
        ("acai", "mnist_idx", 32),
        ("vae", "lines", 16),
    ],
)
def test_what_is_not_of_the_quick_recipe_keeps_its_own(name, dataset, batch):
    """The released settings, digits and lines; lines never had normalisation, drawn images no contrast."""
    quick, found = (load_method_settings(one, ROOT, dataset) for one in ("cae", name))
    drawn = dataset in ("mnist", "mnist_idx", "lines")
    assert found["network"]["normalisation"] == ("none" if dataset == "lines" else "batch")
    assert found["training"]["optimiser"] == "adam"
    assert (found["training"]["contrast"], found["training"]["batch"]) == (0.0 if drawn else 1.0, batch)
    assert found["synthesis"]["lpips"] == (0.0 if name in ("acai", "vae") else 0.05)
    if not drawn:
        assert (quick["network"]["normalisation"], quick["training"]["optimiser"]) == ("none", "muon")


def test_the_parameter_counts_of_the_lines_task_are_the_published_ones():
    network = build_method(load_method_settings("acai", ROOT, "lines")).network
    assert parameter_count(network["encoder"]) == parameter_count(network["critic"]) == 627_472
    assert parameter_count(network["decoder"]) == 313_985


def weights_of(method):
    return {name: [w.detach().clone() for w in group] for name, group in method.groups().items()}


@pytest.mark.parametrize(("stepped", "other"), [("autoencoder", "critic"), ("critic", "autoencoder")])
def test_a_step_of_one_group_leaves_the_other_unchanged(stepped, other):
    torch.manual_seed(0)
    settings = small_settings("acai")
    method = build_method(settings)
    whole = method.losses
    method.losses = lambda *batch: ({stepped: whole(*batch)[0][stepped]}, {})
    optimisers = {stepped: build_optimisers(method, settings["training"])[stepped]}
    before = weights_of(method)
    batch = torch.rand(4, 3, 16, 16).numpy(), np.full((4, 1, 1, 1), 0.5, np.float32)
    take_step(method, optimisers, batch, settings["training"], 10)
    after = weights_of(method)
    assert all(torch.equal(old, new) for old, new in zip(before[other], after[other], strict=True))
    moved = [
        not torch.equal(old, new)
        for old, new in zip(before[stepped], after[stepped], strict=True)
        if old.ndim > 1
    ]
    assert all(moved)


def test_reconstruction_and_mix_are_detached_in_the_critics_loss():
    """No gradient of the critic's loss reaches the autoencoder; the autoencoder's own does, through the critic."""
    torch.manual_seed(0)
    method = build_method(small_settings("acai") | {"synthesis": NO_SYNTHESIS})
    losses, terms = method.losses(torch.rand(3, 3, 16, 16), HALF)
    groups = method.groups()
    grad = torch.autograd.grad
    found = grad(losses["critic"], groups["autoencoder"], allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in found)
    assert all(g is not None for g in grad(losses["critic"], groups["critic"], retain_graph=True))
    through = grad(terms["adversarial"], groups["autoencoder"], retain_graph=True)
    assert max(gradient.abs().max() for gradient in through) > 0
    every = [*groups["autoencoder"], *groups["critic"]]
    assert {id(w) for w in every} == {id(w) for w in method.network.parameters()}
    assert len(every) == len({id(w) for w in every})


def test_the_losses_of_acai_are_those_of_the_paper_written_out():
    settings = small_settings("acai") | {"synthesis": NO_SYNTHESIS}
    settings["adversarial"] = {"weight": 0.3, "gamma": 0.2}
    torch.manual_seed(1)
    method = build_method(settings)
    method.network.eval()  # batch statistics would differ between one decoder pass and two
    triplets = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        torch.manual_seed(5)
        losses, _ = method.losses(triplets, HALF)
        torch.manual_seed(5)
        share, order = torch.rand(6) / 2, torch.randperm(6)
        images = torch.cat([triplets[:, :1], triplets[:, 2:]])
        z = method.encoder(images)
        a = share.view(-1, 1, 1, 1)
        rebuilt, mix = method.decoder(z), method.decoder(a * z + (1 - a) * z[order])
        guess = lambda pictures: method.critic(pictures).flatten(1).mean(1)  # noqa: E731
        autoencoder = ((rebuilt - images) ** 2).mean() + 0.3 * (guess(mix) ** 2).mean()
        critic = ((guess(mix) - share) ** 2).mean() + (guess(rebuilt + 0.2 * (images - rebuilt)) ** 2).mean()
    assert 0 <= share.min() < share.max() <= 0.5
    assert losses["autoencoder"].item() == pytest.approx(autoencoder.item(), rel=1e-5)
    assert losses["critic"].item() == pytest.approx(critic.item(), rel=1e-4)


@pytest.mark.parametrize("vector", [None, 6])
def test_the_loss_of_the_vae_is_the_bound_per_pixel(vector):
    settings = small_settings("vae") | {"synthesis": NO_SYNTHESIS, "beta": 0.7, "vector": vector}
    torch.manual_seed(1)
    method = build_method(settings)
    method.network.eval()
    triplets = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.manual_seed(5)
        losses, _ = method.losses(triplets, HALF)
        torch.manual_seed(5)
        images = torch.cat([triplets[:, :1], triplets[:, 2:]])
        mean, log_variance = method.encoder(images).chunk(2, dim=1)
        spread = (log_variance / 2).exp()
        posterior = torch.distributions.Normal(mean, spread)
        decoded = method.decoder(mean + torch.randn_like(mean) * spread)
        kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
        entropy = -(images * decoded.log() + (1 - images) * (1 - decoded).log()).sum()
    per_image = (entropy + 0.7 * kl) / 4  # what the released code minimises
    assert losses["autoencoder"].item() == pytest.approx(per_image.item() / 16**2, rel=1e-5)
    assert divergence(torch.zeros(3), torch.zeros(3)) == 0
    assert divergence(torch.tensor([2.0]), torch.zeros(1)).item() == pytest.approx(2)


def test_the_vae_interpolates_means():
    torch.manual_seed(0)
    method = build_method(small_settings("vae"))
    method.network.eval()
    low = ellipsoids((3, 16, 20))
    with torch.no_grad():
        means = method.encoder(torch.from_numpy(low[:, np.newaxis]))[
            :, : method.settings["network"]["latent"]
        ]
        expected = method.decoder(0.75 * means[:1] + 0.25 * means[1:2])[0, 0].numpy()
    np.testing.assert_allclose(method.interpolate(low, 4)[1], expected, atol=1e-5)


def test_a_latent_vector_is_interpolated_like_a_map_and_takes_images_of_its_size():
    torch.manual_seed(0)
    method = build_method(small_settings("vae") | {"vector": 6})
    method.network.eval()
    low = ellipsoids((3, 16, 16))
    with torch.no_grad():
        latents = method.encoder(torch.from_numpy(low[:, np.newaxis]))
        assert latents.shape == (3, 2 * 6, 1, 1)
        expected = method.decoder(0.75 * latents[:1, :6] + 0.25 * latents[1:2, :6])[0, 0].numpy()
    np.testing.assert_allclose(method.interpolate(low, 4)[1], expected, atol=1e-5)
    with pytest.raises(
        InputError, match=r"found slices of 16 x 20 pixels, with the key vector allowed are .* 16 x 16"
    ):
        method.interpolate(ellipsoids((3, 16, 20)), 4)


@pytest.mark.parametrize("name", ["vae", "acai"])
def test_the_synthesis_term_alone_looks_at_the_middle_slice(name):
    triplets = torch.rand(2, 3, 16, 16)
    changed = triplets.clone()
    changed[:, 1] = 0
    for synthesis, same in ((NO_SYNTHESIS, True), ({**NO_SYNTHESIS, "mse": 1.0}, False)):
        method = build_method(small_settings(name) | {"synthesis": synthesis})
        found = []
        for batch in (triplets, changed):
            torch.manual_seed(0)
            found.append(method.losses(batch, HALF)[0]["autoencoder"].item())
        assert (found[0] == found[1]) is same


def test_a_vae_without_probabilities_is_refused():
    settings = small_settings("vae") | {"output": "linear"}
    with pytest.raises(InputError, match=r"method vae: key output: found linear, allowed is sigmoid"):
        build_method(settings)
