"""LPIPS of real heads on a random backbone, so that no weights are needed."""

import math
import warnings

import lpips
import numpy as np
import pytest
import torch

from heads import head_volume
from interslice.common.errors import InputError
from interslice.scoring.lpips import SMALLEST_SIDE, lpips_distances


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
    smallest = SMALLEST_SIDE
    fits = lpips_distances(images[:1, :smallest], references[:1, :smallest], network)
    assert np.isfinite(fits).all()
    with pytest.raises(InputError, match="sides must be at least 31"):
        lpips_distances(images[:, : smallest - 1], references[:, : smallest - 1], network)
    network.train()
    with pytest.raises(InputError, match="training mode"):
        lpips_distances(images, references, network)
    network.eval()
