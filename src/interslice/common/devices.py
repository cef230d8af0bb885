"""The device and the precision that a setting means on this machine."""

from pathlib import Path

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


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has instructions for bfloat16 and torch's library for it; False where the system does not say.

    Without them torch computes the same ten times more slowly than in float32.
    """
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16"}) and torch.backends.mkldnn.is_available()


def select_precision(setting: str, device: torch.device) -> str:
    """The precision of a setting on a device: auto is bfloat16 where the processor or GPU computes in it, else float32."""
    on_gpu = device.type == "cuda"
    supported = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu_has_bfloat16()
    if setting == "auto":
        return "bfloat16" if supported else "float32"
    if setting == "bfloat16" and on_gpu and not supported:
        raise InputError(
            "training.precision: found bfloat16, which this GPU does not compute in; allowed are auto and float32"
        )
    return setting
