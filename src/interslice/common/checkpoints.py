"""Checkpoints: what was trained, with what, how far. Read with weights only, so that no file can run code."""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from interslice.common.errors import InputError
from interslice.common.files import replacing

FORMAT = 1
# What the unpickler raises for a file that is cut, is none of torch's, or holds more than weights.
NO_CHECKPOINT = (
    RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write a dictionary of tensors and plain values; the file is whole or not there."""
    # An open file, not a name: torch writes the name into the archive, and equal states should give equal files.
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save({"format": FORMAT, **state}, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; InputError where the file is not one of ours."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: not a readable checkpoint ({error.strerror or error})") from error
    except NO_CHECKPOINT as error:  # torch explains at length how to read it all the same, which may run code
        raise InputError(
            f"{path}: not a readable checkpoint of interslice, it is cut or of another program"
        ) from error
    if not isinstance(state, dict) or "format" not in state:
        raise InputError(f"{path}: found a checkpoint of another program, allowed are those of interslice")
    if state["format"] != FORMAT:
        raise InputError(f"{path}: found checkpoint format {state['format']}, allowed is {FORMAT}")
    return state


# What shapes a training, but not the function that its weights are of. Any other key of the settings is compared.
NO_ARCHITECTURE = (
    "label", "role", "checkpoint", "training", "synthesis", "loss", "adversarial", "beta", "optional",
    "slice_profile", "back_projections",
)  # fmt: skip
LEFT_OUT = {"output": "sigmoid"}  # what a key means that a file does not have


def load_weights(path: Path, settings: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The best weights of a finished training of the same architecture; InputError names the first key that differs."""
    state = read_checkpoint(path)
    trained = state["settings"]
    for key in dict.fromkeys([*trained, *settings]):
        found, asked = (one.get(key, LEFT_OUT.get(key)) for one in (trained, settings))
        if key not in NO_ARCHITECTURE and found != asked:
            raise InputError(f"{path}: found {key} {found}, the configuration says {asked}")
    return state["weights"]
