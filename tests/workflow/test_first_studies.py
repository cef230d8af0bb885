"""What people run first: scans to test on and nothing to train, with conventional methods alone or with finished models."""

import pandas as pd
import pytest
import yaml
from checkout import Checkout
from tiny_study import SPLITS, write_tiny_study


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A folder of test subjects, and two studies of it: of two conventional methods, and of a finished model beside one."""
    folder = tmp_path_factory.mktemp("first")
    resources = folder / "resources"
    tiny = write_tiny_study(folder, resources, [])
    file = folder / "tiny" / "phantoms.yaml"
    dataset = yaml.safe_load(file.read_text()) | {"splits": {"test": SPLITS["test"]}}
    file.write_text(yaml.safe_dump(dataset))
    config = yaml.safe_load(tiny.config.read_text())
    config["evaluation"]["metrics"], config["figures"]["panel_methods"] = ["psnr"], None
    checkouts = {}
    for study, methods in (
        ("plain", ["oracle", "linear", "bspline"]),
        ("finished", ["linear", "cae_pretrained"]),
    ):
        path = folder / f"{study}.yaml"
        path.write_text(yaml.safe_dump(config | {"study": study, "methods": methods}))
        checkouts[study] = Checkout(folder, path, resources)
    return checkouts


def test_a_study_without_a_trained_method_ends_in_its_page(studies):
    run = studies["plain"].snakemake("--cores", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    results = studies["plain"].folder / "results/plain"
    assert "Cubic B-spline" in (results / "report/index.html").read_text()
    statistics = pd.read_csv(results / "statistics.csv")
    assert {"metric", "estimate", "level", "p_corrected", "region"} <= set(statistics.columns)
    assert statistics.empty, "nothing is tested"
    table = pd.read_csv(results / "tables/synthesised_whole.csv")
    assert table["method"].tolist() == ["oracle", "linear", "bspline"]
    assert table["psnr_n"].tolist() == [3, 3, 3]
    assert table["gap_step"].tolist() == [4, 4, 4]


def test_a_finished_model_is_scored_on_a_folder_of_test_subjects(studies):
    study, panel = studies["finished"], "results/finished/figures/panel_phantoms_K2.png"
    wanted = ["results/finished/means.parquet", panel]
    planned = study.planned(*wanted)
    assert "train_method" not in planned
    assert planned["score_method"] == 2
    assert planned["interpolate_volumes"] == 1, "the study before has interpolated linearly"
    run = study.snakemake("--cores", "2", *wanted)
    assert run.returncode == 0, run.stdout + run.stderr
    scores = study.scores("finished")
    assert scores.groupby("method")["subject"].unique().map(sorted).to_dict() == {
        "linear": ["c1", "c2", "c3"],
        "cae_pretrained": ["c1", "c2", "c3"],
    }
    assert (study.folder / panel).stat().st_size > 5000
