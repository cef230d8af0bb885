"""What the long table says of a subject, and how far that is from the best value."""

import math

import pandas as pd
import pytest

from interslice.scoring.longtable import check_scores, shortfall, subject_means


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
        table(
            "lesion_contrast_6mm",
            {("a", 0, 1): 0.5, ("a", 0, 2): 1.5, ("b", 0, 1): 0.6, ("b", 1, 1): 1.2, ("c", 0, 1): 0.8},
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
    means = subject_means(table("psnr", scores)).set_index("subject")
    assert means["shortfall"].to_dict() == pytest.approx(
        {"a": -25, "b": -math.inf, "c": math.nan}, nan_ok=True
    )
    assert means["nonfinite"].to_dict() == {"a": 0, "b": 1, "c": 1}
