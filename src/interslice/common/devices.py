"""The device and the precision that a setting means on this machine."""

import torch

from interslice.common.errors import InputError


def select_device(setting: str) -> torch.device:
    """The device of a setting: auto (a CUDA GPU where there is one), cpu or cuda."""
    if setting == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if setting == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "training.device: found cuda, but no CUDA GPU is visible here; allowed are auto and cpu"
        )
    return torch.device(setting)


def select_precision(setting: str, device: torch.device) -> str:
    """The precision of a setting on a device: auto is bfloat16 on a GPU that computes in it, else float32."""
    supported = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if setting == "auto":
        return "bfloat16" if device.type == "cuda" and supported else "float32"
    if setting == "bfloat16" and not supported:
        raise InputError(
            "training.precision: found bfloat16, which this GPU does not compute in; allowed are auto and float32"
        )
    return setting
