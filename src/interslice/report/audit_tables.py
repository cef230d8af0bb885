"""The audit as tables for people: what each item changes, which claims hold under which protocol, every comparison."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interslice.analysis.audit import EXPLAINED, HOLDS, PLACE, TITLES
from interslice.report.formatting import (
    Cell,
    ShownTable,
    decimals_of,
    estimated,
    format_p,
    format_value,
    metric_name,
    number,
    table_of,
)
from interslice.scoring.released_protocol import ITEMS, PROTOCOLS, STRICT

ITEMS_TEXT = "What is switched: " + "; ".join(f"{TITLES[item]}: {EXPLAINED[item]}" for item in ITEMS) + "."
PAPERS, OWN = "The paper's methods under its protocol", "Methods of this project under the paper's protocol"
SUMMARY_NOTES = (
    "A comparison is one dataset, K, metric, trained method and baseline; the claim is that the trained method is better. "
    "Changed, flips: against strict. A protocol has fewer comparisons where it was not released for a dataset.",
    "Under strict the test is two-sided, corrected for false discoveries; a claim holds where p is below 0.05 and the "
    "difference favours the method.",
)
CLAIMS_NOTE = "Difference under each protocol, positive where the method is better. ●: the claim holds. ★: the ranking flips."


def by_origin(table: pd.DataFrame, own: frozenset[str]) -> dict[str, pd.DataFrame]:
    """The rows of the paper's methods (and of those that it is compared with) and of this project's own, by title."""
    mine = table["method"].isin(own)
    parts = {PAPERS: table[~mine], OWN: table[mine]}
    return {title: part for title, part in parts.items() if len(part)}


def shown_summary(title: str, table: pd.DataFrame) -> ShownTable:
    """How often each protocol changes a difference, flips a ranking and makes a claim hold; a row per protocol."""
    rows = []
    for protocol in PROTOCOLS:
        part = table[table["protocol"] == protocol]
        ahead, flips = part["estimate"] > 0, part["flipped"].astype(bool)
        counts = {
            "Comparisons": len(part),
            "Changed": part["changed"].sum(),
            "Method ahead": ahead.sum(),
            "Ranking flips": flips.sum(),
            "in its favour": (flips & ahead).sum(),
            "Claim holds": (part["claim"] == HOLDS).sum(),
        }
        cells = {name: Cell(str(int(count)), int(count)) for name, count in counts.items()}
        rows.append({"Protocol": TITLES[protocol], **cells})
    return table_of(title, rows, SUMMARY_NOTES)


def shown_claims(title: str, table: pd.DataFrame, labels: Mapping[str, str]) -> ShownTable:
    """Every comparison in one row, its difference under every protocol with what holds and flips."""
    rows = []
    for place, part in table.groupby(PLACE, sort=False):
        dataset, factor, metric, method, baseline = map(str, place)
        own = {row["protocol"]: row for _, row in part.iterrows()}
        who = {"Comparison": f"{labels[method]} – {labels[baseline]}", "Dataset": dataset, "K": factor}
        cells = {TITLES[name]: _claim(own[name], metric) if name in own else "–" for name in PROTOCOLS}
        rows.append({**who, "Metric": metric_name(metric), **cells})
    return table_of(f"{title}: what holds", rows, (CLAIMS_NOTE,))


def _claim(row: pd.Series, metric: str) -> Cell:
    marks = f"{'●' * (row['claim'] == HOLDS)}{'★' * bool(row['flipped'])}"
    return Cell(
        f"{format_value(row['estimate'], decimals_of(metric))} {marks}".strip(), float(row["estimate"])
    )


def shown_audit(table: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, list[ShownTable]]:
    """The audit table for people, one per comparison; by dataset, K and metric."""
    shown: dict[str, list[ShownTable]] = {}
    for place, part in table.groupby(PLACE, sort=False):
        dataset, factor, metric, method, baseline = map(str, place)
        rows = [_audit_cells(row, decimals_of(metric)) for _, row in part.iterrows()]
        infinite = np.isinf(part[["method_mean", "baseline_mean"]].to_numpy(float)).any()
        notes = ["∞: kept slices that a method passes through equal the reference."] if infinite else []
        lost = [f"{TITLES[row['protocol']]} {row['dropped']}" for _, row in part.iterrows() if row["dropped"]]
        if lost:
            notes.append(f"Scores that are not finite and left out, as released: {'; '.join(lost)}.")
        group = f"{dataset}, K = {factor}, {metric_name(metric)}"
        caption = f"{group}: {labels[method]} against {labels[baseline]}"
        shown.setdefault(group, []).append(table_of(caption, rows, notes))
    return shown


def _audit_cells(row: pd.Series, decimals: int) -> dict[str, Cell | str]:
    ranking = "flipped" if row["flipped"] else "same" if row["changed"] else "unchanged by this item"
    return {
        "Protocol": TITLES[row["protocol"]],
        "n": Cell(f"{row['n']} {row['unit']}s", float(row["n"])),
        "Method": number(row["method_mean"], decimals),
        "Baseline": number(row["baseline_mean"], decimals),
        "Difference [interval]": estimated(row, decimals + 1),
        "p": Cell(f"{format_p(row['p'])}, {row['alternative']}", float(row["p"])),
        "p corrected": Cell(
            f"{format_p(row['p_corrected'])}, {row['correction']}", float(row["p_corrected"])
        ),
        "Method better?": row["claim"],
        "Ranking": Cell("" if row["protocol"] == STRICT else ranking, ranking),
    }
