"""The supervised peers: published sizes, what they may see, training and resuming."""

import numpy as np
import pytest
import torch

from interslice.common.errors import InputError
from interslice.config import load_method_settings
from interslice.methods import build_method
from interslice.methods.parts import supervised
from interslice.methods.registry import METHODS, SUPERVISED
from interslice.training.loop import Run, take_step, train
from interslice.training.optimisers import build_optimisers
from interslice.training.validation import Pair
from interslice.training.volume_patches import draw_pairs
from phantoms import ellipsoids, shells
from settings import ROOT, parameter_count, small_settings

# Parameters, counted by hand from the layers of Pham et al. 2019.
PUBLISHED = {"srrecnn3d_10": 888_769, "srrecnn3d_20": 1_995_329}
FACTOR = 2


@pytest.fixture(scope="module")
def pairs():
    references = [ellipsoids((25, 36, 40), seed) for seed in range(2)]
    return [Pair(reference[::FACTOR], reference) for reference in references]


def fit(name, pairs, folder, **changes):
    settings = small_settings(name, **changes)
    volumes = ([pair.low[np.newaxis] for pair in pairs], [pair.reference[np.newaxis] for pair in pairs])
    run = Run("test", settings, 1, FACTOR, "", ["a", "b"])
    return train(run, volumes[0], pairs[:1], resume=folder / "resume.pt", references=volumes[1])


def test_the_registry_marks_exactly_the_supervised_classes():
    assert {name for name in METHODS if type(build_method(small_settings(name))).supervised} == set(
        SUPERVISED
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_published_size(name):
    assert parameter_count(build_method(load_method_settings(name, ROOT)).network) == PUBLISHED[name]


def test_segsrgan_has_its_published_sizes():
    network = build_method(load_method_settings("segsrgan_paper", ROOT)).network
    assert parameter_count(network["generator"]) == 1_483_664
    assert parameter_count(network["critic"]) == 11_150_304
    side = torch.zeros(1, 2, 64, 64, 64, device="meta")
    assert network["critic"].to("meta")(side).shape == (
        1,
        1,
        1,
        1,
        1,
    )  # one number per patch of the paper's size


@pytest.mark.parametrize(
    "file", sorted((ROOT / "config" / "methods").glob("segsrgan*.yaml")), ids=lambda f: f.stem
)
def test_the_label_says_what_the_segmentation_learns(file):
    settings = load_method_settings(file.stem, ROOT)
    says = {"otsu": "Otsu classes", "none": "no segmentation"}[settings["network"]["segmentation"]]
    assert settings["label"].endswith(says)


def segsrgan(**network):
    settings = small_settings("segsrgan")
    torch.manual_seed(0)
    method = build_method(settings | {"network": settings["network"] | network})
    torch.nn.init.normal_(method.generator.layers[-1].weight, std=0.1)
    return method


def test_classes_lie_on_the_targets_whatever_the_augmentation():
    """Labels that are a function of the volume stay that function of the target."""
    references = [ellipsoids((25, 24, 24), seed)[np.newaxis] for seed in range(2)]
    lows = [reference[:, ::2] for reference in references]
    training = {"batch": 8, "crop": 16, "depth": 8, "contrast": False}
    labels = [reference > 0.4 for reference in references]
    inputs, targets = draw_pairs(lows, references, training, 3, 7, 2, labels)
    plain = draw_pairs(lows, references, training, 3, 7, 2)
    np.testing.assert_array_equal(inputs, plain[0])
    np.testing.assert_array_equal(targets[:, 0], plain[1])
    np.testing.assert_array_equal(targets[:, 1], targets[:, 0] > 0.4)
    assert 0 < targets[:, 1].mean() < 1


def test_grey_matter_is_the_middle_class_within_the_foreground():
    method, volume = segsrgan(), ellipsoids((9, 40, 36))
    volume[:, 12:24, 12:24] = 0.95
    (grey,) = method.labels([volume[np.newaxis]])
    assert grey.shape == (1, *volume.shape)
    assert not grey[0, 4, 18, 18]
    assert not grey[0, 4, 0, 0]
    assert grey[0, 4, 9, 18]
    assert segsrgan(segmentation="none").labels([volume[np.newaxis]]) is None
    with pytest.raises(
        InputError, match="network.segmentation: found a training volume with fewer than 3 values"
    ):
        method.labels([(volume > 0.3).astype(np.float32)[np.newaxis]])


@pytest.mark.parametrize("segmentation", ["otsu", "none"])
def test_the_losses_of_segsrgan_are_those_of_the_papers_written_out(segmentation):
    """Charbonnier of both channels; Wasserstein distance; the penalty's gradient by finite differences."""
    method = segsrgan(segmentation=segmentation)
    method.settings["adversarial"] |= {"weight": 0.3, "penalty": 7.0, "critic_steps": 1}
    windows, target = torch.rand(2, 2, 8, 16, 16)
    label = (target > 0.5).float()
    real = torch.stack([target, label], dim=1) if segmentation == "otsu" else target[:, None]
    torch.manual_seed(5)
    losses, terms = method.losses(windows, real if segmentation == "otsu" else target)
    torch.manual_seed(5)
    share = torch.rand(2, 1, 1, 1, 1)
    with torch.no_grad():
        raw = method.generator.layers(windows[:, None])
        fake = torch.stack([windows - raw[:, 0], *(1 / (1 + torch.exp(-raw[:, 1:]))).unbind(1)], dim=1)
        charbonnier = (((fake - real) ** 2 + 1e-6).sqrt()).mean()
        value = lambda patches: method.critic(patches).mean()  # noqa: E731
        distance = value(fake) - value(real)
        mixed, critic = (fake + share * (real - fake)).double(), method.critic.double()
        slopes = []
        for one in mixed:
            gradient = torch.func.grad(lambda patch: critic(patch[None]).mean())(one)
            way = 1e-4 * gradient / gradient.norm()
            # Along the steepest way the slope is the gradient's length.
            slopes.append((critic((one + way)[None]) - critic((one - way)[None])).mean().item() / 2e-4)
        penalty = 7.0 * np.mean([(slope - 1) ** 2 for slope in slopes])
    assert terms["charbonnier"].item() == pytest.approx(charbonnier.item(), rel=1e-4)
    assert losses["generator"].item() == pytest.approx(
        (charbonnier - 0.3 * value(fake.double())).item(), rel=1e-3
    )
    assert terms["critic"].item() == pytest.approx(distance.item(), rel=1e-2, abs=1e-5)
    assert losses["critic"].item() == pytest.approx(distance.item() + penalty, rel=1e-2)


def test_training_segsrgan_corrects_what_slices_lack_in_brightness(tmp_path):
    """A GAN this small learns no texture in seconds; that the losses pull the right way is seen from an offset."""
    references = ellipsoids((25, 36, 40)) * 0.8 + 0.2
    pair = Pair(references[::FACTOR] - 0.15, references)
    state = fit("segsrgan", [pair], tmp_path, steps=60, contrast=False)
    method = build_method(small_settings("segsrgan"))
    errors = []
    for weights in (method.network.state_dict(), state["weights"]):
        method.network.load_state_dict(weights)
        method.network.eval()
        errors.append(np.mean((method.interpolate(pair.low, FACTOR) - pair.reference) ** 2))
    assert errors[1] < 0.5 * errors[0]


def test_the_critic_steps_more_often_than_the_generator():
    settings = small_settings("segsrgan")
    settings["adversarial"] |= {"critic_steps": 3}
    method = build_method(settings)
    optimisers = build_optimisers(method, settings["training"])
    batch = torch.rand(2, 12, 16, 16).numpy(), torch.rand(2, 2, 12, 16, 16).numpy()
    moved = {"generator": [], "critic": []}
    for step in range(6):
        before = {name: [w.detach().clone() for w in group] for name, group in method.groups().items()}
        take_step(method, optimisers, batch, settings["training"], step)
        for name, group in method.groups().items():
            moved[name].append(any(not torch.equal(*pair) for pair in zip(before[name], group, strict=True)))
    assert moved == {"generator": [False, False, True] * 2, "critic": [True] * 6}


def test_segsrgan_restores_in_patches_without_seams():
    """Untrained it returns the spline; a network that shifts by a constant does so everywhere, whatever the overlap."""
    method, low = build_method(small_settings("segsrgan")), ellipsoids((11, 41, 30))
    method.network.eval()
    spline = build_method(small_settings("bspline")).interpolate(low, 2)
    np.testing.assert_allclose(method.interpolate(low, 2), spline, atol=1e-6)
    method.generator.forward = lambda volumes: volumes[:, None] + 0.25
    np.testing.assert_allclose(method.interpolate(low, 2), spline + 0.25, atol=1e-6)


def test_patches_that_segsrgan_cannot_take_are_refused():
    for changes, message in (
        ({"depth": 10}, "training.depth: found 10"),
        ({"crop": 4}, "training.crop: found 4"),
    ):
        with pytest.raises(InputError, match=f"{message}, allowed are multiples of 4 from 8"):
            build_method(small_settings("segsrgan", **changes))


def test_srcnn3d_is_nine_one_five():
    layers = build_method(load_method_settings("srcnn3d", ROOT)).network.layers
    shapes = [tuple(layer.weight.shape) for layer in layers if hasattr(layer, "weight")]
    assert shapes == [(64, 1, 9, 9, 9), (32, 64, 1, 1, 1), (1, 32, 5, 5, 5)]
    assert parameter_count(layers) == 64 * 729 + 64 + 32 * 64 + 32 + 32 * 125 + 1


def test_untrained_srcnn3d_is_the_spline_in_volumes_and_in_patches():
    method, low = build_method(small_settings("srcnn3d")), ellipsoids((5, 17, 18))
    method.network.eval()
    expected = build_method({"method": "bspline"}).interpolate(low, FACTOR)
    np.testing.assert_allclose(method.interpolate(low, FACTOR), expected, atol=1e-6)
    patch = torch.rand(1, 13, 16, 16)
    assert torch.equal(method.restore_patch(patch), patch[:, 6:-6, 6:-6, 6:-6])
    torch.nn.init.normal_(method.plain.layers[-1].weight, std=0.01)  # then both see the same network
    whole = method.network(torch.nn.functional.pad(patch, (0, 0, 0, 0, 3, 3)))[:, 9:-9, 6:-6, 6:-6]
    torch.testing.assert_close(method.restore_patch(patch), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("factor", [2, 3])
def test_inputs_are_the_spline_of_the_whole_volume_and_targets_lie_where_they_do(factor):
    """Found again in the volume: without augmentation's turns by trying all of them."""
    references = [ellipsoids((25, 24, 24), seed)[np.newaxis] for seed in range(2)]
    lows = [reference[:, ::factor] for reference in references]
    training = {"batch": 6, "crop": 24, "depth": 5, "contrast": False}
    inputs, targets = draw_pairs(lows, references, training, seed=3, step=7, factor=factor)
    whole = [build_method(small_settings("bspline")).interpolate(low[0], factor) for low in lows]
    for fine, sharp in zip(inputs, targets, strict=True):
        places = [
            (owner, first, turns, way)
            for owner in range(2)
            for first in range(25 - 4)
            for turns in range(4)
            for way in (1, -1)
            if np.array_equal(np.rot90(references[owner][0, first : first + 5], turns, (1, 2))[::way], sharp)
        ]
        assert len(places) == 1
        owner, first, turns, way = places[0]
        expected = np.rot90(whole[owner][first : first + 5], turns, (1, 2))[::way]
        np.testing.assert_allclose(fine, expected, atol=2e-3)
    again = draw_pairs(lows, references, training, seed=3, step=7, factor=factor)
    np.testing.assert_array_equal(inputs, again[0])


@pytest.mark.parametrize("name", [name for name in SUPERVISED if name != "segsrgan"])
def test_slabs_give_what_the_whole_volume_gives(name, monkeypatch):
    torch.manual_seed(0)
    method = build_method(small_settings(name))
    for parameter in method.network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    method.network.eval()
    low = ellipsoids((9, 17, 18))
    whole = method.interpolate(low, 3)
    monkeypatch.setattr(supervised, "SLICES_AT_ONCE", 4)
    np.testing.assert_allclose(method.interpolate(low, 3), whole, atol=1e-5)


@pytest.mark.parametrize(("name", "rate"), [("srrecnn3d", 0.003), ("unet", 0.01)])
def test_training_beats_the_spline_that_it_corrects(name, rate, tmp_path):
    pairs = [Pair(shells(29)[::FACTOR], shells(29))]
    state = fit(name, pairs, tmp_path, steps=120, learning_rate=rate, contrast=False)
    method = build_method(small_settings(name))
    errors = []
    for weights in (method.network.state_dict(), state["weights"]):  # untrained, both return the spline
        method.network.load_state_dict(weights)
        method.network.eval()
        errors.append(np.mean((method.interpolate(pairs[0].low, FACTOR) - pairs[0].reference) ** 2))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("name", ["srrecnn3d", "segsrgan"])
def test_a_stopped_training_ends_like_an_unbroken_one(name, pairs, tmp_path):
    whole = fit(name, pairs, tmp_path / "whole", steps=12, checkpoint_every=100)
    settings = small_settings(name, steps=12, checkpoint_every=5)
    run = Run("test", settings | {"training": whole["settings"]["training"]}, 1, FACTOR, "", ["a", "b"])
    volumes = [pair.low[np.newaxis] for pair in pairs], [pair.reference[np.newaxis] for pair in pairs]

    class Stopped(Exception):
        pass

    def stop(state):
        if state.step == 8:
            raise Stopped
        return False

    (tmp_path / "cut").mkdir()
    run.settings["training"]["checkpoint_every"] = 5
    keywords = {"resume": tmp_path / "cut" / "resume.pt", "references": volumes[1]}
    with pytest.raises(Stopped):
        train(run, volumes[0], pairs[:1], stop=stop, **keywords)
    assert keywords["resume"].exists()
    resumed = train(run, volumes[0], pairs[:1], **keywords)
    assert resumed["best_step"] == whole["best_step"]
    assert all(torch.equal(resumed["weights"][key], whole["weights"][key]) for key in whole["weights"])


def test_bad_training_input_is_refused(pairs, tmp_path):
    with pytest.raises(InputError, match="training.depth: found 40, the smallest .* has 25"):
        fit("unet", pairs, tmp_path, depth=40)
    with pytest.raises(InputError, match="training.crop: found 64, the smallest .* has 36"):
        fit("unet", pairs, tmp_path, crop=64)
    run = Run("test", small_settings("unet"), 1, FACTOR, "", ["a"])
    with pytest.raises(InputError, match="found 0 high-resolution volumes for 1 low-resolution ones"):
        train(run, [pairs[0].low[np.newaxis]], pairs[:1], resume=tmp_path / "resume.pt")
