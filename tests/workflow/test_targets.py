"""Rotated digits and lines: planned as they are, and run to scores, table and figure on a few drawn images."""

import numpy as np
import pandas as pd
import pytest
import yaml
from checkout import Checkout, copy_of_the_code

from digits import dataset, images, write_csv
from interslice.scoring.longtable import read_scores
from settings import ROOT, SMALL_NETWORK

SHORT = {
    "steps": 4,
    "validate_every": 4,
    "warmup_steps": 1,
    "batch": 4,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Two checkouts in one folder, of the studies mnist and lines with few images, small methods and four steps."""
    folder = tmp_path_factory.mktemp("targets")
    copy_of_the_code(folder)
    write_csv(folder / "digits", images())
    digits = dataset(folder)
    lines = yaml.safe_load((ROOT / "config" / "datasets" / "lines.yaml").read_text())
    lines |= {"splits": {"train": 20, "validation": 1, "test": 3}}
    for name, content in (("mnist", digits), ("lines", lines)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    for name in ("vae", "acai"):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"base": name, "network": SMALL_NETWORK}))
    for name, methods in (("mnist", ["linear", "vae.yaml"]), ("lines", ["acai.yaml"])):
        study = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
        study |= {"datasets": [f"{name}.yaml"], "methods": methods, "training": SHORT}
        (folder / f"{name}_study.yaml").write_text(yaml.safe_dump(study))
    return {
        name: Checkout(folder, folder / f"{name}_study.yaml", folder / "resources")
        for name in ("mnist", "lines")
    }


def test_digits_come_out_of_the_rules_of_volumes(tiny):
    figure = "results/mnist/figures/examples_mnist_K4.png"
    run = tiny["mnist"].snakemake("--cores", "2", "results/mnist/means.parquet", figure)
    assert run.returncode == 0, run.stdout + run.stderr
    scores = tiny["mnist"].scores("mnist")
    assert set(scores["method"]) == {"linear", "vae"}
    assert scores["subject"].nunique() == 3
    whole = scores[(scores["metric"] == "ssim") & (scores["region"] == "whole")]
    assert set(whole.groupby(["method", "subject"])["slice"].max()) == {
        32
    }  # 36 rotations, cut to 33 for K = 4
    assert (np.unique(whole.loc[whole["kind"] == "kept", "slice"]) % 4 == 0).all()
    assert (tiny["mnist"].folder / figure).stat().st_size > 5000


def test_lines_end_in_a_table_and_a_figure(tiny):
    run = tiny["lines"].snakemake("--cores", "2", "lines")
    assert run.returncode == 0, run.stdout + run.stderr
    folder = tiny["lines"].folder / "results/lines"
    lines = read_scores(folder / "lines/lines.parquet")
    assert lines.groupby("metric").size().to_dict() == {"mean_distance": 3 * 16, "smoothness": 3}
    assert pd.read_csv(folder / "lines/lines.csv")["mean_distance_n"].tolist() == [3]
    assert "Mean Distance" in run.stdout + run.stderr
    assert (folder / "figures/examples_lines_K15.png").stat().st_size > 5000
    assert tiny["lines"].planned("lines") == {}


def test_the_studies_of_the_repository_are_planned(tmp_path):
    """Three plain networks and three with the synthesis loss for digits, three networks for lines."""
    copy_of_the_code(tmp_path)
    plans = {
        (target, name): Checkout(
            tmp_path, tmp_path / "config" / f"{name}.yaml", tmp_path / "resources"
        ).planned(target)
        for target, name in (("mnist", "mnist"), ("mnist", "paper_mnist"), ("lines", "lines"))
    }
    assert [plan["train_method"] for plan in plans.values()] == [6, 6, 3]
    assert plans["mnist", "mnist"]["interpolate_volumes"] == plans["mnist", "mnist"]["score_method"] == 9 * 2
    assert plans["mnist", "paper_mnist"]["extract_subject"] == 2  # the original IDX files of images
