"""Published numbers: sourced, and beside ours only where dataset, K and protocol are the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interslice.analysis.published import NOT_COMPARABLE, beside, read_beside, read_published
from interslice.common.errors import InputError
from interslice.report.formatting import markdown
from interslice.report.published_table import shown_published
from interslice.scoring.longtable import COLUMNS, check_scores

NUMBERS = Path(__file__).parents[2] / "config" / "published.csv"


def scores(protocol, value, dataset="infants"):
    rows = [
        (dataset, method, K, 1, protocol, subject, 0, i, kind, "whole", "psnr", value + 2 * (subject == "b"))
        for method in ("bspline", "cae")
        for K in (2, 3)
        for subject in "ab"
        for i, kind in enumerate(("kept", "synthesised"))
    ]  # fmt: skip
    return check_scores(pd.DataFrame(rows, columns=COLUMNS))


def study(source="dhcp", factors=(2, 3), pad_px=256, same_as="dhcp"):
    dataset = {
        "source": source,
        "same_as": same_as,
        "factors": list(factors),
        "crop": {"margin_mm": 0},
        "pad_px": pad_px,
        "score_px": None,
        "slice_shift": None,
    }
    methods = {
        "bspline": {"method": "bspline", "label": "B-spline"},
        "cae": {"method": "cae", "label": "CAE", "synthesis": {"lpips": 0.05}},
    }
    return {"config": {"factors": [2]}, "datasets": {"infants": dataset}, "methods": methods}


@pytest.fixture(scope="module")
def numbers():
    """As recorded, but of two test subjects where it is dHCP's, as the scores here have."""
    table = read_published(NUMBERS)
    return table.assign(n=table["n"].where((table["dataset"] != "dhcp") | (table["split"] != "test"), 2))


def compared(numbers, **changes):
    return beside(numbers, scores("strict", 40.0), scores("as_published", 30.0), study(**changes))


# Of the stored notebook outputs: all, kept and synthesised slices.
VIF = {
    ("dhcp", 2, "bspline", ""): (0.874, 0.879, 0.869),
    ("dhcp", 2, "linear", ""): (0.872, 0.879, 0.866),
    ("dhcp", 2, "lanczos", ""): (0.874, 0.877, 0.871),
    ("adni", 6, "cae", ""): (0.773, 0.769, 0.774),
    ("acdc", 2, "cae", ""): (0.844, 0.873, 0.807),
    ("sunnybrook", 2, "linear", ""): (0.862,),
    ("sunnybrook", 2, "bspline", ""): (0.862,),
    ("sunnybrook", 2, "cae", "lambda .07"): (0.872,),
    ("mnist", 4, "acai", ""): (0.888, 0.926, 0.873),
    ("mnist", 4, "vae", "beta 1"): (0.884, 0.911, 0.874),
}


def test_every_number_is_there_with_its_source(numbers):
    vifs = numbers[numbers["metric"] == "vif"]
    tests = vifs[vifs["split"] == "test"].groupby(["dataset", "K", "method", "variant"])["mean"]
    assert {place: tuple(values) for place, values in tests} == VIF
    epochs = vifs[vifs["split"] == "validation"].sort_values(["variant", "kind"])
    assert list(epochs["mean"]) == [0.858, 0.847, 0.847, 0.837, 0.859, 0.849]
    assert {"acdc", "sunnybrook", "dhcp", "adni", "mnist"} <= set(numbers["dataset"])
    place = (numbers["dataset"] == "dhcp") & (numbers["method"] == "bspline") & (numbers["metric"] == "psnr")
    assert dict(zip(numbers[place]["kind"], numbers[place]["mean"], strict=True)) == {
        "all": 36.99, "kept": 38.43, "synthesised": 35.53,
    }  # fmt: skip
    assert (numbers["wording"] != "").all()
    assert (numbers["source"] != "").all()


def test_ours_stand_beside_where_dataset_k_and_protocol_match(numbers):
    found = compared(numbers)
    same = found[found["ours"] != ""]
    assert set(zip(same["dataset"], same["K"], same["method"], same["metric"], strict=True)) == {
        ("dhcp", 2, "bspline", "psnr")
    }
    assert set(same["kind"]) == {"all", "kept", "synthesised"}
    assert (same["ours_mean"] == 31.0).all(), "ours are those of the protocol as published, not strict"
    assert same["ours_sd"].to_numpy() == pytest.approx(np.sqrt(2))
    assert (same["remark"] == "").all()
    assert len(found) == len(numbers)


def test_the_rest_is_not_comparable_and_says_why(numbers):
    found = compared(numbers)
    rest = found[found["ours"] == ""]
    assert rest["remark"].str.startswith(NOT_COMPARABLE).all()
    assert rest["ours_mean"].isna().all()

    def remark(dataset, metric, method):
        chosen = (rest["dataset"] == dataset) & (rest["metric"] == metric) & (rest["method"] == method)
        return rest[chosen]["remark"].iloc[0]

    assert "this study has no dataset of source acdc" in remark("acdc", "psnr", "cae")
    assert "on validation subjects" in remark("dhcp", "psnr", "cae")
    assert "this study has no such scores" in remark("dhcp", "ssim", "bspline")
    assert "this study has no method linear" in remark("dhcp", "psnr", "linear")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"factors": (3,)}, "this study has K = 3"),
        ({"pad_px": 220}, "scored in a window of 256 px, here 220 px"),
        ({"source": "oasis", "same_as": None}, "no dataset of source dhcp"),
        ({"same_as": None}, "files or test subjects are not known to be the published ones"),
    ],
)
def test_another_k_window_or_source_is_not_comparable(numbers, changes, reason):
    found = compared(numbers, **changes)
    own = found[(found["dataset"] == "dhcp") & (found["method"] == "bspline")]
    assert (own["ours"] == "").all()
    assert own["remark"].str.contains(reason).all()


def test_another_number_of_test_subjects_is_not_comparable(numbers):
    own = compared(read_published(NUMBERS))
    own = own[(own["dataset"] == "dhcp") & (own["method"] == "bspline") & (own["metric"] == "psnr")]
    assert (own["remark"] == f"{NOT_COMPARABLE}: n = 2 here, 20 there").all()
    assert own["ours_mean"].isna().all()


def test_a_value_without_a_stated_window_is_not_comparable(numbers):
    found = compared(numbers.assign(window_px=np.nan))
    assert (found["ours"] == "").all()


def test_our_updates_are_said_beside_a_trained_value(numbers):
    one = numbers[(numbers["dataset"] == "acdc") & (numbers["metric"] == "psnr")].assign(
        dataset="dhcp", window_px=256, n=2
    )
    trained = study()
    trained["methods"]["cae"]["training"] = {"steps": 500}
    found = beside(one, scores("strict", 40.0), scores("as_published", 30.0), trained)
    assert (found["remark"] == "ours has at most 500 updates, theirs are not recorded").all()


def test_a_value_under_another_protocol_is_not_comparable(numbers):
    found = compared(numbers.assign(protocol="strict"))
    assert (found["ours"] == "").all()


def test_an_autoencoder_without_its_lpips_term_is_another_method(numbers):
    one = numbers[(numbers["dataset"] == "acdc") & (numbers["metric"] == "psnr")].assign(
        dataset="dhcp", window_px=256, n=2
    )
    assert (compared(one)["ours"] == "cae").all()
    without = study()
    without["methods"]["cae"]["synthesis"] = {"lpips": 0.0}
    found = beside(one, scores("strict", 40.0), scores("as_published", 30.0), without)
    assert (found["ours"] == "").all()


def test_a_vae_and_an_acai_are_published_without_a_synthesis_loss(numbers):
    """Their released losses have no such term, so the variants that have one are other methods."""
    digits = study(source="mnist", factors=(4,), pad_px=32, same_as="mnist")
    losses = {"vae": 0.0, "vae_synthesis": 0.05, "acai": 0.0, "acai_synthesis": 0.05}
    digits["methods"] = {
        name: {"method": name.partition("_")[0], "synthesis": {"lpips": weight}}
        for name, weight in losses.items()
    }
    own = pd.concat(scores("strict", 30.0).assign(method=name, K=4, dataset="infants") for name in losses)
    own = own.drop_duplicates(COLUMNS[:-1])
    stated = numbers.assign(window_px=32, n=2)
    found = beside(stated, own, own.assign(protocol="as_published"), digits)
    assert set(found[found["dataset"] == "mnist"]["ours"]) - {""} == {"vae", "acai"}


def test_a_copy_with_moved_slices_and_another_window_are_not_the_published_dataset(numbers):
    """Of several datasets of one source only those stand beside a value that are scored as it was."""
    several = study()
    own = several["datasets"]["infants"]
    several["datasets"] |= {
        "moved": own | {"slice_shift": {"mm": 1.0, "seed": 1}},
        "small": own | {"pad_px": 220},
    }
    tables = [
        pd.concat([scores(protocol, value, name) for name in several["datasets"]])
        for protocol, value in (("strict", 40.0), ("as_published", 30.0))
    ]
    found = beside(numbers, *tables, several)
    assert len(found) == len(numbers)
    assert (found[found["ours"] != ""]["ours_mean"] == 31.0).all()


def test_what_is_not_finite_is_left_out_of_ours_as_released_and_counted(numbers):
    """Shifted linear interpolation gives the first slice back: an infinite PSNR must not stand beside a finite mean."""
    published = scores("as_published", 30.0)
    more = published.assign(
        slice=published["slice"] + 2, value=np.where(published["kind"] == "kept", np.inf, 30.0)
    )
    both = check_scores(pd.concat([published, more], ignore_index=True))
    found = beside(numbers, both.assign(protocol="strict"), both, study())
    kept = found[(found["ours"] == "bspline") & (found["kind"] == "kept")].iloc[0]
    assert kept["ours_mean"] == 31.0
    assert "2 scores, kept or synthesised, that are not finite are left out" in kept["remark"]


def test_a_number_without_a_source_is_refused(tmp_path, numbers):
    path = tmp_path / "numbers.csv"
    numbers.assign(source=["", *numbers["source"][1:]]).to_csv(path, index=False)
    with pytest.raises(InputError, match="line 2 has no wording, no source"):
        read_published(path)
    numbers.drop(columns="wording").to_csv(path, index=False)
    with pytest.raises(InputError, match="found the columns"):
        read_published(path)


def test_the_table_is_readable_from_a_file(numbers, tmp_path):
    compared(numbers).to_csv(tmp_path / "published.csv", index=False)
    found = read_beside(tmp_path / "published.csv")
    text = markdown([shown_published(found, {"bspline": "Cubic B-spline", "cae": "CAE"})])
    assert (
        "| dHCP test 20, K2, B-spline (shifted) | all | PSNR (dB) | 36.99 ± 1.08 | Cubic B-spline | 31.00 ± 1.41 |"
        in text
    )
    assert "0.814 ± 0.030" in text
    assert "not comparable" in text
