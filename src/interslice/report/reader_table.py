"""The rates of a blind reader study as a table for people."""

import math
from collections.abc import Sequence

import pandas as pd

from interslice.analysis.reader_analysis import REFERENCE, Answers, agreement, reader_rates
from interslice.report.formatting import Cell, Row, ShownTable, format_p, format_value, number, words

NOTES = (
    "Synthesised slices: higher is easier to tell from real. Real slices: how often a real one was called synthesised, which "
    "is the rate of a method that nobody can tell.",
    "Intervals: Clopper-Pearson. p: Fisher's exact test that the method is called synthesised more often than real slices "
    "are. Both take every answer as independent; those of one reader, or of several on the same images, are not quite.",
)


def shown_analysis(items: pd.DataFrame, answers: Sequence[Answers], confidence: float = 0.95) -> ShownTable:
    """The rates as a table for people, agreement and what is missing in its notes."""
    rates = reader_rates(items, answers, confidence)
    rows = tuple(Row(_cells(row)) for _, row in rates.iterrows())
    header = (
        "Slices of",
        "Reader",
        "Called synthesised",
        "Rate",
        f"{100 * confidence:g} % interval",
        "p",
        "Median time (s)",
    )
    notes = list(NOTES)
    if len(answers) > 1:
        name, value, common = agreement(answers)
        worth = "not defined: all answers are the same" if math.isnan(value) else f"{value:.2f}"
        notes.append(f"Agreement of {len(answers)} readers on {common} images, {name}: {worth}.")
    notes += [
        f"{one.reader} answered {len(one.table)} of {len(items)} images."
        for one in answers
        if len(one.table) < len(items)
    ]
    broken = sum(int(one.table["interrupted"].sum()) for one in answers)
    if broken:
        notes.append(
            f"{broken} answers were interrupted (page left or reloaded): counted, their times left out."
        )
    return ShownTable("Blind reader study", header, rows, tuple(notes))


def _cells(row: pd.Series) -> tuple[Cell, ...]:
    name = "real (reference)" if row["method"] == REFERENCE else row["method"]
    interval = f"{format_value(row['ci_low'], 2)} to {format_value(row['ci_high'], 2)}"
    p = "" if row["method"] == REFERENCE else format_p(row["p"]).removeprefix("p ").removeprefix("= ")
    return (
        *words(name, row["reader"]),
        Cell(f"{row['called']} of {row['n']}", row["called"]),
        number(row["rate"], 2),
        Cell(interval, row["ci_low"]),
        Cell(p, row["p"]),
        number(row["seconds"], 1),
    )
