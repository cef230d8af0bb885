"""What the long table says of a subject, and how far that is from the best value."""

import math

import pandas as pd
import pytest

from interslice.common.errors import InputError
from interslice.scoring.longtable import (
    check_scores,
    collect_means,
    frame_means,
    gap_step,
    read_means,
    shortfall,
    subject_means,
)


def table(metric: str, values: dict[tuple[str, int, int], float]) -> pd.DataFrame:
    """A long table of one method; values by subject, seed and slice."""
    rows = [
        {"subject": subject, "seed": seed, "slice": index, "value": value}
        for (subject, seed, index), value in values.items()
    ]
    keys = {"dataset": "d", "method": "m", "K": 4, "protocol": "strict", "frame": 0, "metric": metric}
    return check_scores(pd.DataFrame(rows).assign(**keys, kind="synthesised", region="whole"))


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("psnr", 30, -30),
        ("lpips", 0.2, 0.2),
        ("lesion_contrast_6mm", 0.7, 0.3),
        ("lesion_contrast_6mm", 1.2, 0.2),
    ],
)
def test_the_smaller_a_shortfall_the_better(metric: str, value: float, expected: float) -> None:
    assert shortfall(metric, value) == pytest.approx(expected)


def test_too_much_and_too_little_do_not_cancel() -> None:
    """Slices at 0.5 and 1.5 are no perfect subject, and neither are two seeds."""
    means = subject_means(
        frame_means(
            table(
                "lesion_contrast_6mm",
                {("a", 0, 1): 0.5, ("a", 0, 2): 1.5, ("b", 0, 1): 0.6, ("b", 1, 1): 1.2, ("c", 0, 1): 0.8},
            )
        )
    ).set_index("subject")
    assert means["value"].to_dict() == pytest.approx({"a": 1, "b": 0.9, "c": 0.8})
    assert means["shortfall"].to_dict() == pytest.approx({"a": 0.5, "b": 0.3, "c": 0.2})


def test_where_more_is_better_the_shortfall_of_the_mean_is_the_mean_shortfall() -> None:
    scores = {
        ("a", 0, 1): 20.0,
        ("a", 0, 2): 30.0,
        ("b", 0, 1): math.inf,
        ("c", 0, 1): math.nan,
        ("c", 0, 2): 1.0,
    }
    means = subject_means(frame_means(table("psnr", scores))).set_index("subject")
    assert means["shortfall"].to_dict() == pytest.approx(
        {"a": -25, "b": -math.inf, "c": math.nan}, nan_ok=True
    )
    assert means["nonfinite"].to_dict() == {"a": 0, "b": 1, "c": 1}


def test_the_means_of_shards_are_those_of_the_whole_table_in_its_order(tmp_path) -> None:
    scores = {
        (subject, seed, index): 20.0 + index + seed
        for subject in "dacb"
        for seed in (1, 2)
        for index in range(1, 8)
    }
    whole = table("psnr", scores)
    parts = []
    for (seed, half), rows in whole.groupby(["seed", whole["subject"].isin(["a", "d"])]):
        parts.append(str(tmp_path / f"{seed}{half}.parquet"))
        frame_means(rows).to_parquet(parts[-1], index=False)
    empty = str(tmp_path / "empty.parquet")
    frame_means(whole.iloc[:0]).to_parquet(empty, index=False)
    collect_means([empty, *reversed(parts)], tmp_path / "means.parquet")
    means = read_means(tmp_path / "means.parquet")
    pd.testing.assert_frame_equal(means, frame_means(whole.sample(frac=1, random_state=1)))
    assert set(means["kind"]) == {"synthesised", "all"}
    assert means["slices"].tolist() == [7] * len(means)
    assert read_means(tmp_path / "means.parquet", kind=["all"], region=["foreground"]).empty
    with pytest.raises(InputError, match=r"'subject': 'b', .* is there twice"):
        collect_means([parts[0], *parts], tmp_path / "twice.parquet")
    with pytest.raises(InputError, match="found no score"):
        collect_means([empty], tmp_path / "none.parquet")
    assert not (tmp_path / "twice.parquet").exists()


@pytest.mark.parametrize(("slices", "step"), [([1, 2, 3, 5, 6, 7], 1), ([1, 2, 3, 9, 17], 2), ([5, 6], None)])
def test_the_step_between_scored_gaps(slices: list[int], step: int | None) -> None:
    assert gap_step(frame_means(table("psnr", {("a", 0, index): 1.0 for index in slices}))) == step
