"""The metrics: one table. Adding a metric is an entry here and its function.

Functions are named, not imported, as entries of `code_digest` are: "module:function". So a table or a figure that
needs a metric's label does not wait for torch, and a new or edited metric reruns nothing but its own scores. What
volumes are made with (the sizes of lesions) lies with the code that makes them: nobody follows this table.
"""

import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from interslice.scoring.lesions import DIAMETERS_MM


@dataclass(frozen=True)
class Metric:
    """A metric of the long table.

    label: its name for people, without the `unit`. function: "module:name", called for each slice, volume or image of
    a line, as `per` says; `needs` says what it is given besides the pair that is compared (`slices.score_volume`,
    `volumes.score_whole`); several: it takes a list of masks, which share a map, and returns as many values. best: as large
    or as small as can be (inf, -inf), or one value from which both sides are worse. smallest_side: of a slice, in pixels.
    diameter_mm: of the lesions, 0 where there are none. citation and text: who defined it and what it is, for the methods
    text of a paper.
    """

    label: str
    function: str
    best: float
    text: str
    citation: str = ""
    unit: str = ""
    decimals: int = 3
    per: Literal["slice", "volume", "line"] = "slice"
    needs: Literal["", "lpips_network", "lesions", "labels"] = ""
    smallest_side: int = 1
    diameter_mm: int = 0
    several: bool = False

    def load(self) -> Callable[..., Any]:
        """The function itself."""
        return pkgutil.resolve_name(self.function)

    def load_regions(self) -> Callable[..., Any]:
        """(image, reference, masks, data_range) to a value per mask."""
        return self.load() if self.several else one_by_one(self.load())

    @property
    def better(self) -> str:
        """Which way is better, in words."""
        if math.isfinite(self.best):
            return f"nearer to {self.best:g}"
        return "higher" if self.best > 0 else "lower"

    @property
    def sentence(self) -> str:
        """Label, citation and text, as the methods text of a paper has them."""
        details = ": ".join(filter(None, [self.citation, self.text]))
        return f"{self.label} ({details})"


def one_by_one(measure: Callable[..., float]) -> Callable[..., list[float]]:
    """A measure of one mask as a function of several: (image, reference, masks, data_range) to a value per mask."""

    def of_all(image: Any, reference: Any, masks: Any, *, data_range: float) -> list[float]:
        return [measure(image, reference, data_range=data_range, mask=mask) for mask in masks]

    return of_all


SIMILARITY = "interslice.common.similarity"
EDGES_AND_TISSUE = "interslice.scoring.edges_and_tissue"
VOLUMES = "interslice.scoring.volumes"
LESIONS = "interslice.scoring.lesions"
LINES = "interslice.scoring.lines"


def lesion_metric(measure: str, diameter_mm: int) -> str:
    """The name of a measure of inserted lesions of one diameter."""
    return f"lesion_{measure}_{diameter_mm}mm"


# Of inserted spheres, on synthesised slices; each for every diameter.
LESION_MEASURES = (
    (
        "error",
        "Relative error",
        "relative_error",
        -math.inf,
        "Euclidean, of inserted spheres in a padded box",
    ),
    (
        "contrast",
        "Contrast",
        "recovered_contrast",
        1.0,
        "share of the contrast of inserted spheres that comes back",
    ),
    (
        "false",
        "False signal",
        "false_signal",
        -math.inf,
        "outside inserted spheres, as a share of what was inserted",
    ),
)
# In the order of tables and figures.
METRICS = {
    "ssim": Metric(
        "SSIM",
        f"{SIMILARITY}:ssim_regions",
        math.inf,
        "Gaussian window of 1.5 pixels, data range 1",
        "Wang et al. 2004",
        smallest_side=11,
        several=True,
    ),
    "psnr": Metric("PSNR", f"{SIMILARITY}:psnr", math.inf, "data range 1", unit="dB", decimals=2),
    "vif": Metric(
        "VIF",
        f"{SIMILARITY}:vif_regions",
        math.inf,
        "pixel domain, float64 on a 0–255 scale",
        "Sheikh and Bovik 2006",
        smallest_side=41,
        several=True,
    ),
    "lpips": Metric(
        "LPIPS",
        "interslice.scoring.lpips:lpips_regions",
        -math.inf,
        "version 0.1, grey values in three channels",
        "Zhang et al. 2018",
        needs="lpips_network",
        smallest_side=31,  # of the backbones AlexNet needs most
        several=True,
    ),
    "edge_error": Metric(
        "Error at edges",
        f"{EDGES_AND_TISSUE}:edge_error",
        -math.inf,
        "mean absolute error where the Sobel magnitude of the reference is above its Otsu threshold",
        smallest_side=3,
    ),
    "flat_error": Metric(
        "Error off edges",
        f"{EDGES_AND_TISSUE}:flat_error",
        -math.inf,
        "mean absolute error where the Sobel magnitude of the reference is not above its Otsu threshold",
        smallest_side=3,
    ),
    "mtf50": Metric(
        "Through-plane MTF50",
        f"{VOLUMES}:mtf50",
        math.inf,
        "frequency along the slice axis at which half of the reference's contrast is left",
        unit="cycles/mm",
        per="volume",
    ),
    "dice": Metric(
        "Tissue Dice",
        f"{VOLUMES}:dice",
        math.inf,
        "mean over three multi-Otsu classes of the synthesised slices",
        per="volume",
    ),
    "volume_error": Metric(
        "Tissue volume error",
        f"{VOLUMES}:volume_error",
        -math.inf,
        "relative, mean over three multi-Otsu classes of the synthesised slices",
        per="volume",
    ),
    "label_dice": Metric(
        "Label Dice",
        "interslice.scoring.label_agreement:label_dice",
        math.inf,
        "mean over an expert's labels, on the synthesised slices; these are segmented by random walks from where the labels "
        "of both kept slices beside them agree",
        "Grady 2006",
        per="volume",
        needs="labels",
    ),
    **{
        lesion_metric(name, diameter): Metric(
            f"{label}, {diameter} mm lesions",
            f"{LESIONS}:{function}",
            best,
            text,
            per="volume",
            needs="lesions",
            diameter_mm=diameter,
        )
        for name, label, function, best, text in LESION_MEASURES
        for diameter in DIAMETERS_MM
    },
    "mean_distance": Metric(
        "Mean Distance",
        f"{LINES}:nearest_lines",
        -math.inf,
        "cosine distance to the nearest line",
        "Berthelot et al. 2018",
        decimals=4,
        per="line",
    ),
    "smoothness": Metric(
        "Smoothness",
        f"{LINES}:smoothness",
        -math.inf,
        "largest step of the angle over its total, less that of equal steps",
        "Berthelot et al. 2018",
        per="line",
    ),
}
# What a study may ask for (`evaluation.metrics`): those of lines have a step of their own.
SLICE_METRICS = tuple(name for name, metric in METRICS.items() if metric.per == "slice")
VOLUME_METRICS = tuple(name for name, metric in METRICS.items() if metric.per == "volume")
LESION_METRICS = tuple(name for name, metric in METRICS.items() if metric.needs == "lesions")
LINE_METRICS = tuple(name for name, metric in METRICS.items() if metric.per == "line")
