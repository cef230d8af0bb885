from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest

from interslice.analysis.ablation import ablation_table
from interslice.common.errors import InputError
from interslice.report.ablation import ablation_figure, shown_ablation
from interslice.report.formatting import latex, markdown
from interslice.scoring.longtable import frame_means, subject_means
from settings import study_of
from synthetic_scores import LABELS, synthetic_scores

VARIANTS = ["cae_mse", "lanczos"]
LATENT_16 = {"label": "16 channels", "network": {"latent": 16}}


def small_study(variants, ablation=None, **changes):
    changes = {"datasets": ["t1"], "factors": [2, 4], "methods": ["linear", "cae", *variants], **changes}
    return study_of(ablation={"base": "cae", "variants": variants, **(ablation or {})}, **changes)


def test_variants_override_named_keys_of_the_base():
    found = small_study({"latent_16": LATENT_16, "contrast": {"label": "x", "training": {"contrast": 1.0}}})
    base = found.methods["cae"]
    assert found.ablation_base == "cae"
    assert found.named("trained") == ["cae"], (
        "variants are tested against their base, not in the study's family"
    )
    assert list(found.every_method) == ["linear", "cae", "latent_16", "contrast"]
    assert found.ablation_places() == [("t1", 2), ("t1", 4)]
    narrow, augmented = found.ablations["latent_16"], found.ablations["contrast"]
    assert narrow == base | {"label": "16 channels", "network": base["network"] | {"latent": 16}}
    assert augmented == base | {"label": "x", "training": base["training"] | {"contrast": 1.0}}


@pytest.mark.parametrize(
    ("variants", "changes", "message"),
    [
        (
            {"wide": {"label": "x", "network": {"latents": 16}}},
            {},
            r"config: found key ablation.variants.wide.network.latents, allowed are the base's: depth, scales",
        ),
        (
            {"wide": {"label": "x", "networks": {}}},
            {},
            r"found key ablation.variants.wide.networks, allowed are",
        ),
        ({"wide": {"network": {"latent": 16}}}, {}, r"ablation.variants.wide: the key 'label' is missing"),
        (
            {"wide": {"label": "x", "network": {"latent": 0}}},
            {"methods": ["linear", "cae"]},
            r"method wide: key network.latent: found 0, allowed are numbers from 1",
        ),
        ({"a b": LATENT_16}, {}, r"found 'a b', allowed is text of the form"),
        (
            {"same": {"label": "x", "network": {"latent": 128}}},
            {},
            r"ablation.variants.same: found the settings of the base cae, allowed is a variant that differs",
        ),
        (
            {"cae_mse": LATENT_16},
            {},
            r"ablation.variants.cae_mse: found the name of a file in config/methods, allowed is one of its own",
        ),
        (
            {"latent_16": LATENT_16},
            {"methods": ["linear", "latent_16"]},
            r"key methods: found the variant latent_16, its base cae must be there as well",
        ),
        (
            {"no_contrast": {"label": "x", "training": {"contrast": 0.0}}},
            {"training": {"contrast": 1.0}},
            r"ablation.variants.no_contrast: found the settings of the base cae",
        ),
    ],
)
def test_a_bad_variant_is_one_sentence(variants, changes, message):
    with pytest.raises(InputError, match=message) as raised:
        small_study(variants, **changes)
    assert "\n" not in str(raised.value)


def test_variants_run_where_the_study_says():
    found = small_study({"latent_16": LATENT_16}, {"datasets": ["t1"], "factors": [4]})
    assert found.ablation_places() == [("t1", 4)]
    assert [found.runs(name, "t1", K) for name in ("cae", "latent_16") for K in (2, 4)] == [
        True,
        True,
        False,
        True,
    ]
    assert small_study({}, {"factors": [4]}).ablation_places() == []
    elsewhere = small_study({"latent_16": LATENT_16}, {"datasets": ["acdc"]})
    assert not elsewhere.runs("latent_16", "t1", 4), "a part of a study may leave the dataset out"


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        ({"datasets": ["acbc"]}, r"key datasets: found 'acbc', allowed are acdc, acdc_test, cine"),
        ({"factors": [1]}, r"key ablation.factors\[0\]: found 1, allowed are numbers from 2"),
        ({"grid": "config/no.yaml"}, r"key ablation.grid: found no file config/no.yaml"),
    ],
)
def test_a_place_or_grid_that_is_not_there_is_one_sentence(ablation, message):
    with pytest.raises(InputError, match=message) as raised:
        small_study({"latent_16": LATENT_16}, ablation)
    assert "\n" not in str(raised.value)


def test_the_embedded_ablation_runs_a_listed_part_of_the_grid():
    found = study_of("ablation.yaml")
    grid = found.config["ablation"]["variants"]
    assert 6 <= len(found.ablations) <= 12
    assert set(found.ablations) < set(grid)
    equal = {"lambda_0001", "alex", "no_norm", "no_contrast"}  # to the base
    everything = study_of("ablation.yaml", methods=["cae", *(set(grid) - equal)])
    values = {key: {s[key[0]][key[1]] for s in everything.every_method.values()} for key in GRID}
    assert values == GRID


GRID = {
    ("synthesis", "lpips"): {0.0, 0.001, 0.01, 0.05, 0.1},
    ("synthesis", "mse"): {0.0, 1.0},
    ("synthesis", "l1"): {0.0, 0.1},
    ("synthesis", "backbone"): {"alex", "vgg"},
    ("network", "latent"): {16, 32, 64, 128, 256},
    ("network", "scales"): {1, 2, 3},
    ("network", "layers"): {1, 2, 3},
    ("network", "upsampling"): {"nearest", "bilinear", "bicubic", "transposed"},
    ("network", "normalisation"): {"batch", "instance", "group", "none"},
    ("training", "contrast"): {1.0, 0.0},
    ("training", "optimiser"): {"adam", "muon"},
}


def test_the_papers_ablation_is_the_same_grid_on_the_released_settings():
    found = study_of("paper.yaml")
    assert found.ablation_base == "cae_paper"
    assert found.ablation_places() == [("acdc", 2), ("oasis", 2)]
    equal = {"vgg", "batch_norm", "contrast", "adam"}  # to the base
    assert set(found.ablations) == set(found.config["ablation"]["variants"]) - equal
    base, latent = (found.settings(name, "oasis") for name in ("cae_paper", "latent_16"))
    assert latent == base | {"label": latent["label"], "network": base["network"] | {"latent": 16}}
    assert base["synthesis"]["lpips"] == 0.001, "a variant keeps what the base has for a dataset"
    assert found.settings("lambda_01", "oasis")["synthesis"]["lpips"] == 0.1


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    table = synthetic_scores(slices=5)
    return table[table["method"].isin(["cae", "oracle", *VARIANTS])]


def costs(*methods):
    rows = [("t1_embedded", K, method, 1000 + K, 0.5) for K in (2, 4) for method in methods]
    return pd.DataFrame(rows, columns=["dataset", "K", "method", "parameters", "seconds_per_step"])


@pytest.fixture(scope="module")
def table(scores):
    return ablation_table(
        frame_means(scores),
        costs("cae", *VARIANTS),
        base="cae",
        variants=VARIANTS,
        labels=LABELS,
        confidence=0.9,
    )


def test_differences_are_hodges_lehmann_over_subjects_turned_towards_better(scores, table):
    assert list(table["method"].unique()) == ["cae", *VARIANTS]
    assert len(table) == 2 * 3 * 4  # K, methods, metrics
    means = (
        subject_means(frame_means(scores))
        .set_index(["K", "metric", "method", "subject"])["value"]
        .sort_index()
    )
    for metric, sign in (("psnr", 1), ("lpips", -1)):
        expected = sign * (means[4, metric, "cae_mse"] - means[4, metric, "cae"])
        row = table.query(f"K == 4 and metric == '{metric}' and method == 'cae_mse'").iloc[0]
        walsh = [(a + b) / 2 for a, b in combinations_with_replacement(expected, 2)]
        assert row["estimate"] == pytest.approx(np.median(walsh))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.min(), expected.max()))
        assert (row["level"], row["seeds"]) == (0.9375, 1), "n = 5: the range, which covers 93.75 %"
        assert row["mean"] == pytest.approx(means[4, metric, "cae_mse"].mean())
    base = table[table["method"] == "cae"]
    assert base["estimate"].isna().all()
    assert set(table["parameters"]) == {1002, 1004}


def test_the_shown_table_has_a_row_per_variant_and_writes_every_format(table):
    first, second = shown_ablation(table)
    assert [row.cells[0].text for row in first.rows] == ["CAE (λ = 0.05)", "cae_mse", "Lanczos"]
    assert first.columns == ("Variant", "Parameters", "s / step", "SSIM", "PSNR (dB)", "VIF", "LPIPS")
    row = table.query("K == 4 and metric == 'psnr' and method == 'lanczos'").iloc[0]
    cell = second.rows[2].cells[4]
    assert cell.text == f"{row['estimate']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    assert second.rows[0].cells[1].text == "1,004"
    assert "93.8 % interval" in markdown([first])
    assert "One training each" in markdown([first])
    assert r"\lambda" in latex([first])


def test_the_forest_has_a_point_per_variant_filled_where_seeds_are_in_the_interval_and_zero_is_not(table):
    part = table[table["K"] == 4]
    several = part.assign(seeds=part["seeds"].where(part["seeds"].isna(), 3))
    for shown, seeds in ((part, 1), (several, 3)):
        figure = ablation_figure(shown)
        assert len(figure.axes) == 4
        for axes, metric in zip(figure.axes, ["ssim", "psnr", "vif", "lpips"], strict=True):
            rows = part.query(f"metric == '{metric}' and method != 'cae'")
            points = [line for line in axes.lines if line.get_gid() in ("decided", "open")]
            np.testing.assert_allclose([p.get_xdata()[0] for p in points], rows["estimate"])
            decided = [p.get_gid() == "decided" for p in points]
            assert decided == list(((rows["ci_low"] > 0) | (rows["ci_high"] < 0)) & (seeds > 1))
            spans = [line.get_xdata() for line in axes.lines if line.get_gid() == "interval"]
            np.testing.assert_allclose(spans, rows[["ci_low", "ci_high"]])
        assert ("one training each" in figure.get_suptitle()) == (seeds == 1)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["cae_mse", "Lanczos"]
    with pytest.raises(InputError, match="found 2 pairs of dataset and K"):
        ablation_figure(table)


def test_what_an_ablation_table_cannot_do_is_said(scores):
    settings = {"base": "cae", "labels": LABELS, "confidence": 0.9}
    with pytest.raises(InputError, match="found no variant under methods"):
        ablation_table(frame_means(scores), costs("cae"), variants=[], **settings)
    scores = scores[(scores["K"] == 2) & (scores["metric"] == "vif")]
    with pytest.raises(InputError, match="no training of lanczos found for t1_embedded, K = 2"):
        ablation_table(frame_means(scores), costs("cae", "cae_mse"), variants=VARIANTS, **settings)


def test_a_perfect_variant_is_named_and_not_drawn(scores):
    result = ablation_table(
        frame_means(scores[scores["K"] == 2]), costs("cae", "oracle", "cae_mse"),
        base="cae", variants=["oracle", "cae_mse"], labels=LABELS,
        confidence=0.9,
    )  # fmt: skip
    psnr = ablation_figure(result).axes[1]
    assert "not drawn: Oracle: ∞" in psnr.get_xlabel()
    shown = shown_ablation(result)[0]
    assert any("not finite" in note and "Oracle PSNR (dB)" in note for note in shown.notes)
