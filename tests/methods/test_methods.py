import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import CubicSpline

from interslice.common.errors import InputError
from interslice.config import load_method_settings
from interslice.data.volumes import output_positions, output_size
from interslice.methods import build_method, load_method
from interslice.methods.conventional import Lanczos, Linear
from interslice.methods.registry import METHODS, SUPERVISED, interpolation_settings
from interslice.training.loop import Run, train
from interslice.training.validation import Pair
from phantoms import ellipsoids, ramp
from settings import ROOT, parameter_count, small_settings

COMPUTED = [name for name in METHODS if name != "precomputed"]  # that one reads a study's results
CONVENTIONAL = ["nearest", "linear", "bspline", "lanczos"]


@functools.cache
def trained_on_ramps(name):
    """A small network that has seen ramps of many slopes, which is all that the ramp test asks of a trained method."""
    ranges = np.random.default_rng(0).uniform(0.02, 0.98, (60, 2))
    volumes = [ramp(7, 16, 16, low, high)[np.newaxis] for low, high in ranges]
    references = [ramp(13, 16, 16, low, high)[np.newaxis] for low, high in ranges]
    settings = small_settings(
        name, steps=400 if name == "vae" else 160, batch=8, validate_every=40, contrast=False
    )
    settings["training"]["matrix_learning_rate"] = 0.02  # so few steps need long ones
    # These give a cubic curve from the start, which training must not lose.
    if name in (*SUPERVISED, "motion_spline", "cae_residual", "slomo"):
        settings["training"] |= {"steps": 20, "validate_every": 10}
    if name == "segsrgan":  # its critic pulls it away at first
        settings["training"] |= {"learning_rate": 0.0001}
    if name not in (*SUPERVISED, "motion_spline", "slomo"):
        settings["network"] |= {"normalisation": "none"}
        settings["synthesis"] |= {"mse": 1.0}
    if name == "vae":
        settings["beta"] = (
            1e-3  # flat images are not worth their divergence at 1: the latent would be left unused
        )
    pair = Pair(ramp(5, 16, 16), ramp(9, 16, 16))
    with tempfile.TemporaryDirectory() as folder:
        state = train(
            Run("ramps", settings, 1, 2, "", ["ramps"]),
            volumes,
            [pair],
            resume=Path(folder) / "resume.pt",
            references=references if name in SUPERVISED else None,
        )
    trained = build_method(interpolation_settings(settings))  # all that a study gives to interpolation
    trained.network.load_state_dict(state["weights"])
    trained.network.eval()
    return trained


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("name", COMPUTED)
def test_every_method_returns_a_ramp_on_the_aligned_grid(name, factor):
    """The aligned grid: away from the ends a ramp comes back as the ramp, and input slices where they were.

    The shift of the released baselines, (K - 1) / 2K of a step, is 0.25 at K = 2: it misses every tolerance here. A
    learned method returns a ramp as well as it was trained, so its error may vary, but its mean must not be off.
    """
    learned = small_settings(name)["role"] == "trained"
    slices, border = (7, 1) if learned else (25, 9)  # B-spline and Lanczos need neighbours on both sides
    low, expected = ramp(slices, 16, 16), ramp(output_size(slices, factor), 16, 16)
    step = float(low[1, 0, 0] - low[0, 0, 0])
    method = trained_on_ramps(name) if learned else build_method(small_settings(name))
    if method.needs_reference:
        method.reference = expected
    result = method.interpolate(low, factor)
    assert result.dtype == np.float32
    error = (result - expected)[border * factor : -border * factor, 4:-4, 4:-4]
    if learned:
        assert np.abs(error).max() < 0.5 * step
        assert abs(error.mean()) < 0.1 * step
    else:
        # Self-SR has no pretraining but trains on the ramp's own, constant slices: what it adds there is rounding noise.
        tolerances = {"oracle": 0, "nearest": step / 2 + 1e-6, "lanczos": 0.02 * step, "self_sr": 0.1 * step}
        tolerances["implicit"] = 0.3 * step  # fitted to the ramp's voxels, not exactly
        assert np.abs(error).max() <= tolerances.get(name, 1e-5)
        np.testing.assert_array_equal(result[::factor], low)


HALF = torch.full((1, 1, 1, 1), 0.5)


def test_a_shifted_grid_misses_the_tolerances_of_the_ramp_test():
    """The test of the test: a field-of-view grid, position (k + 1/2) / K - 1/2, fails for every kind of method."""
    low, expected = ramp(25), ramp(output_size(25, 2))
    step = float(low[1, 0, 0] - low[0, 0, 0])
    shifted = np.einsum("os,src->orc", Linear({}).weights(25, (np.arange(49) + 0.5) / 2 - 0.5), low)
    error = (shifted - expected)[18:-18]
    assert np.abs(error).min() > 0.2 * step
    assert abs(error.mean()) > 0.2 * step


def test_linear_and_bspline_are_exact_on_a_ramp_up_to_their_ends():
    assert np.abs(build_method(small_settings("linear")).interpolate(ramp(6), 4) - ramp(21)).max() < 1e-6


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bspline_is_scipys_interpolating_spline(factor):
    """Far from the ends, where boundary conditions are forgotten, every cubic interpolating spline is the same curve."""
    low = ellipsoids((24, 10, 12))
    result = build_method(small_settings("bspline")).interpolate(low, factor)
    expected = CubicSpline(np.arange(24), low.astype(np.float64), axis=0)(output_positions(24, factor))
    inside = slice(9 * factor, -9 * factor)
    np.testing.assert_allclose(result[inside], expected[inside], atol=2e-5)
    mirrored = ndimage.map_coordinates(
        low[:, 4, 5].astype(float), [output_positions(24, factor)], order=3, mode="mirror"
    )
    np.testing.assert_allclose(result[:, 4, 5], mirrored, atol=1e-6)


def test_lanczos_weights_are_the_normalised_windowed_sinc():
    positions = np.array([7.25])
    weights = Lanczos({"lobes": 3}).weights(16, positions)[0]
    offsets = 7.25 - np.arange(16)
    inside = np.abs(offsets) < 3
    expected = np.where(inside, np.sinc(offsets) * np.sinc(offsets / 3), 0)
    np.testing.assert_allclose(weights, expected / expected.sum())
    assert (weights != 0).sum() == 6
    np.testing.assert_allclose(Lanczos({"lobes": 4}).weights(16, output_positions(16, 4)).sum(axis=1), 1)


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_conventional_methods_commute_with_affine_intensities(name):
    low = ellipsoids((9, 12, 11))
    method = build_method(small_settings(name))
    np.testing.assert_allclose(
        method.interpolate(0.5 * low + 0.2, 3), 0.5 * method.interpolate(low, 3) + 0.2, atol=1e-6
    )
    if name != "nearest":  # half-way it takes the slice above, which mirrors to the slice below
        np.testing.assert_allclose(
            method.interpolate(low[::-1], 3)[::-1], method.interpolate(low, 3), atol=1e-6
        )


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", [(2, 24, 20), (5, 25, 19), (11, 30, 33)])
def test_odd_sizes_and_two_slices_keep_the_contract(name, shape):
    """In-plane sides that no stride divides, odd slice counts, a single gap, more slices than one batch."""
    method = build_method(small_settings(name))
    low = ellipsoids(shape)
    expected_shape = (output_size(shape[0], 3), *shape[1:])
    if method.needs_reference:
        method.reference = np.zeros(expected_shape, np.float32)
    if method.trained:
        method.network.eval()
    assert method.interpolate(low, 3).shape == expected_shape


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize(
    ("volume", "factor", "message"),
    [
        (np.zeros((1, 8, 8), np.float32), 2, r"found shape \(1, 8, 8\), allowed is .* at least 2 slices"),
        (np.zeros((8, 8), np.float32), 2, r"found shape \(8, 8\)"),
        (np.zeros((4, 8, 8), np.float32), 1, "K: found 1"),
        (np.zeros((4, 8, 8), np.float32), 2.5, "K: found 2.5"),
        (np.full((4, 8, 8), np.nan, np.float32), 2, "NaN or infinite"),
    ],
)
def test_bad_volumes_are_refused(name, volume, factor, message):
    with pytest.raises(InputError, match=message):
        build_method(small_settings(name)).interpolate(volume, factor)


@pytest.mark.parametrize(
    ("scales", "latent", "parameters"), [(2, 128, 443_777), (3, 128, 1_329_665), (2, 16, 250_129)]
)
def test_parameter_counts_are_the_released_ones(scales, latent, parameters):
    settings = load_method_settings("cae_paper", ROOT)  # with batch normalisation, as released
    settings["network"] |= {"scales": scales, "latent": latent}
    network = build_method(settings).network
    assert parameter_count(network) == parameters
    if (scales, latent) == (2, 128):
        assert parameter_count(network["encoder"]) == 295_616
        assert parameter_count(network["decoder"]) == 148_161


def test_cae_decodes_convex_combinations_of_latents():
    """Slice i K + j is the decoding of (1 - j / K) z_i + (j / K) z_(i+1), whatever the batching inside."""
    torch.manual_seed(0)
    method = build_method(small_settings("cae"))
    method.network.eval()
    low = ellipsoids((19, 16, 20))  # more than two internal batches
    result = method.interpolate(low, 4)
    with torch.no_grad():
        latents = method.encode(torch.from_numpy(low[:, np.newaxis]))
        for first, step in [(0, 1), (7, 3), (8, 2), (15, 1), (17, 3)]:
            mixed = (1 - step / 4) * latents[first : first + 1] + step / 4 * latents[first + 1 : first + 2]
            np.testing.assert_allclose(
                result[4 * first + step], method.decode(mixed)[0, 0].numpy(), atol=1e-5
            )
        np.testing.assert_allclose(result[::4], method.decode(latents)[:, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["cae", "cae_residual"])
def test_asking_for_some_gaps_changes_nothing_in_them(name):
    torch.manual_seed(0)
    method = build_method(small_settings(name))
    torch.nn.init.normal_(method.decoder[-2].weight, std=0.1)
    method.network.eval()
    low = ellipsoids((26, 16, 20))
    whole = method.interpolate(low, 3)
    gaps = [0, 1, 4, 5, 6, 11, 12, 13, 14, 15, 20, 24, 25]
    some = method.interpolate(low, 3, gaps)
    asked = [3 * gap + step for gap in gaps for step in range(3) if 3 * gap + step < len(whole)]
    np.testing.assert_allclose(some[asked], whole[asked], atol=1e-6)
    assert np.isnan(some[3 * 9 + 1]).all()  # far from all gaps: no time was spent on it
    assert np.isfinite(whole).all()


def test_cae_loss_is_equation_three_written_out():
    torch.manual_seed(0)
    settings = small_settings("cae") | {
        "synthesis": {"lpips": 0.05, "mse": 0.0, "l1": 0.0, "backbone": "alex"}
    }
    method = build_method(settings)
    method.network.eval()  # batch statistics would differ between one decoder pass and two
    method.perceptual = lambda first, second: (first - second).abs().mean(dim=(1, 2, 3), keepdim=True)
    triplets = torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        losses, terms = method.losses(triplets, HALF)
        before, middle, after = (triplets[:, index : index + 1] for index in range(3))
        rebuilt = [method.decode(method.encode(images)) for images in (before, after)]
        reconstruction = ((rebuilt[0] - before) ** 2).mean() / 2 + ((rebuilt[1] - after) ** 2).mean() / 2
        synthesised = method.decode(0.5 * method.encode(before) + 0.5 * method.encode(after))
        # The stand-in sees images scaled to [-1, 1], so its distance is twice that of [0, 1].
        synthesis = 0.05 * 2 * (synthesised - middle).abs().mean()
    assert terms["reconstruction"].item() == pytest.approx(reconstruction.item(), rel=1e-5)
    assert terms["synthesis"].item() == pytest.approx(synthesis.item(), rel=1e-5)
    assert losses["autoencoder"].item() == pytest.approx((reconstruction + synthesis).item(), rel=1e-5)


def keys_matrix(slices, factor):
    """Cubic convolution as weights: the piecewise cubic kernel of Keys 1981 with a = -1/2, end slices taken again."""
    weights = np.zeros(((slices - 1) * factor + 1, slices))
    for place in range(len(weights)):
        position = place / factor
        for tap in range(int(position) - 1, int(position) + 3):
            t = abs(position - tap)
            near = 1.5 * t**3 - 2.5 * t**2 + 1
            far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            kernel = near if t <= 1 else far if t < 2 else 0
            weights[place, min(max(tap, 0), slices - 1)] += kernel
    return weights


@pytest.mark.parametrize("factor", [2, 3])
def test_an_untrained_residual_autoencoder_is_cubic_convolution(factor):
    method = build_method(small_settings("cae_residual"))
    method.network.eval()
    low = ellipsoids((19, 17, 22))
    expected = np.tensordot(keys_matrix(19, factor), low, 1)
    np.testing.assert_allclose(method.interpolate(low, factor), expected, atol=1e-6)


def test_cubic_convolution_reproduces_parabolas():
    low = np.broadcast_to((np.arange(9.0) ** 2 / 64)[:, np.newaxis, np.newaxis], (9, 16, 16)).astype(
        np.float32
    )
    method = build_method(small_settings("cae_residual"))
    method.network.eval()
    result = method.interpolate(low, 4)[:, 3, 3]
    np.testing.assert_allclose(result[4:-4], np.arange(4, 29) ** 2 / 1024, atol=1e-6)


def test_input_slices_come_back_and_nothing_is_added_whatever_the_motion():
    """Kept slices bit by bit; and a constant volume stays constant: there is no term that could put something there."""
    torch.manual_seed(0)
    method = build_method(small_settings("cae_residual"))
    torch.nn.init.normal_(method.decoder[-2].weight, std=0.3)
    method.network.eval()
    low = ellipsoids((10, 16, 20))
    result = method.interpolate(low, 4)
    np.testing.assert_array_equal(result[::4], low)
    still = np.tensordot(keys_matrix(10, 4), low, 1)
    assert np.abs(result - still).max() > 0.01, "the decoder moves something"
    flat = np.full((6, 16, 20), 0.4, np.float32)
    np.testing.assert_allclose(method.interpolate(flat, 4), 0.4, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2])
def test_the_residual_motion_carries_structures_along_their_course(axis):
    """A blob that moves by three pixels a slice is where it should be in between; interpolation alone leaves two ghosts."""
    method = build_method(small_settings("cae_residual"))
    method.network.eval()
    with torch.no_grad():
        method.decoder[-2].bias[{2: 0, 1: 1}[axis]] = 3.0
    places = np.arange(0, 7.01, 0.25)
    along = np.arange(48)[np.newaxis] - (12 + 3 * places[:, np.newaxis])
    profile = np.exp(-((along / 4) ** 2))[:, :, np.newaxis] * np.exp(-(((np.arange(32) - 16) / 6) ** 2))
    truth = (profile if axis == 1 else profile.transpose(0, 2, 1)).astype(np.float32)
    result = method.interpolate(truth[::4], 4)
    inner = slice(4, -4)  # at the ends the last slice is taken again, which does not move on
    assert np.abs(result - truth)[inner].max() < 0.01
    with torch.no_grad():
        method.decoder[-2].bias.zero_()
    assert np.abs(method.interpolate(truth[::4], 4) - truth)[inner].max() > 0.03


def test_the_residual_loss_is_the_error_of_the_slice_that_interpolate_writes():
    """Training sees what `interpolate` does: the same four slices around a gap, the same alpha, the same slice."""
    torch.manual_seed(0)
    settings = small_settings("cae_residual")
    settings["synthesis"] |= {"mse": 1.0}
    method = build_method(settings)
    torch.nn.init.normal_(method.decoder[-2].weight, std=0.1)
    method.network.eval()
    low, target = ellipsoids((4, 16, 20)), ellipsoids((1, 16, 20))
    window = np.concatenate([low[:2], target, low[2:]])[np.newaxis]
    with torch.no_grad():
        losses, _ = method.losses(torch.from_numpy(window), torch.full((1, 1, 1, 1), 0.25))
    written = method.interpolate(low, 4)[5]
    assert losses["autoencoder"].item() == pytest.approx(((written - target[0]) ** 2).mean(), rel=1e-4)


def four_endpoints(gain):
    """A cae_multi with weights that no two layers share."""
    torch.manual_seed(0)
    settings = small_settings("cae_multi")
    settings["network"] |= {"gain": gain}
    method = build_method(settings)
    method.network.eval()
    return method


def test_four_endpoints_mix_latents_with_the_weights_of_cubic_convolution():
    """Half-way -1/16, 9/16, 9/16, -1/16; elsewhere Keys' kernel; the end slices are taken twice."""
    method = four_endpoints("cubic")
    low = ellipsoids((19, 16, 20))  # more than two internal batches
    result = method.interpolate(low, 4)
    with torch.no_grad():
        latents = method.encode(torch.from_numpy(low[:, np.newaxis]))
        for gap, step in [(0, 1), (0, 2), (7, 3), (8, 2), (15, 1), (17, 3)]:
            distances = np.abs(np.array([1, 0, -1, -2]) + step / 4)
            weights = np.where(
                distances <= 1,
                1.5 * distances**3 - 2.5 * distances**2 + 1,
                -0.5 * distances**3 + 2.5 * distances**2 - 4 * distances + 2,
            )
            if step == 2:
                np.testing.assert_allclose(weights, [-1 / 16, 9 / 16, 9 / 16, -1 / 16])
            places = np.clip(np.arange(gap - 1, gap + 3), 0, 18)
            mixed = sum(
                float(weight) * latents[place : place + 1]
                for weight, place in zip(weights, places, strict=True)
            )
            np.testing.assert_allclose(result[4 * gap + step], method.decode(mixed)[0, 0].numpy(), atol=1e-5)
        np.testing.assert_allclose(result[::4], method.decode(latents)[:, 0].numpy(), atol=1e-5)


def test_a_learned_gain_runs_from_two_endpoints_to_cubic_and_is_trained():
    method, low = four_endpoints("learned"), ellipsoids((6, 16, 20))
    (gain,) = method.network["gain"]
    assert parameter_count(method.network) == parameter_count(build_method(small_settings("cae")).network) + 8
    np.testing.assert_array_equal(method.interpolate(low, 3), four_endpoints("cubic").interpolate(low, 3))
    torch.manual_seed(0)
    two = build_method(small_settings("cae"))
    two.network.eval()
    with torch.no_grad():
        gain.fill_(-0.1)  # 1 + 10 * -0.1 = 0: no share of the cubic
    np.testing.assert_allclose(method.interpolate(low, 3), two.interpolate(low, 3), atol=1e-6)
    losses, _ = method.losses(torch.rand(2, 5, 16, 16), torch.full((2, 1, 1, 1), 0.5))
    (slope,) = torch.autograd.grad(losses["autoencoder"], [gain])
    assert (slope != 0).all()


def test_the_loss_of_four_endpoints_is_equation_three_with_four_latents():
    method = four_endpoints("cubic")
    windows = torch.rand(3, 5, 16, 16)
    with torch.no_grad():
        _, terms = method.losses(windows, torch.full((3, 1, 1, 1), 0.5))
        slices = [windows[:, place : place + 1] for place in range(5)]
        rebuilt = [
            ((method.decode(method.encode(slices[place])) - slices[place]) ** 2).mean() for place in (1, 3)
        ]
        latents = [method.encode(slices[place]) for place in (0, 1, 3, 4)]
        middle = method.decode((-latents[0] + 9 * latents[1] + 9 * latents[2] - latents[3]) / 16)
        synthesis = 0.5 * ((middle - slices[2]) ** 2).mean()
    assert terms["reconstruction"].item() == pytest.approx((sum(rebuilt) / 2).item(), rel=1e-5)
    assert terms["synthesis"].item() == pytest.approx(synthesis.item(), rel=1e-5)


def test_a_residual_autoencoder_without_any_synthesis_term_is_refused():
    settings = small_settings("cae_residual") | {
        "synthesis": {"lpips": 0.0, "mse": 0.0, "l1": 0.0, "backbone": "alex"}
    }
    with pytest.raises(InputError, match="key synthesis: found only weights of 0"):
        build_method(settings)


def test_without_synthesis_weights_the_middle_slice_has_no_influence():
    settings = small_settings("cae_mse") | {
        "synthesis": {"lpips": 0.0, "mse": 0.0, "l1": 0.0, "backbone": "alex"}
    }
    method = build_method(settings)
    method.network.eval()
    triplets = torch.rand(2, 3, 16, 16)
    changed = triplets.clone()
    changed[:, 1] = 0
    with torch.no_grad():
        losses = [method.losses(images, HALF)[0]["autoencoder"] for images in (triplets, changed)]
    assert losses[0] == losses[1]


def test_checkpoints_are_asked_for_where_they_belong(tmp_path):
    with pytest.raises(InputError, match="method cae: found no checkpoint, it takes a checkpoint"):
        load_method(small_settings("cae"), None)
    with pytest.raises(InputError, match="method linear: found a checkpoint, it takes no checkpoint"):
        load_method(small_settings("linear"), tmp_path / "model.pt")
    with pytest.raises(InputError, match="method: found 'magic', allowed are oracle, nearest"):
        build_method({"method": "magic"})
