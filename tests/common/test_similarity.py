"""SSIM, PSNR and VIF against scikit-image and sewar: phantom, photograph and the real scan nibabel ships."""

import itertools
import math
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from sewar.full_ref import vifp
from skimage import data, transform
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from heads import head_volume, neighbours
from interslice.common.errors import InputError
from interslice.common.similarity import psnr, ssim, vif
from interslice.data.masks import foreground_mask

RESULTS = Path(__file__).parents[2] / "results"


def phantom() -> np.ndarray:
    return transform.resize(data.shepp_logan_phantom(), (200, 160), order=1)


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


def test_vif_in_a_box_equals_sewar_on_what_is_in_it() -> None:
    """Windows must lie in the mask: a box whose corner survives three halvings is an image of its own."""
    reference = data.camera()[100:330, 150:401].astype(float)
    image = ndimage.gaussian_filter(reference, 1.5)
    rows, columns = slice(40, 130), slice(64, 200)
    expected = vifp(reference[rows, columns], image[rows, columns])
    outside = np.where(box(reference.shape, rows, columns), image, 255 - reference)
    assert vif(outside, reference, data_range=255, mask=box(reference.shape, rows, columns)) == pytest.approx(
        expected, abs=1e-9
    )


def test_what_two_images_share_outside_a_mask_is_no_agreement() -> None:
    """Two unrelated textures on one background score as two unrelated textures."""
    mask = box((224, 224), slice(70, 154), slice(70, 154))
    textures = ndimage.gaussian_filter(np.random.default_rng(0).random((2, 224, 224)), (0, 4, 4))
    textures = (textures - textures.min()) / np.ptp(textures)
    shared = np.where(mask, textures, 0.0)
    assert vif(*shared, data_range=1.0) > 0.1
    assert vif(*shared, data_range=1.0, mask=mask) < 0.05
    assert vif(textures[0], textures[0], data_range=1.0, mask=mask) == pytest.approx(1)
    halfway = (shared[0] + shared[1]) / 2
    assert vif(halfway, shared[1], data_range=1.0, mask=mask) > 5 * vif(*shared, data_range=1.0, mask=mask)


@pytest.mark.parametrize("metric", [ssim, psnr, vif])
def test_a_mask_of_everything_is_no_mask_and_an_empty_one_is_nan(metric) -> None:
    image, reference = neighbours(head_volume(), 12)
    everything = np.ones(reference.shape, bool)
    expected = metric(image, reference, data_range=1.0)
    assert metric(image, reference, data_range=1.0, mask=everything) == pytest.approx(expected, rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric(image, reference, data_range=1.0, mask=~everything))


VOLUME = np.random.default_rng(0).random((5, 48, 48)).astype(np.float32)


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
