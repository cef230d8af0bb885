"""What comes with the package as files: the settings of methods, and finished models with their card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SETTINGS, PRETRAINED = FOLDER / "settings", FOLDER / "pretrained"
THICKNESS = "thickness"  # as slice profile of a scan of one's own: a slab as thick as its slices
# Of a gap or thickness: so far beside what a model was trained for it is still used without a word.
ALIKE = 0.25


@dataclass(frozen=True)
class Finished:
    """What a model was trained for, each from and to: factors K, gaps and slice thickness in mm (None: not known).

    It runs elsewhere too; then the tool says so, and does not take it by itself.
    """

    factors: tuple[int, int]
    gaps_mm: tuple[float, float] | None = None
    thickness_mm: tuple[float, float] | None = None
    tried: bool = True  # by `--method auto`

    def strange(self, ratio: float, gap_mm: float, thickness_mm: float | None = None) -> str:
        """What of a task this model was not trained for, in words; nothing where it was. thickness_mm: None if unknown."""
        factors = " to ".join(str(factor) for factor in dict.fromkeys(self.factors))
        if not self.factors[0] <= round(ratio) <= self.factors[1]:
            return f"trained for K = {factors}, here it is {ratio:.4g}"
        for what, known, found in (
            ("gaps of", self.gaps_mm, gap_mm),
            ("slices with a thickness of", self.thickness_mm, thickness_mm),
        ):
            if known and found and not known[0] * (1 - ALIKE) <= found <= known[1] * (1 + ALIKE):
                sizes = " to ".join(f"{size:g}" for size in dict.fromkeys(known))
                return f"trained on {what} {sizes} mm, here it is {found:.4g} mm"
        return ""


# The paper's autoencoder is behind the spline in every table of this project: trying it on a scan costs time for nothing.
# Every file NAME.pt in PRETRAINED, and nothing else: the one list of finished models.
FINISHED = {
    "cae_K2": Finished((2, 2), (2.0, 2.0), (2.0, 2.0), tried=False),
    "cae_K4": Finished((4, 4), (4.0, 4.0), (4.0, 4.0), tried=False),
    "cae_residual_K2": Finished((2, 2), (2.0, 2.0), (1.0, 1.0)),
    "cae_residual_K4": Finished((4, 4), (4.0, 4.0), (1.0, 1.0)),
    "motion_spline": Finished((2, 8)),  # one for all: it is told the gap
}


def read_settings(name: str) -> dict[str, Any]:
    """The settings of a method as the file that studies read has them (config/methods is a link), for any dataset."""
    settings: dict[str, Any] = yaml.safe_load((SETTINGS / f"{name}.yaml").read_text())
    settings.pop("datasets", None)
    return settings
