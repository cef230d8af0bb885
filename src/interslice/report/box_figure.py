"""Box plots over subjects with the brackets of the paired tests."""

from collections.abc import Mapping, Set

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from interslice.analysis.rows import SHOWN, check_labels, describe, select_metric
from interslice.report.formatting import decimals_of, format_p, format_value
from interslice.report.style import (
    WIDTH_INCHES,
    MethodStyle,
    ends,
    hidden_note,
    inside,
    method_styles,
    names_of,
    styled,
    title_above,
    value_label,
    visible_limits,
)
from interslice.scoring.longtable import subject_means

MANY = 1000  # subjects, whose points are drawn as pixels in a PDF
DATA_INCHES, BRACKET_INCHES, AROUND_INCHES = 2.1, 0.2, 0.45
# A line of text; a letter of a name under the axis, turned by 35 degrees.
LINE_INCHES, LETTER_INCHES = 0.14, 0.034


@styled
def metric_boxplots(
    means: pd.DataFrame,
    comparisons: pd.DataFrame,
    metric: str,
    *,
    region: str = "whole",
    labels: Mapping[str, str],
    controls: Set[str],
    supervised: Set[str] = frozenset(),
) -> Figure:
    """Box plots over subjects (whiskers: range; every subject a point), a panel per dataset and K.

    Of synthesised slices under the strict protocol. A bracket per row of `comparisons` (`comparisons.study_comparisons`)
    whose corrected p is below 1 carries it; many rows of p = 1 would be a wall. Panels of a dataset share the scale. With
    several seeds a thin line through a point shows its standard deviation over seeds. What is not finite or off the scale
    is named under the axis. Raises InputError as `metric_against_factor` does.
    """
    means = select_metric(means, metric, region, labels)
    subjects = subject_means(means, region=region)
    wanted = {**SHOWN, "metric": metric, "region": region}
    every = comparisons[
        (comparisons[list(wanted)] == list(wanted.values())).all(axis=1) & comparisons["K"].notna()
    ]
    tests = every[every["p_corrected"] < 1]
    methods = [method for method in labels if method in set(subjects["method"])]
    check_labels(
        pd.concat([every["method"], every["baseline"]]), {method: labels[method] for method in methods}
    )
    order = list(means["dataset"].unique())
    groups = sorted(
        subjects.groupby(["dataset", "K"]), key=lambda group: (order.index(group[0][0]), group[0][1])
    )
    most = max(len(_tests_of(tests, key)) for key, _ in groups)
    share = BRACKET_INCHES * most / (DATA_INCHES + BRACKET_INCHES * most)
    styles = method_styles(labels, controls, supervised)
    figure, panels, rows = _panels(len(groups))
    for axes, (key, part) in zip(panels, groups, strict=True):
        limits = _shared_limits(subjects[subjects["dataset"] == key[0]], controls)
        axes.set_xlabel(hidden_note(_boxes(axes, part, methods, styles, limits)).strip())
        axes.set_ylabel(value_label(metric), y=(1 - share) / 2)  # beside the data, not the brackets
        axes.set_title(f"{key[0]}, K = {key[1]} (n = {part['subject'].nunique()})")
        _value_axis(axes, limits, share)
        _draw_brackets(axes, _tests_of(tests, key), methods, share)
    what = describe(wanted).capitalize() + _what_brackets_are(len(every), len(tests))
    title = title_above(figure, what, names_of(styles))
    under = LETTER_INCHES * max(map(len, names_of(styles)))
    under += LINE_INCHES * max(axes.get_xlabel().count("\n") + 1 for axes in panels)
    height = DATA_INCHES + BRACKET_INCHES * most + AROUND_INCHES + under
    figure.set_figheight(rows * height + LINE_INCHES * title)
    return figure


def _what_brackets_are(tested: int, drawn: int) -> str:
    if not drawn:
        return (
            f"; signed-rank test, corrected p: 1 or undefined in all {tested} comparisons" if tested else ""
        )
    return "; signed-rank test, corrected p" + (" where it is below 1" if drawn < tested else "")


def _panels(count: int) -> tuple[Figure, list[Axes], int]:
    """At most two panels a row, and how many rows that are."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_INCHES if columns > 1 else 4.6, 4))
    panels = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count], rows


def _tests_of(tests: pd.DataFrame, key: tuple) -> pd.DataFrame:
    return tests[(tests["dataset"] == key[0]) & (tests["K"] == key[1])]


def _shared_limits(subjects: pd.DataFrame, controls: Set[str]) -> tuple[float, float]:
    control = subjects["method"].isin(controls)
    spans = ends(subjects["value"], subjects["seed_sd"])
    return visible_limits(spans[~control], spans[control])


def _boxes(
    axes: Axes,
    subjects: pd.DataFrame,
    methods: list[str],
    styles: dict[str, MethodStyle],
    limits: tuple[float, float],
) -> list[tuple[str, str]]:
    """Draw a box and its points per method; return what is not drawn, and why."""
    order, hidden = sorted(subjects["subject"].unique()), list[tuple[str, str]]()
    decimals = decimals_of(str(subjects["metric"].iloc[0]))
    places = dict(zip(order, np.linspace(-0.18, 0.18, len(order)) if len(order) > 1 else [0.0], strict=True))
    for x, method in enumerate(methods):
        own, style = subjects[subjects["method"] == method], styles[method]
        shown = own[inside(own["value"], own["seed_sd"], limits)]
        away = own.drop(shown.index)["value"]
        if len(away):
            values = " to ".join(
                dict.fromkeys(format_value(value, decimals) for value in (away.min(), away.max()))
            )
            hidden.append((style.name, f"{len(away)} of {len(own)}: {values}"))
        if len(shown) == 0:
            continue
        lines = {"color": style.colour}
        box = axes.boxplot(
            shown["value"], positions=[x], widths=0.62, whis=(0, 100), patch_artist=True,
            medianprops={"color": "black"}, whiskerprops=lines, capprops=lines,
        )["boxes"][0]  # fmt: skip
        box.set(facecolor=mpl.colors.to_rgba(style.colour, 0.25), edgecolor=style.colour, hatch=style.hatch)
        at = x + shown["subject"].map(places)
        pixels, spread = len(shown) > MANY, shown["seed_sd"] > 0
        spans = ends(shown["value"], shown["seed_sd"])[spread]
        axes.vlines(at[spread], *spans.T, color="0.2", linewidth=0.6, rasterized=pixels)
        axes.plot(
            at, shown["value"], linestyle="", marker=style.marker, color=style.colour, markersize=4,
            markeredgecolor="black", markeredgewidth=0.4, zorder=3, gid=f"subjects-{method}", rasterized=pixels,
        )  # fmt: skip
    axes.set_xticks(
        range(len(methods)),
        [styles[m].name for m in methods],
        rotation=35,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_xlim(-0.6, len(methods) - 0.4)
    return hidden


def _value_axis(axes: Axes, limits: tuple[float, float], brackets: float) -> None:
    """Keep the top share `brackets` of the axes free of data and ticks."""
    low, high = limits
    ticks = [tick for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high]
    axes.set_yticks(ticks)
    axes.set_ylim(low, low + (high - low) / (1 - brackets))
    axes.spines["left"].set_bounds(low, high)


def _draw_brackets(axes: Axes, tests: pd.DataFrame, methods: list[str], share: float) -> None:
    """One level per bracket, the narrow ones lowest, so that no bracket or p crosses another."""
    spans = [
        sorted((methods.index(test["method"]), methods.index(test["baseline"])))
        for _, test in tests.iterrows()
    ]
    levels = sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i]))
    for level, i in enumerate(levels):
        left, right = spans[i]
        step = share / len(spans)
        y, across = 1 - share + step * (level + 0.35), axes.get_xaxis_transform()
        foot = y - 0.2 * step
        corners = [left, left, right, right], [foot, y, y, foot]
        axes.plot(*corners, color="black", linewidth=0.7, transform=across, gid="bracket")
        text = format_p(float(tests["p_corrected"].iloc[i]))
        axes.annotate(
            text, ((left + right) / 2, y), xycoords=across, xytext=(0, 1), textcoords="offset points",
            ha="center", va="bottom", fontsize=6, gid="bracket-p",
        )  # fmt: skip
