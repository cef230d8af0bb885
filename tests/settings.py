"""Small method settings for tests: the real settings files with a smaller network and a short schedule."""

import sys
from pathlib import Path
from typing import Any

import yaml

from interslice.common.schemas import read_yaml
from interslice.config import Study, load_method_settings, load_study
from interslice.methods.method_files import SCHEMA, completed

ROOT = Path(__file__).parent.parent
SMALL_NETWORK = {"depth": 8, "latent": 8}
SHORT_TRAINING = {
    "steps": 60,
    "batch": 4,
    "crop": 16,
    "in_plane": 0.0,  # phantoms are too thin for it
    "learning_rate": 0.005,
    "warmup_steps": 5,
    "validate_every": 30,
    "validation_slabs": 2,
    "checkpoint_every": 20,
    "device": "cpu",
}
# Methods that learn from the scan that they are given train inside `interpolate`.
SHORT_SELF_TRAINING = {
    "self_sr": {
        "network": {"blocks": 2, "channels": 16, "residual_scale": 0.1},
        "training": {"steps": 60, "batch": 4, "crop": 24, "learning_rate": 0.003},
    },
    "implicit": {
        "network": {"levels": 3, "features": 2, "layers": 1, "width": 16},
        "training": {"steps": 400, "batch": 512, "learning_rate": 0.01},
    },
    "fourier_burst": {"samples": 500, "anchors": 4, "neighbours": 100},
    "coupled_dictionary": {"samples": 500, "atoms": 16},
}
SMALL_SUPERVISED = {
    "srcnn3d": {},
    "srrecnn3d": {"layers": 4, "channels": 8},
    "unet": {"depth": 4},
    "segsrgan": {"channels": 4, "blocks": 1, "critic": {"channels": 4, "layers": 2}},
}
NO_PERCEPTUAL_LOSS = {"lpips": 0.0, "mse": 0.5}


def small_settings(method: str, **training: Any) -> dict[str, Any]:
    """The settings of config/methods/METHOD.yaml; trained ones are small, quick, and without the LPIPS term."""
    if method == "external":
        import warm  # by tests alone, not by the programs that they start

        return external(ROOT / "tests" / "stand_in_program.py", python=warm.python())
    if method == "precomputed":  # of no study, so it can be built and no more
        return {
            "method": method,
            "label": "Elsewhere",
            "role": "baseline",
            "learns_from": "nothing",
            "results": "{subject}",
        }
    settings = load_method_settings(method, ROOT)
    if method == "eclare":  # in float32, because torch takes seconds to load
        command = settings["command"].replace("bfloat16", "float32")
        program = f"{sys.executable} -P"
        return with_block_defaults(
            settings
            | {
                "command": command.replace(".eclare/bin/python -P", program)
                + f" --program {stand_in_for_eclare()}"
            }
        )
    if settings["role"] != "trained":
        return settings | SHORT_SELF_TRAINING.get(method, {})
    if method in SMALL_SUPERVISED:
        depth = 12 if method == "segsrgan" else 13  # a multiple of 4
        return settings | {
            "network": settings["network"] | SMALL_SUPERVISED[method],
            "training": settings["training"] | SHORT_TRAINING | {"depth": depth} | training,
        }
    if method == "motion_spline":
        return settings | {
            "network": settings["network"] | {"coarse": 1, "motion": [8, 8], "refine": [8]},
            "loss": settings["loss"] | {"margin": 2},
            "training": settings["training"] | SHORT_TRAINING | training,
        }
    if method == "slomo":
        return settings | {
            "network": {"depth": 8, "scales": 2},
            "training": settings["training"] | SHORT_TRAINING | training,
        }
    return settings | {
        "network": settings["network"] | SMALL_NETWORK,
        "synthesis": settings["synthesis"] | NO_PERCEPTUAL_LOSS,
        "training": settings["training"] | SHORT_TRAINING | training,
    }


def external(
    program: Path, options: str = "", python: str = sys.executable, **changes: Any
) -> dict[str, Any]:
    """The settings of a program from elsewhere, one of tests/."""
    command = f"{python} {program} {{input}} {{output}} {{factor}} {options}"
    names = {"method": "external", "label": "A program", "role": "baseline", "learns_from": "nothing"}
    return with_block_defaults({**names, "command": command, **changes})


def with_block_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    return completed(settings, read_yaml(ROOT / SCHEMA))


def stand_in_for_eclare() -> str:
    """The path of tests/stand_in_eclare.py, which the adapter runs in its own process."""
    return str(ROOT / "tests" / "stand_in_eclare.py")


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two configurations as Snakemake lays one over the other: mappings are merged, lists replaced."""
    both = {key: merged(first[key], second[key]) for key in first if isinstance(second.get(key), dict)}
    return {**first, **second, **both}


def study_of(*files: str, **changes: Any) -> Study:
    """The study of config/config.yaml with files of config/ and single keys laid over it."""
    config: dict[str, Any] = {}
    for name in ("config.yaml", *files):
        config = merged(config, yaml.safe_load((ROOT / "config" / name).read_text()))
    return load_study(merged(config, changes), ROOT)


def parameter_count(module):
    """Trainable parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())
