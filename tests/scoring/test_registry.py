"""A metric is one entry: what the schema, tables, figures and texts say of it comes from there."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from interslice.common.code import code_digest, reaches
from interslice.common.errors import InputError
from interslice.report.formatting import decimals_of, metric_name
from interslice.report.style import value_label
from interslice.scoring.longtable import shortfall
from interslice.scoring.registry import METRICS, SLICE_METRICS, VOLUME_METRICS, Metric
from settings import study_of


@pytest.mark.parametrize("name", METRICS)
def test_every_entry_names_a_function_and_says_what_it_is(name: str) -> None:
    metric = METRICS[name]
    assert callable(metric.load())
    assert metric.label
    assert metric.text
    assert metric.sentence.startswith(f"{metric.label} (")


@pytest.mark.parametrize("name", [name for name in SLICE_METRICS if not METRICS[name].needs])
def test_a_metric_of_slices_works_from_its_smallest_side_on(name: str) -> None:
    side = METRICS[name].smallest_side
    reference = np.random.default_rng(0).random((side, side + 3))
    measure = METRICS[name].load_regions()
    assert math.isfinite(measure(0.9 * reference, reference, [None], data_range=1.0)[0])
    if side > 3:
        with pytest.raises(InputError, match=f"{name}: .* sides must be at least {side}"):
            measure(reference[1:], reference[1:], [None], data_range=1.0)


@pytest.mark.parametrize("name", [name for name in SLICE_METRICS if not METRICS[name].needs])
def test_a_worse_image_falls_short_by_more(name: str) -> None:
    draw = np.random.default_rng(0)
    reference = np.kron(draw.random((6, 6)), np.ones((8, 8)))
    noise = draw.normal(size=reference.shape)
    measure = METRICS[name].load_regions()
    falls = [
        shortfall(name, measure(reference + sigma * noise, reference, [None], data_range=1.0)[0])
        for sigma in (0.02, 0.1, 0.3)
    ]
    assert falls == sorted(falls)
    assert len(set(falls)) == 3


def test_a_new_metric_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema takes it, and tables, figures and texts have its name, unit, decimals and direction."""
    new = Metric("Bias", "numpy:mean", 0.0, "mean of the error", "Doe 2020", unit="%", decimals=1)
    monkeypatch.setitem(METRICS, "bias", new)
    study = study_of(evaluation={"metrics": ["psnr", "bias"]}, statistics={"margins": {"bias": 0.1}})
    assert study.config["evaluation"]["metrics"] == ["psnr", "bias"]
    assert (metric_name("bias", arrow=True), decimals_of("bias")) == ("Bias (%) → 0", 1)
    assert value_label("bias") == "Bias (%), nearer to 0 is better"
    assert shortfall("bias", -0.5) == 0.5
    assert new.load()([1, 3]) == 2
    assert new.sentence == "Bias (Doe 2020: mean of the error)"


def test_a_metric_has_the_digest_of_its_own_function() -> None:
    """Which is what reruns its scores when it is edited: functions are named in the registry, and it is not followed."""
    digests = {name: code_digest(metric.function) for name, metric in METRICS.items()}
    assert digests["ssim"] != digests["psnr"] != digests["vif"]
    assert not reaches(
        "interslice.scoring.registry", *(METRICS[name].function for name in ("ssim", "psnr", "vif"))
    )


def test_the_page_on_metrics_has_every_one_a_study_may_ask_for() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = re.findall(r"`([a-z0-9_]+)`", " ".join(rows))
    assert sorted(named) == sorted([*SLICE_METRICS, *VOLUME_METRICS])
