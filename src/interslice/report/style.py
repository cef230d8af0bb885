"""The one style of all figures, and how they are written to files.

Colours of Okabe and Ito (2008); methods are told apart in grey print by marker, line and hatch as well.
"""

import functools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.report.formatting import marks_note, metric_name
from interslice.scoring.registry import METRICS

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 8, "axes.titlesize": 9,
    "axes.labelsize": 8, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "legend.fontsize": 7.5,
    "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "lines.linewidth": 1.2, "lines.markersize": 5, "hatch.linewidth": 0.5, "savefig.dpi": 200,
    "figure.constrained_layout.use": True, "pdf.fonttype": 42, "svg.hashsalt": "interslice",
}  # fmt: skip
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = "osD^vP*X"
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
MUTED, WIDTH_INCHES, NO_BREAK = "0.55", 7.2, "\N{NO-BREAK SPACE}"
Arguments = ParamSpec("Arguments")
METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "ModDate": None},
    ".png": {},
    ".svg": {"Date": None},
}


@dataclass(frozen=True)
class MethodStyle:
    """How a method looks in every figure of a study, and its name there."""

    name: str
    colour: str
    marker: str
    line: Any
    hatch: str

    @property
    def drawn(self) -> dict[str, Any]:
        """What matplotlib needs to draw its line."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line, "label": self.name}


def method_styles(
    labels: Mapping[str, str], controls: Set[str] = frozenset(), supervised: Set[str] = frozenset()
) -> dict[str, MethodStyle]:
    """A style per method by its place among those compared; controls are grey, supervised methods have a dagger."""
    styles, i, muted = {}, 0, iter("x+12")
    for method, label in labels.items():
        look: Iterable[Any] = (MUTED, next(muted, "|"), (0, (1, 2)), "")
        if method not in controls:
            look = (kinds[i % len(kinds)] for kinds in (COLOURS, MARKERS, LINES, HATCHES))
            i += 1
        styles[method] = MethodStyle(label + ("†" if method in supervised else ""), *look)
    return styles


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """A function whose figure is drawn in the one style."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*arguments, **named)

    return drawn


def names_of(styles: Mapping[str, MethodStyle]) -> list[str]:
    """The names of the methods that a figure shows."""
    return [style.name for style in styles.values()]


def save(figure: Figure, *paths: str | Path) -> None:
    """Write a figure as PDF, PNG (200 dpi) or SVG: whole or not at all, and equal bytes for equal figures."""
    for path in map(Path, paths):
        if path.suffix not in METADATA:
            raise InputError(
                f"{path}: a figure cannot be written as {path.suffix!r}, allowed are {list(METADATA)}"
            )
        with replacing(path) as temporary, mpl.rc_context(STYLE):
            figure.savefig(temporary, format=path.suffix[1:], metadata=METADATA[path.suffix])


def visible_limits(compared: np.ndarray, controls: np.ndarray) -> tuple[float, float]:
    """Limits of a value axis from the (n, 2) lower and upper ends of what is compared and of the controls.

    All finite ends compared are inside. A control further away than the whole range of what is compared stays
    outside, because it would take more than half of the axis.
    """
    finite = compared[np.isfinite(compared)]
    if finite.size == 0:
        finite = controls[np.isfinite(controls)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    reach = max(high - low, 1e-6 * max(1.0, abs(high)))
    near = controls[(controls[:, 0] >= low - reach) & (controls[:, 1] <= high + reach)]
    low, high = min([low, *near[:, 0]]), max([high, *near[:, 1]])
    margin = 0.06 * max(high - low, reach)
    return low - margin, high + margin


def ends(values: pd.Series, spread: pd.Series) -> np.ndarray:
    """Lower and upper ends (n, 2) of values with their spread; the value itself where the spread is NaN."""
    spread = spread.fillna(0)
    return np.stack([values - spread, values + spread], axis=1)


def inside(values: pd.Series, spread: pd.Series, limits: tuple[float, float]) -> np.ndarray:
    """Which values lie within the limits with their whole spread."""
    both = ends(values, spread)
    return (both[:, 0] >= limits[0]) & (both[:, 1] <= limits[1])


def value_label(metric: str) -> str:
    """The label of a value axis: name, unit and direction."""
    return f"{metric_name(metric)}, {METRICS[metric].better} is better"


def legend_below(figure: Figure) -> None:
    """One legend of all panels under them, in as many columns as fit the figure's width, at most five."""
    found = [axes.get_legend_handles_labels() for axes in figure.axes]
    entries = {name: handle for handles, names in found for handle, name in zip(handles, names, strict=True)}
    for columns in (5, 4, 3, 2, 1):
        legend = figure.legend(entries.values(), entries, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def title_above(figure: Figure, text: str, names: Iterable[str] = (), fontsize: float = 7.5) -> int:
    """A title over all panels, and what marks on names mean; returns how many lines, of which none is wider than the figure."""
    columns = int(figure.get_figwidth() * 72 / (0.56 * fontsize))  # a letter is about so wide
    lines = [
        part for line in [*text.splitlines(), *marks_note(names)] for part in textwrap.wrap(line, columns)
    ]
    figure.suptitle("\n".join(lines), fontsize=fontsize)
    return len(lines)


def hidden_note(hidden: Sequence[tuple[str, str]], columns: int = 56) -> str:
    """What is not drawn, from pairs of a name and why: for each reason its names, broken at `columns` letters."""
    names: dict[str, list[str]] = {}
    for name, why in hidden:
        names.setdefault(why, []).append(name)
    return "".join(
        # A reason stays on one line.
        "\n" + textwrap.fill(f"not drawn: {', '.join(those)} ({why.replace(' ', NO_BREAK)})", columns)
        for why, those in names.items()
    ).replace(NO_BREAK, " ")
