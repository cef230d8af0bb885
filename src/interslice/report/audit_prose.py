"""The audit in words: every sentence is put together from the numbers of the audit table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from interslice.analysis.audit import AHEAD, EXPLAINED, FAILS, HOLDS, PLACE, TITLES, UNDEFINED
from interslice.report.formatting import (
    Cell,
    Row,
    ShownTable,
    decimals_of,
    format_p,
    format_value,
    metric_name,
)
from interslice.report.methods_text import listed
from interslice.scoring.released_protocol import AS_PUBLISHED, ITEMS, STRICT

EVERYWHERE = {
    HOLDS: "holds under every protocol",
    AHEAD: "is shown under no protocol, though the median difference points that way under all",
    FAILS: "holds under no protocol",
    UNDEFINED: "can be tested under no protocol",
}
CLAIM_WORDS = {
    HOLDS: "holds under",
    AHEAD: "is not shown, though the median difference points that way, under",
    FAILS: "does not hold under",
    UNDEFINED: "cannot be tested under",
}
AUDIT_HEADER = (
    "Protocol", "n", "Method", "Baseline", "Median difference [interval]", "p", "p corrected", "Method better?", "Ranking",
)  # fmt: skip


def items_text() -> str:
    """What is switched, one item a sentence part."""
    return "; ".join(f"{TITLES[item]}: {EXPLAINED[item]}" for item in ITEMS) + "."


def claims(table: pd.DataFrame, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """(the claim, what the protocols say of it), for every dataset, K, metric and pair, in the table's order."""
    found = []
    in_summary = _common_reach(table)
    for place, rows in table.groupby(PLACE, sort=False):
        dataset, factor, metric, method, baseline = map(str, place)
        name = f"“{labels[method]} beats {labels[baseline]}”"
        where = f"{dataset}, K = {factor}, {metric_name(metric)}"
        verdict = _verdict(rows) if in_summary else f"{_verdict(rows)} {_reach(rows)}".strip()
        found.append((f"{where}: {name}", verdict))
    return found


def _verdict(rows: pd.DataFrame) -> str:
    sentences = []
    for state, words in CLAIM_WORDS.items():
        protocols = list(rows.loc[rows["claim"] == state, "protocol"])
        if len(protocols) == len(rows):
            return f"It {EVERYWHERE[state]}: {_extent(rows)}."
        if protocols:
            sentences.append(f"{words} {listed([_named(protocol) for protocol in protocols])}")
    text = f"It {'; it '.join(sentences)}: {_extent(rows)}."
    flips = rows[rows["flipped"]]
    alone = [_named(protocol) for protocol in flips["protocol"] if protocol != AS_PUBLISHED]
    if alone:
        text += f" The ranking flips with {listed(alone)} alone."
    if AS_PUBLISHED in set(flips["protocol"]):
        text += f" {'It' if alone else 'The ranking'} flips with all items together."
    elif alone:
        text += " With all items together it does not."
    return text


def _named(protocol: str) -> str:
    return {STRICT: "strict", AS_PUBLISHED: "all items together"}.get(protocol, f"‘{TITLES[protocol]}’")


def _extent(rows: pd.DataFrame) -> str:
    """The difference under strict and under all items."""
    decimals = decimals_of(rows["metric"].iloc[0])
    texts = []
    for protocol in (STRICT, AS_PUBLISHED):
        row = rows[rows["protocol"] == protocol].iloc[0]
        difference = format_value(row["median_difference"], decimals)
        sign = "+" if row["median_difference"] > 0 and np.isfinite(row["median_difference"]) else ""
        corrected = format_p(row["p_corrected"])
        if row["p_corrected"] < 1:
            corrected += " corrected"
        texts.append(f"{sign}{difference} ({corrected}) under {_named(protocol)}")
    return f"median difference {texts[0]}, {texts[1]}"


def _reach(rows: pd.DataFrame) -> str:
    """Where the number of subjects alone decides that no claim can hold."""
    strict = rows[rows["protocol"] == STRICT].iloc[0]
    if strict["p_corrected_min"] < 0.05 or np.isnan(strict["p_corrected_min"]):
        return ""
    return (
        f"With {strict['n']} {strict['unit']}s no corrected p can be below {strict['p_corrected_min']:.3g}, so that "
        "no claim could hold under strict whatever the data say."
    )


def _common_reach(table: pd.DataFrame) -> str:
    """`_reach` where it is the same for every pair, so that it is said once; else nothing."""
    reaches = {_reach(rows) for _, rows in table.groupby(PLACE, sort=False)}
    return reaches.pop() if len(reaches) == 1 else ""


def summary(table: pd.DataFrame, labels: Mapping[str, str]) -> list[str]:
    """The audit in a few sentences: how often rankings flip and claims change, by item."""
    pairs = table[table["protocol"] == STRICT]
    methods, baselines = (
        listed(labels[name] for name in pairs[who].unique()) for who in ("method", "baseline")
    )
    metrics = listed(metric_name(metric) for metric in pairs["metric"].unique())
    sentences = [
        f"{len(pairs)} comparisons: {methods} against {baselines}; {listed(pairs['dataset'].unique())}; "
        f"K = {listed(sorted(pairs['K'].unique()))}; {metrics}. Under the strict protocol the trained method is "
        f"ahead in {int((pairs['median_difference'] > 0).sum())} of them; the claim that it is better holds in "
        f"{int((pairs['claim'] == HOLDS).sum())}."
    ]
    for protocol in (*ITEMS, AS_PUBLISHED):
        rows = table[table["protocol"] == protocol]
        ahead, flips = rows["median_difference"] > 0, rows["flipped"]
        subject = (
            "With all items together" if protocol == AS_PUBLISHED else f"With ‘{TITLES[protocol]}’ alone"
        )
        if not rows["changed"].any():
            sentences.append(f"{subject} nothing changes in this study.")
            continue
        holds = int((rows["claim"] == HOLDS).sum())
        sentences.append(
            f"{subject} {int(rows['changed'].sum())} comparisons change; the trained method is ahead in "
            f"{int(ahead.sum())}, the ranking flips in {int(flips.sum())} ({int((flips & ahead).sum())} of them in its "
            f"favour), and the claim holds in {holds}."
        )
    return sentences + ([reach] if (reach := _common_reach(table)) else [])


def shown_audit(table: pd.DataFrame, labels: Mapping[str, str]) -> list[ShownTable]:
    """The audit table for people, one per dataset, K, metric and pair; rows that the item leaves alone say so."""
    shown = []
    for place, rows in table.groupby(PLACE, sort=False):
        dataset, factor, metric, method, baseline = map(str, place)
        decimals = decimals_of(metric)
        cells = []
        for _, row in rows.iterrows():
            low, high = (format_value(row[end], decimals + 1) for end in ("ci_low", "ci_high"))
            difference = f"{format_value(row['median_difference'], decimals + 1)} [{low}, {high}]"
            ranking = "flipped" if row["flipped"] else "same" if row["changed"] else "unchanged by this item"
            cells.append(
                Row(
                    (
                        Cell(TITLES[row["protocol"]], TITLES[row["protocol"]]),
                        Cell(f"{row['n']} {row['unit']}s", float(row["n"])),
                        *(
                            Cell(format_value(row[f"{who}_mean"], decimals), float(row[f"{who}_mean"]))
                            for who in ("method", "baseline")
                        ),
                        Cell(difference, float(row["median_difference"])),
                        Cell(format_p(row["p"]), float(row["p"])),
                        Cell(
                            f"{format_p(row['p_corrected'])}, {row['correction'].capitalize()}",
                            float(row["p_corrected"]),
                        ),
                        Cell(row["claim"], row["claim"]),
                        Cell("" if row["protocol"] == STRICT else ranking, ranking),
                    )
                )
            )
        caption = (
            f"{dataset}, K = {factor}, {metric_name(metric)}: {labels[method]} against {labels[baseline]}"
        )
        infinite = np.isinf(rows[["method_mean", "baseline_mean"]].to_numpy(float)).any()
        notes = ["∞: kept slices that a method passes through equal the reference."] if infinite else []
        if rows["dropped"].any():
            lost = "; ".join(
                f"{TITLES[row['protocol']]} {row['dropped']}" for _, row in rows.iterrows() if row["dropped"]
            )
            notes.append(f"Scores that are not finite and left out, as released: {lost}.")
        shown.append(ShownTable(caption, AUDIT_HEADER, tuple(cells), tuple(notes)))
    return shown
