"""Metrics against scikit-image, sewar and lpips: phantom, photograph and the real scan nibabel ships."""

import itertools
import math
import warnings
from pathlib import Path

import lpips
import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.testing import data_path
from scipy import ndimage
from sewar.full_ref import vifp
from skimage import data, transform
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from interslice.common.errors import InputError
from interslice.data.masks import foreground_mask
from interslice.report.formatting import METRIC_NAMES
from interslice.scoring.longtable import BEST
from interslice.scoring.metrics import (
    METRICS,
    SMALLEST_SIDE,
    lpips_distances,
    psnr,
    score_volume,
    scored_slices,
    ssim,
    vif,
)
from interslice.scoring.volumes import VOLUME_METRICS

RESULTS = Path(__file__).parents[2] / "results"


def head_volume() -> np.ndarray:
    """A real brain scan: (24, 96, 128) float32 in [0, 1], 2 mm, from nibabel's own test data."""
    volume = nib.load(f"{data_path}/example4d.nii.gz").get_fdata(dtype=np.float32)[..., 0].transpose(2, 1, 0)
    return np.clip(volume / np.percentile(volume, 99.8), 0, 1).astype(np.float32)


def phantom() -> np.ndarray:
    return transform.resize(data.shepp_logan_phantom(), (200, 160), order=1)


def neighbours(volume: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A slice and its linear interpolation from the slices around it: (image, reference)."""
    return (volume[index - 1] + volume[index + 1]) / 2, volume[index]


def realistic_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, reference) in [0, 1]: phantom, photograph, real scans; scans the study has made, if any."""
    rng = np.random.default_rng(0)
    photograph = data.camera()[100:330, 150:401] / 255  # odd sides
    noisy = phantom() + rng.normal(0, 0.05, (200, 160))
    head = head_volume()
    pairs = [
        (noisy, phantom()),
        (ndimage.gaussian_filter(photograph, 2), photograph),
        (1 - photograph, photograph),  # negative gain everywhere
        (photograph.T, photograph.T * 1.5),
        *(neighbours(head, index) for index in (3, 12, 20)),
    ]
    for path in sorted(RESULTS.glob("normalise_volumes/**/*.nii"))[:3]:
        volume = np.asarray(nib.load(path).dataobj, dtype=np.float32)
        pairs.append(neighbours(volume.reshape(*volume.shape[:3], -1)[..., 0], volume.shape[0] // 2))
    return pairs


PAIRS = realistic_pairs()


# --- outside references


@pytest.mark.parametrize("pair", PAIRS)
def test_ssim_equals_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, reference = pair
    expected = structural_similarity(
        image.astype(float),
        reference.astype(float),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(image, reference, data_range=1.0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_vif_equals_sewar(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, reference = pair
    expected = vifp(255 * reference.astype(float), 255 * image.astype(float))
    assert vif(image, reference, data_range=1.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("pair", PAIRS)
def test_psnr_equals_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, reference = (side.astype(float) for side in pair)
    expected = peak_signal_noise_ratio(reference, image, data_range=1.0)
    assert psnr(image, reference, data_range=1.0) == pytest.approx(expected, abs=1e-9)


def test_pinned_values() -> None:
    # On slice 12 of nibabel 5.4.2's example4d.nii.gz, by scikit-image 0.26.0 and (VIF) sewar 0.4.10.
    image, reference = neighbours(head_volume(), 12)
    assert ssim(image, reference, data_range=1.0) == pytest.approx(0.858151692667, abs=1e-9)
    assert psnr(image, reference, data_range=1.0) == pytest.approx(26.960377568716, abs=1e-9)
    assert vif(image, reference, data_range=1.0) == pytest.approx(0.385536847378, abs=1e-9)


def test_vif_of_the_smallest_image_equals_sewar() -> None:
    reference = data.camera()[200:241, 200:241].astype(float)
    image = ndimage.gaussian_filter(reference, 1)
    assert vif(image, reference, data_range=255) == pytest.approx(vifp(reference, image), abs=1e-9)


# --- properties


@pytest.mark.parametrize("pair", PAIRS)
def test_identity_and_bounds(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, reference = pair
    assert ssim(reference, reference, data_range=1.0) == pytest.approx(1, abs=1e-12)
    assert vif(reference, reference, data_range=1.0) == pytest.approx(1, abs=1e-9)
    assert -1 <= ssim(image, reference, data_range=1.0) < 1
    assert 0 <= vif(image, reference, data_range=1.0) < 1
    assert 0 < psnr(image, reference, data_range=1.0) < 60


def test_psnr_of_identical_slices_is_infinite_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert psnr(phantom(), phantom(), data_range=1.0) == math.inf


def test_psnr_by_hand() -> None:
    reference = np.zeros((4, 5))
    assert psnr(reference + 0.1, reference, data_range=1) == pytest.approx(20)
    assert psnr(reference + 0.1, reference, data_range=10) == pytest.approx(40)


def test_symmetry_holds_for_ssim_and_psnr_but_not_for_vif() -> None:
    image, reference = neighbours(head_volume(), 12)
    for metric in (ssim, psnr):
        assert metric(image, reference, data_range=1.0) == pytest.approx(
            metric(reference, image, data_range=1.0)
        )
    assert abs(vif(image, reference, data_range=1.0) - vif(reference, image, data_range=1.0)) > 0.01


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_scaling_the_images_with_their_range_changes_nothing(metric) -> None:
    image, reference = neighbours(head_volume(), 12)
    expected = metric(image, reference, data_range=1.0)
    assert metric(image * 256, reference * 256, data_range=256.0) == pytest.approx(expected, rel=1e-9)
    assert metric(image, reference, data_range=256.0) != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_more_noise_is_worse(metric) -> None:
    reference = head_volume()[12].astype(float)
    noise = np.random.default_rng(0).normal(size=reference.shape)
    scores = [
        metric(reference + sigma * noise, reference, data_range=1.0) for sigma in (0.01, 0.03, 0.1, 0.3)
    ]
    assert all(better > worse for better, worse in itertools.pairwise(scores))


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_integer_images_do_not_wrap_around(metric) -> None:
    # The released VIF of the paper multiplied uint8 images modulo 256.
    photograph = data.camera()[::4, ::4]
    other = np.random.default_rng(0).permutation(photograph)
    expected = metric(other.astype(float), photograph.astype(float), data_range=255)
    assert metric(other, photograph, data_range=255) == expected


def test_vif_of_unrelated_images_is_near_zero() -> None:
    # White noise, and smooth fields with the grain of tissue.
    noise = np.random.default_rng(0).random((2, 224, 224))
    smooth = ndimage.gaussian_filter(noise, (0, 4, 4))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    assert vif(*noise, data_range=1.0) < 0.005
    assert vif(*smooth, data_range=1.0) == pytest.approx(vifp(255 * smooth[1], 255 * smooth[0]), abs=1e-9)
    assert vif(*smooth, data_range=1.0) < 0.05


def test_vif_rewards_contrast_and_knows_no_flat_reference() -> None:
    reference = head_volume()[12]
    assert vif(1.3 * reference, reference, data_range=1.0) > 1
    assert vif(0 * reference, reference, data_range=1.0) == pytest.approx(0, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for level in (0.0, 0.3):
            assert math.isnan(vif(reference, np.full_like(reference, level), data_range=1.0))


# --- masks


def box(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_ssim_in_a_mask_is_the_mean_of_the_map() -> None:
    image, reference = (side.astype(float) for side in neighbours(head_volume(), 12))
    mask = foreground_mask(head_volume())[12]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    ssim_map = structural_similarity(image, reference, full=True, **settings)[1]
    inside = mask & box(mask.shape, slice(5, -5), slice(5, -5))  # the 11 x 11 window must fit
    assert ssim(image, reference, data_range=1.0, mask=mask) == pytest.approx(
        ssim_map[inside].mean(), abs=1e-12
    )


def test_psnr_in_a_mask_ignores_the_rest() -> None:
    reference = phantom()
    mask = box(reference.shape, slice(50, 100), slice(50, 100))
    image = np.where(mask, reference + 0.01, 7)
    assert psnr(image, reference, data_range=1.0, mask=mask) == pytest.approx(40)


def test_vif_in_a_mask_equals_sewar_on_the_blanked_images() -> None:
    image, reference = neighbours(head_volume(), 12)
    mask = foreground_mask(head_volume())[12]
    expected = vifp(
        255 * np.where(mask, reference, 0).astype(float), 255 * np.where(mask, image, 0).astype(float)
    )
    assert vif(image, reference, data_range=1.0, mask=mask) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_a_mask_of_everything_is_no_mask_and_an_empty_one_is_nan(metric) -> None:
    image, reference = neighbours(head_volume(), 12)
    everything = np.ones(reference.shape, bool)
    expected = metric(image, reference, data_range=1.0)
    assert metric(image, reference, data_range=1.0, mask=everything) == pytest.approx(expected, rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric(image, reference, data_range=1.0, mask=~everything))


# --- foreground


def head_phantom() -> tuple[np.ndarray, np.ndarray]:
    """A noisy head, (40, 90, 80), and its truth; what makes heads hard is in it: see the comments."""
    z, y, x = np.mgrid[0:40, 0:90, 0:80]
    radius = np.sqrt(((z - 8) / 30) ** 2 + ((y - 60) / 40) ** 2 + ((x - 38) / 30) ** 2)  # cut by the last row
    volume = np.zeros(radius.shape)
    for outer, value in (
        (1.0, 0.9),
        (0.9, 0.02),
        (0.84, 0.45),
        (0.2, 0.05),
    ):  # scalp, skull, brain, ventricles
        volume[radius < outer] = value
    truth = volume > 0
    volume[4:14, :40, 37:39] *= 0.02  # a slit through scalp and skull
    volume[:4] *= 0.45  # the receive coil ends
    volume[20:24, 2:6, 2:6] = 1  # bright, but no head
    noise = np.random.default_rng(0).normal(0, 0.03, (2, *volume.shape))
    return np.hypot(volume + noise[0], noise[1]).astype(np.float32), truth  # Rician, as in magnitude images


def test_foreground_is_the_whole_head_and_nothing_else() -> None:
    volume, truth = head_phantom()
    mask = foreground_mask(volume)
    assert mask.dtype == bool
    assert (mask & truth).sum() > 0.999 * truth.sum()
    around = ndimage.binary_dilation(truth, np.ones((1, 3, 3)))
    assert (mask & ~around).sum() < 0.001 * truth.sum()  # the smoothed edge is up to one voxel outside
    assert mask[8, 55, 38]  # ventricle
    assert not mask[21, 4, 4]  # bright, but no head
    assert not mask[39].any()
    assert mask[8, -1, 30:46].all()  # reaches the border


def test_foreground_does_not_depend_on_the_slices_taken_or_the_gain() -> None:
    volume, _ = head_phantom()
    mask = foreground_mask(volume)
    assert np.mean(foreground_mask(0.5 * volume) != mask) < 0.001
    assert np.mean(foreground_mask(volume[::4]) != mask[::4]) < 0.01  # thick slices


def test_foreground_of_a_real_head() -> None:
    volume = head_volume()
    mask = foreground_mask(volume)
    assert mask.any(axis=(1, 2)).all()
    assert 0.3 < mask.mean() < 0.45
    for one in mask:
        labels, count = ndimage.label(one)
        assert np.bincount(labels.ravel())[1:].max() > 0.98 * one.sum(), count
    assert volume[~mask].mean() < 0.1 * volume[mask].mean()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.full((3, 50, 50), 0.5), "every voxel is 0.5"),
        (np.zeros((50, 50)), "shape \\(50, 50\\)"),
        (np.full((3, 50, 50), np.nan), "finite"),
        (-np.eye(50)[None], "at least 0"),
    ],
)
def test_foreground_of_bad_input(volume: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        foreground_mask(volume)


# --- LPIPS: the real heads on a random backbone, so that no weights are needed


@pytest.fixture(scope="module")
def network() -> lpips.LPIPS:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's deprecated arguments, inside lpips
        return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()


def stacks() -> tuple[np.ndarray, np.ndarray]:
    head = head_volume()[2:9, 16:80, 32:96]
    return np.clip(head + 0.1 * np.random.default_rng(0).normal(size=head.shape), 0, 1).astype(
        np.float32
    ), head


def test_lpips_equals_the_module_called_by_hand(network: lpips.LPIPS) -> None:
    images, references = stacks()
    distances = lpips_distances(images, references, network)
    assert distances.shape == (7,)
    assert distances.dtype == np.float64
    for image, reference, distance in zip(images, references, distances, strict=True):
        rgb = [torch.from_numpy(np.stack([side] * 3))[None] for side in (image, reference)]
        with torch.no_grad():
            expected = network(*rgb, normalize=True).item()  # lpips' own scaling of [0, 1] to [-1, 1]
        assert distance == pytest.approx(expected, rel=1e-5)
        assert distance > 1e-4


def test_lpips_does_not_depend_on_the_batch(network: lpips.LPIPS) -> None:
    images, references = stacks()
    in_three = lpips_distances(images, references, network, batch=3)
    np.testing.assert_allclose(in_three, lpips_distances(images, references, network), rtol=1e-4)


def test_lpips_identity_symmetry_and_monotony(network: lpips.LPIPS) -> None:
    images, references = stacks()
    assert (lpips_distances(references, references, network) == 0).all()
    distances = lpips_distances(images, references, network)
    # Equal slices are not given to the network, which would say 0 of them; the others keep their places.
    one_equal = np.concatenate([references[:1], images[1:]])
    mixed = lpips_distances(one_equal, references, network)
    assert mixed[0] == 0 == network(*torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)[:, None]).item()
    np.testing.assert_allclose(mixed[1:], distances[1:], rtol=1e-4)
    np.testing.assert_allclose(lpips_distances(references, images, network), distances, rtol=1e-5)
    halfway = (images + references) / 2
    assert (lpips_distances(halfway, references, network) < distances).all()


def test_lpips_in_a_mask(network: lpips.LPIPS) -> None:
    images, references = stacks()
    mask = np.zeros(images.shape, bool)
    mask[1:, 10:50, 10:50] = True
    distances = lpips_distances(images, references, network, mask=mask, batch=4)
    assert math.isnan(distances[0])
    blanked = lpips_distances(np.where(mask, images, 0), np.where(mask, references, 0), network)
    np.testing.assert_allclose(distances[1:], blanked[1:], rtol=1e-4)


def test_lpips_refuses_training_mode_and_small_slices(network: lpips.LPIPS) -> None:
    images, references = stacks()
    smallest = SMALLEST_SIDE["lpips"]
    fits = lpips_distances(images[:1, :smallest], references[:1, :smallest], network)
    assert np.isfinite(fits).all()
    with pytest.raises(InputError, match="sides must be at least 31"):
        lpips_distances(images[:, : smallest - 1], references[:, : smallest - 1], network)
    network.train()
    with pytest.raises(InputError, match="training mode"):
        lpips_distances(images, references, network)
    network.eval()


# --- volumes


def interpolated(factor: int, slices: int) -> tuple[np.ndarray, np.ndarray]:
    """(result, reference): linear interpolation of every factor-th slice, which is passed through."""
    reference = head_volume()[:slices]
    position = np.arange(slices) / factor
    below = np.minimum(position.astype(int), (slices - 1) // factor - 1) * factor
    weight = ((np.arange(slices) - below) / factor)[:, None, None].astype(np.float32)
    return (1 - weight) * reference[below] + weight * reference[below + factor], reference


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_score_volume_holds_one_row_per_slice_region_and_metric(factor: int, network: lpips.LPIPS) -> None:
    result, reference = interpolated(factor, 13)
    mask = foreground_mask(reference)
    metrics = ["lpips", "vif", "psnr", "ssim"]
    table = score_volume(result, reference, factor, metrics=metrics, lpips_network=network, mask=mask)
    assert list(table.columns) == ["slice", "kind", "region", "metric", "value"]
    assert len(table) == 13 * 2 * 4
    assert not table.duplicated(["slice", "region", "metric"]).any()
    kept = table[table["slice"] % factor == 0]
    assert set(kept["kind"]) == {"kept"}
    assert set(table.drop(kept.index)["kind"]) == {"synthesised"}
    assert np.isinf(kept.loc[kept["metric"] == "psnr", "value"]).all()

    scores = table.set_index(["region", "metric", "slice"])["value"].sort_index()
    for name, measure in (("ssim", ssim), ("psnr", psnr), ("vif", vif)):
        for i in (0, 5, 12):
            assert scores["whole", name, i] == measure(result[i], reference[i], data_range=1.0)
            inside = measure(result[i], reference[i], data_range=1.0, mask=mask[i])
            assert scores["foreground", name, i] == inside
    expected = lpips_distances(result, reference, network, mask=mask)
    np.testing.assert_allclose(scores["foreground", "lpips"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("slices", "factor", "gap_step", "expected"),
    [
        (9, 2, 1, range(9)),
        (9, 2, 2, [0, 1, 4, 5, 8]),  # gaps 0 | 2 | 4: gap 4 is the last kept slice alone
        (9, 2, 3, [0, 1, 6, 7]),
        (13, 4, 2, [0, 1, 2, 3, 8, 9, 10, 11]),
        (13, 4, 3, [0, 1, 2, 3, 12]),
        (13, 4, 9, [0, 1, 2, 3]),
    ],
)
def test_gap_step_selects_whole_gaps(slices: int, factor: int, gap_step: int, expected: list[int]) -> None:
    assert scored_slices(slices, factor, gap_step).tolist() == list(expected)
    result, reference = interpolated(factor, slices)
    settings = {"metrics": ["psnr"], "mask": foreground_mask(reference)}
    table = score_volume(result, reference, factor, gap_step=gap_step, **settings)
    everything = score_volume(result, reference, factor, **settings)
    chosen = everything[everything["slice"].isin(expected)].reset_index(drop=True)
    assert table.equals(chosen)


def test_foreground_is_scored_where_there_is_some() -> None:
    result, reference = interpolated(2, 9)
    mask = foreground_mask(reference)
    whole = score_volume(result, reference, 2, metrics=["ssim", "psnr", "vif"], mask=mask)
    mask[3] = False
    table = score_volume(result, reference, 2, metrics=["ssim", "psnr", "vif"], mask=mask)
    gone = (whole["region"] == "foreground") & (whole["slice"] == 3)
    assert gone.sum() == 3
    assert table.equals(whole[~gone].reset_index(drop=True))
    assert table["value"].notna().all()


def test_memory_maps_are_taken(tmp_path: Path) -> None:
    result, reference = interpolated(2, 9)
    np.save(tmp_path / "reference.npy", reference)
    mapped = np.load(tmp_path / "reference.npy", mmap_mode="r")
    settings = {"metrics": ["ssim", "vif"], "mask": foreground_mask(mapped)}
    expected = score_volume(result, reference, 2, **settings)
    assert score_volume(result, mapped, 2, **settings).equals(expected)


VOLUME = np.random.default_rng(0).random((5, 48, 48)).astype(np.float32)
MASK = np.ones(VOLUME.shape, bool)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"result": VOLUME[:3]}, r"\(3, 48, 48\) and reference of shape \(5, 48, 48\)"),
        ({"result": VOLUME[:, None], "reference": VOLUME[:, None]}, r"\(slices, rows, columns\)"),
        ({"mask": MASK[:3]}, r"mask: bool of shape \(3, 48, 48\) found"),
        ({"mask": MASK.astype(float)}, "mask: float64"),
        ({"result": np.where(np.arange(5) == 2, np.nan, VOLUME.T).T}, "2304 voxels of the result are NaN"),
        (
            {"reference": np.where(VOLUME > 0.5, np.inf, VOLUME)},
            "voxels of the reference are NaN or infinite",
        ),
        ({"factor": 3}, "5 slices at factor 3"),
        ({"factor": 8}, "5 slices at factor 8"),
        ({"factor": 1}, "5 slices at factor 1"),
        ({"gap_step": 0}, "gap_step: 0 found"),
        ({"metrics": ["ssim", "mae"]}, r"\['ssim', 'mae'\] found, allowed are some of"),
        ({"metrics": ["ssim", "ssim"]}, "each once"),
        ({"metrics": []}, r"metrics: \[\] found"),
        ({"metrics": ["lpips"]}, "lpips found without a network"),
    ],
)
def test_bad_volumes(change: dict, message: str) -> None:
    settings = {
        "result": VOLUME,
        "reference": VOLUME,
        "factor": 2,
        "metrics": ["ssim"],
        "mask": MASK,
        **change,
    }
    with pytest.raises(InputError, match=message):
        score_volume(settings.pop("result"), settings.pop("reference"), settings.pop("factor"), **settings)


@pytest.mark.parametrize("metric", ["ssim", "vif"])
def test_too_small_slices_are_refused_with_the_smallest_side(metric: str) -> None:
    side = SMALLEST_SIDE[metric]
    fits = score_volume(VOLUME[:, :side], VOLUME[:, :side], 2, metrics=[metric], mask=MASK[:, :side])
    assert fits.loc[fits["region"] == "whole", "value"].to_numpy() == pytest.approx(1)
    small = VOLUME[:, : side - 1]
    with pytest.raises(InputError, match=f"{metric}: .* sides must be at least {side}"):
        score_volume(small, small, 2, metrics=[metric], mask=MASK[:, : side - 1])


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_metrics_refuse_bad_pairs(metric) -> None:
    image = VOLUME[0]
    with pytest.raises(TypeError, match="data_range"):
        metric(image, image)
    for data_range in (0, -1, math.inf, math.nan):
        with pytest.raises(InputError, match=f"data_range: {data_range} found"):
            metric(image, image, data_range=data_range)
    with pytest.raises(InputError, match=r"\(48, 48\) and reference of shape \(48, 47\)"):
        metric(image, image[:, :-1], data_range=1)
    with pytest.raises(InputError, match=r"the same \(rows, columns\)"):
        metric(VOLUME, VOLUME, data_range=1)


def test_metrics_are_those_of_the_long_table() -> None:
    assert set(METRICS) == set(SMALLEST_SIDE)
    of_lines = {"mean_distance", "smoothness"}  # line_metrics: the lines task alone has them
    assert {*METRICS, *VOLUME_METRICS, *of_lines} == set(BEST) == set(METRIC_NAMES)
