"""What comes with the package as files: the settings of methods, and finished models with their card."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SETTINGS, PRETRAINED = FOLDER / "settings", FOLDER / "pretrained"


def read_settings(name: str) -> dict[str, Any]:
    """The settings of a method as the file that studies read has them (config/methods is a link), for any dataset."""
    settings: dict[str, Any] = yaml.safe_load((SETTINGS / f"{name}.yaml").read_text())
    settings.pop("datasets", None)
    return settings
