"""The supervised peers: published sizes, what they may see, training and resuming."""

import numpy as np
import pytest
import torch

from interslice.config import load_method_settings
from interslice.errors import InputError
from interslice.methods import METHODS, SUPERVISED, build_method, supervised
from interslice.methods.networks import parameter_count
from interslice.supervised_sampling import draw_pairs
from interslice.training import Pair, Run, train
from phantoms import ellipsoids, shells
from settings import ROOT, small_settings

PUBLISHED = {"srrecnn3d_10": 888_769, "srrecnn3d_20": 1_995_329}  # METHODS section 6
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


def test_srcnn3d_is_nine_one_five():
    layers = build_method(load_method_settings("srcnn3d", ROOT)).network.layers
    shapes = [tuple(layer.weight.shape) for layer in layers if hasattr(layer, "weight")]
    assert shapes == [(64, 1, 9, 9, 9), (32, 64, 1, 1, 1), (1, 32, 5, 5, 5)]
    assert parameter_count(layers) == 64 * 729 + 64 + 32 * 64 + 32 + 32 * 125 + 1


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


@pytest.mark.parametrize("name", SUPERVISED)
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


def test_a_stopped_training_ends_like_an_unbroken_one(pairs, tmp_path):
    whole = fit("srrecnn3d", pairs, tmp_path / "whole", steps=12, checkpoint_every=100)
    settings = small_settings("srrecnn3d", steps=12, checkpoint_every=5)
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
