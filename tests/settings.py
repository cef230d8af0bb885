"""Small method settings for tests: the real settings files with a smaller network and a short schedule."""

from pathlib import Path
from typing import Any

from interslice.config import load_method_settings

ROOT = Path(__file__).parent.parent
SMALL_NETWORK = {"depth": 8, "latent": 8}
SHORT_TRAINING = {
    "steps": 60,
    "batch": 4,
    "crop": 16,
    "learning_rate": 0.005,
    "warmup_steps": 5,
    "validate_every": 30,
    "validation_slabs": 2,
    "checkpoint_every": 20,
    "device": "cpu",
}
NO_PERCEPTUAL_LOSS = {"lpips": 0.0, "mse": 0.5}


def small_settings(method: str, **training: Any) -> dict[str, Any]:
    """The settings of config/methods/METHOD.yaml; trained ones are small, quick, and without the LPIPS term."""
    settings = load_method_settings(method, ROOT)
    if settings["role"] != "trained":
        return settings
    return settings | {
        "network": settings["network"] | SMALL_NETWORK,
        "synthesis": settings["synthesis"] | NO_PERCEPTUAL_LOSS,
        "training": settings["training"] | SHORT_TRAINING | training,
    }
