"""The rates of a blind reader study as a table for people."""

import math
from collections.abc import Sequence

import pandas as pd

from interslice.analysis.reader_analysis import REFERENCE, Answers, agreement, reader_rates
from interslice.report.formatting import Cell, ShownTable, format_p, format_value, number, table_of

NOTES = (
    "Synthesised slices: higher is easier to tell from real. Real slices: how often a real one was called synthesised, which "
    "is the rate of a method that nobody can tell.",
    "Intervals: Clopper-Pearson. p: Fisher's exact test that the method is called synthesised more often than real slices "
    "are. Both take every answer as independent; those of one reader, or of several on the same images, are not quite.",
)


def shown_analysis(items: pd.DataFrame, answers: Sequence[Answers], confidence: float = 0.95) -> ShownTable:
    """The rates as a table for people, agreement and what is missing in its notes."""
    rates = reader_rates(items, answers, confidence)
    interval = f"{100 * confidence:g} % interval"
    rows = [_cells(row, interval) for _, row in rates.iterrows()]
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
    return table_of("Blind reader study", rows, notes)


def _cells(row: pd.Series, interval: str) -> dict[str, Cell | str]:
    real = row["method"] == REFERENCE
    p = "" if real else format_p(row["p"]).removeprefix("p ").removeprefix("= ")
    limits = f"{format_value(row['ci_low'], 2)} to {format_value(row['ci_high'], 2)}"
    return {
        "Slices of": "real (reference)" if real else row["method"],
        "Reader": row["reader"],
        "Called synthesised": Cell(f"{row['called']} of {row['n']}", row["called"]),
        "Rate": number(row["rate"], 2),
        interval: Cell(limits, row["ci_low"]),
        "p": Cell(p, row["p"]),
        "Median time (s)": number(row["seconds"], 1),
    }
