"""Every learned row says updates, seconds and how its training ended; those that stopped at their budget are marked."""

import json

import pandas as pd
import pytest

from interslice.analysis.results import results_table
from interslice.common.checkpoints import write_checkpoint
from interslice.config import load_method_settings
from interslice.methods.shipped import PRETRAINED
from interslice.report.factor_figure import metric_against_factor
from interslice.report.formatting import BUDGET_NOTE, latex, markdown
from interslice.report.methods_text import recipe_of
from interslice.report.tables import shown_results
from interslice.scoring.longtable import frame_means
from interslice.steps.budgets import budget_table, collect_budgets, marked, with_budgets
from interslice.steps.interpolate import training_of
from settings import ROOT, small_settings
from synthetic_scores import CONTROLS, LABELS, synthetic_scores

BUDGET, PLATEAU = (
    {"updates": updates, "seconds": seconds, "ended": ended}
    for updates, seconds, ended in ((250, 100.0, "budget"), (750, 400.0, "plateau"))
)
SELF = {"updates": 300, "seconds": None, "ended": "budget"}


def as_markdown(table: pd.DataFrame) -> str:
    return markdown(shown_results(table))


def as_latex(table: pd.DataFrame) -> str:
    return latex(shown_results(table))


@pytest.fixture
def folder(tmp_path):
    """A function that writes what an interpolation keeps of its costs, (seconds, frames) of every subject."""

    def write(name, training, *subjects):
        records = [{"seconds": s, "frames": frames, "training": training} for s, frames in subjects]
        (tmp_path / name).mkdir()
        (tmp_path / name / "costs.json").write_text(json.dumps(records))
        return str(tmp_path / name)

    return write


def test_over_seeds_the_mean_and_a_budget_counts(folder):
    runs = [
        ["t1", 2, "cae", [folder("a", BUDGET, (1.0, 1))]],
        ["t1", 2, "cae", [folder("b", PLATEAU, (1.0, 1))]],
        ["t1", 4, "cae", [folder("c", PLATEAU | {"slice_profile": "gaussian"}, (1.0, 1))]],
        ["t1", 4, "linear", [folder("d", None, (1.0, 1))]],
        ["t1_slab", 4, "unet", [folder("g", PLATEAU, (1.0, 1))]],
        ["t1", 4, "self_sr", [folder("e", SELF, (40.0, 1), (90.0, 2)), folder("f", SELF, (70.0, 1))]],
    ]
    rows = [
        ["t1", 2, "cae", 500, 250, False, "budget", ""],
        ["t1", 4, "cae", 750, 400, False, "plateau", "gaussian"],
        ["t1_slab", 4, "unet", 750, 400, False, "plateau", "none"],
        ["t1", 4, "self_sr", 300, 45, True, "budget", ""],
    ]
    profiles = {"t1": ("none", "none"), "t1_slab": ("slab", "none")}
    assert budget_table(runs, profiles).to_numpy().tolist() == rows
    assert budget_table([]).empty


def test_what_stopped_at_its_budget_is_marked_and_says_what_it_had(folder, tmp_path):
    scores = synthetic_scores(slices=3)
    runs = [[d, K, "cae", [folder(f"{d}{K}", BUDGET, (1.0, 1))]] for d, K in places(scores)]
    runs += [[d, K, "cae_mse", [folder(f"{d}{K}m", PLATEAU, (1.0, 1))]] for d, K in places(scores)]
    thick = dict.fromkeys(scores["dataset"], ("gaussian", "none"))
    collect_budgets(runs, thick, tmp_path / "budgets.csv")
    labels = marked(LABELS, pd.read_csv(tmp_path / "budgets.csv"))
    assert {name for name in LABELS if labels[name] != LABELS[name]} == {"cae"}
    table = with_budgets(
        results_table(frame_means(scores), labels=labels, controls=CONTROLS), str(tmp_path / "budgets.csv")
    )
    text = as_markdown(table)
    assert f"| {LABELS['cae']}‡ |" in text
    assert f"| {LABELS['cae_mse']} |" in text
    assert BUDGET_NOTE in text
    assert f"{LABELS['cae']}‡ 250 updates, 100 s, budget, on slices of profile none" in text
    assert f"{LABELS['cae_mse']} 750 updates, 400 s, plateau, on slices" in text
    assert r"$^\ddagger$" in as_latex(table)
    without = as_markdown(table.drop(columns="training_seconds"))
    assert f"{LABELS['cae']}‡ 250 updates, budget" in without
    assert "Their seconds are in budgets.csv." in without
    shown = metric_against_factor(frame_means(scores), "psnr", labels=labels, controls=CONTROLS)
    assert BUDGET_NOTE in " ".join(shown.get_suptitle().split())
    plain = metric_against_factor(frame_means(scores), "psnr", labels=LABELS, controls=CONTROLS)
    assert "‡" not in plain.get_suptitle()


def places(scores):
    return scores[["dataset", "K"]].drop_duplicates().itertuples(index=False)


def test_a_study_without_a_training_has_an_empty_table(tmp_path):
    collect_budgets([], {}, tmp_path / "budgets.csv")
    results = results_table(frame_means(synthetic_scores(slices=3)), labels=LABELS, controls=CONTROLS)
    table = with_budgets(results, str(tmp_path / "budgets.csv"))
    assert len(table) == len(results)
    assert as_markdown(table) == as_markdown(results)


def test_an_interpolation_knows_what_its_method_has_learned(tmp_path):
    for name, updates in (("self_sr", 60), ("coupled_dictionary", None), ("eclare", None)):
        found = training_of(small_settings(name), None)
        assert found == {"updates": updates, "seconds": None, "ended": "budget"}
    assert training_of(small_settings("fourier_burst"), None)["ended"] == "closed form"
    assert training_of(small_settings("bspline"), None) is None
    elsewhere = small_settings("precomputed") | {"learns_from": "scan"}
    assert training_of(elsewhere, None) is None, "nobody here knows what it cost"
    state = {"updates": 40, "seconds": 9.0, "compute_seconds": 7.0, "ended": "plateau"}
    write_checkpoint(state, tmp_path / "model.pt")
    expected = {"updates": 40, "seconds": 7.0, "ended": "plateau", "slice_profile": None}
    assert training_of(small_settings("cae"), tmp_path / "model.pt") == expected


@pytest.mark.parametrize("model", sorted(PRETRAINED.glob("*.pt")), ids=lambda path: path.stem)
def test_a_finished_model_says_what_it_had(model):
    """The autoencoder alone ended at a plateau."""
    found = training_of(small_settings("cae"), model)
    updates, seconds = {
        "motion_spline": (28938, 3396),
        "cae_K2": (18000, 1574),
        "cae_K4": (11571, 983),
        "cae_residual_K2": (5000, 2636),
        "cae_residual_K4": (5000, 2642),
    }[model.stem]
    autoencoder = model.stem in ("cae_K2", "cae_K4")
    assert (found["updates"], found["ended"]) == (updates, "plateau" if autoencoder else "budget")
    assert found["seconds"] == pytest.approx(seconds, abs=0.5)
    assert found["slice_profile"] == ("gaussian" if autoencoder else "none")


def test_a_recipe_is_said_with_what_departs_from_the_paper():
    new, released, other = (
        recipe_of(load_method_settings(name, ROOT)) for name in ("cae", "cae_paper", "srcnn3d")
    )
    assert new.startswith(
        "Muon with a peak learning rate of 0.005, and Adam with a peak learning rate of 0.001 "
    )
    assert new.endswith("no normalisation, no contrast augmentation")
    assert released == "Adam with a peak learning rate of 1e-05, batch normalisation, contrast augmentation"
    assert other == "Adam with a peak learning rate of 0.001, contrast augmentation"
