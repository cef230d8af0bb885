"""LPIPS of real heads on a random backbone, so that no weights are needed."""

import math
import warnings

import lpips
import numpy as np
import pytest
import torch

from heads import head_volume
from interslice.common.errors import InputError
from interslice.scoring.lpips import SMALLEST_SIDE, lpips_regions
from interslice.training.lpips_backbones import BACKBONES
from interslice.training.lpips_network import LPIPSNetwork


@pytest.fixture(scope="module")
def theirs() -> lpips.LPIPS:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's deprecated arguments, inside lpips
        return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()


@pytest.fixture(scope="module")
def network(theirs: lpips.LPIPS) -> LPIPSNetwork:
    convolutions = {
        f"features.{name.split('.', 1)[1]}": tensor for name, tensor in theirs.net.state_dict().items()
    }
    return LPIPSNetwork(BACKBONES["alex"], convolutions, theirs.state_dict())


def lpips_distances(images, references, network, mask=None, batch=4) -> np.ndarray:
    return lpips_regions(images, references, network, [mask], batch=batch)[0]


def stacks() -> tuple[np.ndarray, np.ndarray]:
    head = head_volume()[2:9, 16:80, 32:96]
    return np.clip(head + 0.1 * np.random.default_rng(0).normal(size=head.shape), 0, 1).astype(
        np.float32
    ), head


def test_lpips_equals_the_packages_module(network: LPIPSNetwork, theirs: lpips.LPIPS) -> None:
    images, references = stacks()
    distances = lpips_distances(images, references, network)
    assert distances.shape == (7,)
    assert distances.dtype == np.float64
    for image, reference, distance in zip(images, references, distances, strict=True):
        rgb = [torch.from_numpy(np.stack([side] * 3))[None] for side in (image, reference)]
        with torch.no_grad():
            expected = theirs(*rgb, normalize=True).item()  # lpips' own scaling of [0, 1] to [-1, 1]
        assert distance == pytest.approx(expected, rel=1e-5)
        assert distance > 1e-4


def test_lpips_does_not_depend_on_the_batch(network: LPIPSNetwork) -> None:
    images, references = stacks()
    in_three = lpips_distances(images, references, network, batch=3)
    np.testing.assert_allclose(in_three, lpips_distances(images, references, network), rtol=1e-4)


def test_lpips_identity_symmetry_and_monotony(network: LPIPSNetwork) -> None:
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


def test_lpips_in_a_mask_is_the_mean_of_lpips_own_map(network: LPIPSNetwork, theirs: lpips.LPIPS) -> None:
    images, references = stacks()
    mask = np.zeros(images.shape, bool)
    mask[1:, 10:50, 10:50] = True
    distances = lpips_distances(images, references, network, mask=mask, batch=4)
    assert math.isnan(distances[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spatial = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False, spatial=True).eval()
    spatial.load_state_dict(theirs.state_dict())
    for index in range(1, len(images)):
        rgb = [torch.from_numpy(np.stack([side[index]] * 3))[None] for side in (images, references)]
        with torch.no_grad():
            expected = spatial(*rgb, normalize=True)[0, 0].numpy()[10:50, 10:50].mean()
        assert distances[index] == pytest.approx(expected, rel=1e-4)


def test_what_two_slices_share_outside_a_mask_is_no_agreement(network: LPIPSNetwork) -> None:
    """Two unrelated textures on one background are nearly as far apart as if they filled the slice."""
    textures = np.random.default_rng(0).random((2, 1, 96, 96)).astype(np.float32)
    mask = np.zeros((1, 96, 96), bool)
    mask[:, 32:64, 32:64] = True
    shared = [np.where(mask, texture, 0).astype(np.float32) for texture in textures]
    apart = lpips_distances(*textures, network)[0]
    assert lpips_distances(*shared, network)[0] < 0.5 * apart
    assert lpips_distances(*shared, network, mask=mask)[0] > 0.7 * apart
    halfway = (shared[0] + shared[1]) / 2
    assert lpips_distances(halfway, shared[1], network, mask=mask) < lpips_distances(
        *shared, network, mask=mask
    )


def test_lpips_refuses_training_mode_and_small_slices(network: LPIPSNetwork) -> None:
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
