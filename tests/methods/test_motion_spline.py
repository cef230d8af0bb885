"""Our own method: what holds whatever the weights are, and what a perfect motion would give."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline

from interslice.common.checkpoints import write_checkpoint
from interslice.common.errors import InputError
from interslice.data.volumes import profile_blur
from interslice.methods import build_method, load_method
from interslice.methods.motion_spline import agreement, dissimilarity, kernel
from interslice.methods.parts.reversible import ReversibleConv
from phantoms import ellipsoids, ramp
from settings import parameter_count, small_settings


def network(**changes):
    return small_settings("motion_spline")["network"] | {"least_change": 0.0} | changes


def build(random=0.0, **settings):
    """A small one, untrained or with random weights throughout; every change of motion is made, however small."""
    torch.manual_seed(0)
    method = build_method(small_settings("motion_spline") | {"network": network()} | settings)
    if random:
        for weight in method.network.parameters():
            torch.nn.init.normal_(weight, 0, random)
    method.network.eval()
    return method


def four_weights(name, alpha):
    """cardinal: the outer ones of the spline through a unit impulse far from any end, the inner ones by two equations. keys:
    the cubic that meets the middle two slices with the central differences as its slopes there."""
    if name == "keys":
        return np.array(
            [CubicHermiteSpline([0, 1], [n == 0, n == 1], slopes(n))(alpha) for n in range(-1, 3)]
        )
    impulse = np.zeros(41)
    impulse[20] = 1
    outer = ndimage.map_coordinates(impulse, [[21 + alpha, 22 - alpha]], order=3, mode="mirror")
    inner = np.linalg.solve([[1, 1], [0, 1]], [1 - outer.sum(), alpha - outer @ [-1, 2]])
    return np.array([outer[0], *inner, outer[1]])


def slopes(place):
    """Central differences at 0 and 1 of the impulse at `place`."""
    return [((place == 1) - (place == -1)) / 2, ((place == 2) - (place == 0)) / 2]


@pytest.mark.parametrize(("name", "factor"), [("keys", 2), ("keys", 5), ("cardinal", 3)])
def test_untrained_it_is_its_kernel_of_four_slices(name, factor):
    low = ellipsoids((7, 20, 24))
    result = build(network=network(kernel=name)).interpolate(low, factor)
    for gap in (1, 3):
        for step in range(1, factor):
            expected = np.tensordot(four_weights(name, step / factor), low[gap - 1 : gap + 3], 1)
            np.testing.assert_allclose(result[gap * factor + step], expected, atol=2e-6)


def test_kernels_return_lines_and_the_middle_slices():
    alphas = torch.tensor([0.0, 0.2, 0.5, 0.7, 1.0]).view(-1, 1, 1, 1)
    places = torch.tensor([-1.0, 0, 1, 2]).view(1, 4, 1, 1)
    for name in ("cardinal", "keys"):
        weights = kernel(name, alphas)
        torch.testing.assert_close(weights.sum(1), torch.ones(5, 1, 1))
        torch.testing.assert_close(weights[[0, 4], :, 0, 0], torch.eye(4)[[1, 2]], atol=1e-6, rtol=0)
        torch.testing.assert_close((weights * places).sum(1), alphas[:, 0])
    quarter = kernel("keys", torch.full((1, 1, 1, 1), 0.25)).flatten()
    torch.testing.assert_close(quarter, torch.tensor([-9.0, 111, 29, -3]) / 128)  # Keys 1981, a = -1/2


def test_a_straight_line_stays_one_whatever_the_motion():
    """Flat slices have nothing to move: any weights return a ramp, away from the ends."""
    result = build(random=0.1).interpolate(ramp(9, 16, 16), 4)
    np.testing.assert_allclose(result[8:-8], ramp(33, 16, 16)[8:-8], atol=1e-5)


def test_input_slices_come_back_bit_by_bit_and_reversed_slices_give_the_reversed_result():
    low = ellipsoids((6, 20, 24))
    method = build(random=0.05)
    result = method.interpolate(low, 3)
    np.testing.assert_array_equal(result[::3], low)
    assert np.abs(result - build().interpolate(low, 3)).max() > 1e-3, "the weights move something"
    np.testing.assert_allclose(method.interpolate(low[::-1], 3)[::-1], result, atol=1e-5)


def test_a_gap_alone_is_the_gap_of_the_whole():
    low = ellipsoids((6, 20, 24))
    method = build(random=0.05)
    some, whole = method.interpolate(low, 4, [2, 5]), method.interpolate(low, 4)
    np.testing.assert_array_equal(some[8:12], whole[8:12])
    assert np.isnan(some[5]).all()
    np.testing.assert_array_equal(some[20], low[5])


def test_the_gap_in_pixels_is_seen_and_is_the_factor_where_nobody_says_it():
    low = ellipsoids((5, 20, 24))
    method = build(random=0.05)
    alone = method.interpolate(low, 4)
    method.gap_px = 4.0
    np.testing.assert_array_equal(method.interpolate(low, 4), alone)
    method.gap_px = 7.5
    assert np.abs(method.interpolate(low, 4) - alone).max() > 1e-4


def test_slices_at_any_position_are_those_of_a_whole_factor_where_both_are():
    low = ellipsoids((6, 20, 24))
    method = build(random=0.05)
    method.gap_px = 4.0
    positions = np.array([0.0, 0.25, 1.0, 1.6, 2.5, 5.0])
    result, whole = method.interpolate_at(low, positions), method.interpolate(low, 4)
    np.testing.assert_array_equal(result[[0, 1, 2, 4, 5]], whole[[0, 1, 4, 10, 20]])
    assert np.abs(result[3] - whole[6]).max() > 1e-3
    with pytest.raises(InputError, match="whole factors alone"):
        build(slice_profile="gaussian").interpolate_at(low, positions)


def moving_spot(slices, speed, side=32):
    """A spot that moves by `speed` pixels (columns, rows) from slice to slice, at places along the stack."""
    row, column = np.mgrid[:side, :side]
    spots = [
        np.exp(-(((row - 14 - speed[1] * at) ** 2 + (column - 10 - speed[0] * at) ** 2) / 8)) for at in slices
    ]
    return np.array(spots, dtype=np.float32)


def test_the_right_motion_gives_the_moving_structure_back_in_the_order_of_the_places():
    speed = (3.0, 1.0)
    low, expected = moving_spot(range(4), speed), moving_spot(np.arange(13) / 4, speed)
    method = build()
    plain = method.interpolate(low, 4)
    ahead = torch.tensor(speed).view(2, 1, 1)
    away = torch.stack([-ahead, -ahead, ahead, ahead])[None]
    method.displacements = lambda images, alpha, gap: away.expand(len(images), 4, 2, *images.shape[2:])
    moved = method.interpolate(low, 4)
    inner = slice(5, 8)
    assert np.abs(moved - expected)[inner].max() < 0.02
    assert np.abs(plain - expected)[inner].max() > 0.15
    columns = (moved[4:9] * np.arange(32)).sum((1, 2)) / moved[4:9].sum((1, 2))
    np.testing.assert_allclose(np.diff(columns), 0.75, atol=0.06)  # the unmoved share has another centre


def test_moved_slices_count_as_far_as_they_agree_better_than_unmoved_ones():
    torch.manual_seed(0)
    same, apart = torch.rand(1, 1, 16, 16).expand(1, 4, 16, 16), torch.rand(1, 4, 16, 16)
    torch.testing.assert_close(agreement(apart, apart), torch.full((1, 1, 16, 16), 0.5))
    assert agreement(apart, same).min() > 0.99
    assert agreement(same, apart).max() < 0.01
    method = build()
    wild = torch.tensor([-9.0, -9, 9, 9]).view(1, 4, 1, 1, 1).expand(1, 4, 2, 32, 32)
    method.displacements = lambda images, alpha, gap: wild
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((32, 32), dtype=np.float32), 1)
    still = np.repeat(image[np.newaxis], 4, axis=0)
    loose = build(network=network(consistency=False))
    loose.displacements = method.displacements
    error = [np.abs(one.interpolate(still, 2)[3] - still[1]).mean() for one in (method, loose)]
    assert error[0] < 0.05 * error[1]


def test_a_change_below_the_least_is_not_made_at_all_and_a_large_one_nearly_whole():
    speed = (3.0, 1.0)
    spot = moving_spot(range(4), speed)
    ahead = torch.tensor(speed).view(2, 1, 1)
    away = torch.stack([-ahead, -ahead, ahead, ahead])[None]
    changes = {}
    for least in (0.0, 0.02):
        method = build(network=network(least_change=least, consistency=False))
        method.displacements = lambda images, alpha, gap: away.expand(len(images), 4, 2, *images.shape[2:])
        for scale in (0.01, 1.0):
            plain = np.tensordot(four_weights("keys", 0.5), scale * spot, 1)
            changes[least, scale] = np.abs(method.interpolate(scale * spot, 2)[3] - plain).max()
    assert changes[0.02, 0.01] < 1e-7 < 1e-4 < changes[0.0, 0.01]
    assert 0.1 < 0.9 * changes[0.0, 1.0] < changes[0.02, 1.0] < changes[0.0, 1.0]


def test_a_blob_costs_what_it_changes_beyond_the_unmoved_kernel():
    torch.manual_seed(0)
    windows, alphas = torch.rand(2, 10, 24, 24), torch.tensor([[0.25, 4.0], [0.5, 2.0]]).view(2, 2, 1, 1)
    _, terms = build().losses(windows, alphas)
    assert float(terms["blobs"].detach()) == pytest.approx(0, abs=1e-6), "an untrained network moves nothing"
    method = build(random=0.1)
    _, terms = method.losses(windows, alphas)
    images, added = windows[:, [0, 1, 3, 4]], windows[:, [5, 6, 8, 9]]
    changed = (
        method.between(images + added, *alphas.split(1, 1))[0]
        - method.between(images, *alphas.split(1, 1))[0]
    )
    weights = np.array([four_weights("keys", float(one)) for one in alphas[:, 0].flatten()])
    expected = np.einsum("bn,bnij->bij", weights, added.numpy())
    error = np.abs(changed[:, 0].detach().numpy() - expected)[:, 2:-2, 2:-2].mean()
    assert error > 1e-3
    assert float(terms["blobs"].detach()) == pytest.approx(method.settings["loss"]["blobs"] * error, rel=1e-4)


@pytest.mark.parametrize("random", [0.0, 0.01])
def test_a_deblurred_volume_averaged_again_is_the_volume_given(random):
    sharp = ellipsoids((41, 16, 20))
    given = profile_blur(sharp, 4, "gaussian", axis=0)[::4]
    method = build(random=random, slice_profile="gaussian", back_projections=4)
    result = method.interpolate(given, 4)
    assert np.abs(profile_blur(result, 4, "gaussian", axis=0)[::4] - given).max() < 1e-3
    plain = build(random=random).interpolate(given, 4)
    assert np.abs(profile_blur(plain, 4, "gaussian", axis=0)[::4] - given).max() > 0.02
    assert np.mean((result - sharp) ** 2) < 0.8 * np.mean((plain - sharp) ** 2)


def test_without_motion_deblurring_is_the_solution_of_the_linear_equations():
    given = ellipsoids((8, 10, 12))
    method = build(slice_profile="gaussian", back_projections=12)
    plain = build()
    basis = np.eye(8, dtype=np.float32)[
        :, :, np.newaxis
    ]  # slice n is 1 in row n: one column of the operator per row
    operator = plain.interpolate(np.broadcast_to(basis, (8, 8, 4)).copy(), 3)[:, :, 0]
    averaged = profile_blur(operator, 3, "gaussian", axis=0)[::3]
    expected = np.tensordot(operator @ np.linalg.inv(averaged), given, 1)
    np.testing.assert_allclose(method.interpolate(given, 3), expected, atol=1e-4)


def test_a_checkpoint_serves_any_slice_profile_and_no_other_kernel(tmp_path):
    settings, method = small_settings("motion_spline"), build(random=0.05)
    write_checkpoint({"settings": settings, "weights": method.network.state_dict()}, tmp_path / "m.pt")
    loaded = load_method(settings | {"slice_profile": "gaussian"}, tmp_path / "m.pt")
    torch.testing.assert_close(loaded.network.state_dict(), method.network.state_dict())
    other = settings | {"network": settings["network"] | {"kernel": "cardinal"}}
    with pytest.raises(InputError, match="found network"):
        load_method(other, tmp_path / "m.pt")


def test_swapped_halves_come_out_swapped_with_half_the_weights():
    torch.manual_seed(0)
    layer = ReversibleConv(3, 5)
    images = torch.rand(2, 6, 9, 9)
    first, second = layer(images).chunk(2, dim=1)
    other, one = layer(torch.cat(images.chunk(2, dim=1)[::-1], dim=1)).chunk(2, dim=1)
    torch.testing.assert_close(torch.cat([first, second]), torch.cat([one, other]))
    assert parameter_count(layer) == (6 * 10 * 9 + 10) // 2


def test_dissimilarity_is_one_minus_ssim():
    """Of windows of 7 x 7 pixels with the population's covariance: scikit-image's uniform filter, every second place."""
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    image, other = rng.random((2, 31, 31))
    _, full = structural_similarity(image, other, data_range=1, full=True, use_sample_covariance=False)
    tensors = (torch.from_numpy(one)[None, None] for one in (image, other))
    assert float(dissimilarity(*tensors)) == pytest.approx(1 - full[3:-3:2, 3:-3:2].mean(), abs=1e-9)
