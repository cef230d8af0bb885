"""The whole workflow on tiny data: what it plans, makes and makes again."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from checkout import Checkout
from skimage.metrics import peak_signal_noise_ratio

from interslice.common.checkpoints import read_checkpoint
from interslice.common.files import remove
from interslice.common.seeds import seed_for
from interslice.scoring.longtable import frame_means, read_means, read_scores
from interslice.training.lpips import load_lpips
from settings import ROOT


def only(checkout, pattern):
    """The one path of a checkout that a pattern matches: the names of shared folders have a digest in them."""
    (path,) = checkout.folder.glob(pattern)
    return path


def test_a_fresh_checkout_plans_every_job(new_checkout):
    planned = new_checkout().planned()
    assert planned == {
        "index_dataset": 3,  # split by split
        "check_splits": 1,
        "normalise_volumes": 3,
        "decimate_volumes": 3,
        "train_method": 2,  # a method, two seeds
        "interpolate_volumes": 5,  # three methods, and one with two seeds
        "score_method": 5,
        "collect_scores": 1,
        "collect_budgets": 1,
        "recheck_scores": 1,
        "compare_methods": 1,
        "tabulate_results": 1,
        "plot_boxes": 1,
        "plot_factor": 1,
        "plot_panel": 1,
        "plot_training": 1,
        "pack_viewer": 1,
        "write_page": 1,
    }


def test_the_long_table_is_complete(finished):
    scores = finished.scores("tiny")
    expected = frame_means(scores)
    pd.testing.assert_frame_equal(read_means(finished.folder / "results/tiny/means.parquet"), expected)
    assert set(scores["method"]) == {"oracle", "linear", "bspline", "cae"}
    assert set(scores["subject"]) == {"c1", "c2", "c3"}
    assert {name: len(part["seed"].unique()) for name, part in scores.groupby("method")} == {
        **dict.fromkeys(["oracle", "linear", "bspline"], 1),
        "cae": 2,
    }
    per_method = scores.groupby(["method", "seed"]).size()
    assert per_method.nunique() == 1, "every method is scored on the same slices"
    oracle = scores[(scores["method"] == "oracle") & (scores["metric"] == "psnr")]
    assert (oracle["value"] == float("inf")).all()
    volume = nib.load(only(finished, "results/normalise_volumes/phantoms/test-*/0/c1.nii")).get_fdata()
    whole = scores[(scores["metric"] == "psnr") & (scores["region"] == "whole")]
    linear = whole[(whole["method"] == "linear") & (whole["subject"] == "c1")]
    linear = linear[linear["kind"] == "synthesised"].set_index("slice")["value"]
    assert len(linear) == 2, "every fourth gap"
    for position, value in linear.items():
        below, truth, above = np.moveaxis(volume[..., position - 1 : position + 2], -1, 0)
        expected = peak_signal_noise_ratio(truth, (below + above) / 2, data_range=1)
        assert value == pytest.approx(expected, abs=1e-4), "slices are scored where they lie"
    kept = scores[(scores["method"] == "bspline") & (scores["kind"] == "kept") & (scores["metric"] == "psnr")]
    assert (kept["value"] == float("inf")).all(), "conventional methods pass kept slices through"


def test_lpips_is_scored_by_the_workflow_as_lpips_itself_has_it(finished, lpips_weights):
    scores = "results/perceptual/score_method/phantoms/K2/linear/seed1/0.parquet"
    options = [
        "--config",
        "study=perceptual",
        "evaluation={metrics: [lpips]}",
        f"resources={finished.resources}",
    ]
    run = finished.snakemake("--cores", "2", scores, *options)
    assert run.returncode == 0, run.stdout + run.stderr
    table = read_scores(finished.folder / scores)
    table = table[
        (table["subject"] == "c1") & (table["region"] == "whole") & (table["kind"] == "synthesised")
    ]
    volume = nib.load(only(finished, "results/normalise_volumes/phantoms/test-*/0/c1.nii")).get_fdata()
    network = load_lpips("alex", lpips_weights["alex"])
    assert len(table) == 2, "every fourth gap"
    for position, value in table.set_index("slice")["value"].items():
        below, truth, above = torch.tensor(
            np.moveaxis(volume[..., position - 1 : position + 2], -1, 0)
        ).float()
        expected = network((below + above)[None, None] / 2, truth[None, None], normalize=True)
        assert value == pytest.approx(expected.item(), abs=1e-5)


def test_trainings_carry_their_provenance_and_seed(finished):
    folder = only(finished, "results/train_method/phantoms/K2/cae-seed2-*")
    record, checkpoint = (
        json.loads((folder / "provenance.json").read_text()),
        read_checkpoint(folder / "model.pt"),
    )
    assert record["seed"] == checkpoint["seed"] == seed_for("phantoms", 2, 2), "the same for every method"
    assert checkpoint["subjects"] == ["a1", "a2"], "only the train split is seen in training"
    assert record["environment"]["packages"]["torch"]
    assert list(pd.read_csv(folder / "history.csv")["step"]) == [3, 6]
    assert not (folder / "resume.pt").exists()


def test_tables_figures_and_pages_are_there(finished):
    results = finished.folder / "results/tiny"
    assert "CAE‡" in (results / "summary.txt").read_text(), "it stopped at its budget"
    assert "6 updates, budget" in (results / "tables/synthesised_whole.md").read_text()
    assert list(pd.read_csv(results / "budgets.csv")["updates"]) == [6]
    table = pd.read_csv(results / "tables/synthesised_whole.csv")
    assert len(table) == 4
    assert set(table["seeds"]) == {1, 2}
    statistics = pd.read_csv(results / "statistics.csv")
    exploratory = 2 * 2 * 2  # regions, metrics, baselines
    assert list(statistics["role"]) == ["primary"] + ["exploratory"] * exploratory
    assert (statistics["n"] == 3).all()
    assert (statistics["p_min"] == 1 / 4).all()
    assert (statistics["seeds"] == 2).all()
    ranks = pd.read_csv(results / "ranks.csv")
    assert set(ranks["method"]) == {"linear", "bspline", "cae"}, "controls take no rank"
    recheck = pd.read_csv(results / "recheck.csv").set_index("metric")
    assert list(recheck.index) == ["psnr", "vif"]
    assert (recheck["slices"] >= 30).all()
    assert (recheck["largest"] <= 1e-5).all()
    names = {path.name for path in (results / "figures").iterdir()}
    assert {"panel_phantoms_K2.pdf", "training_phantoms_K2.png", "boxes_whole_psnr.pdf", "ranks.pdf"} <= names
    page = (results / "report/index.html").read_text()
    assert "Synthetic ellipsoids" in page
    assert "train_method" in page
    assert page.index("ranks on synthesised slices") < page.index("Synthetic ellipsoids"), "first on the page"
    assert "VIF by sewar: " in page
    assert "phantoms, no slice profile, K = 2" in page
    view = json.loads((results / "viewer/phantoms_K2.json").read_text())
    assert [stack["label"] for stack in view["stacks"]][:3] == ["Reference", "Linear", "Cubic B-spline"]
    assert len(view["stacks"]) == 4, "the reference and every method but the oracle"
    assert all(stack["source"] in page for stack in view["stacks"])


@pytest.mark.page
def test_the_page_can_be_read_by_all_and_on_a_phone(finished, check_page):
    check_page(finished.folder / "results/tiny/report/index.html")


def test_the_audit_and_the_figures_of_the_paper(finished):
    """On the finished study: nothing is trained or scored again, and every page follows from the tables."""
    planned = finished.planned("audit", "figures")
    assert planned["score_as_published"] == 4, "two baselines, and one method with two seeds"
    assert not {"train_method", "interpolate_volumes", "score_method", "collect_scores"} & set(planned)
    run = finished.snakemake("--cores", "2", "audit", "figures")
    assert run.returncode == 0, run.stdout + run.stderr
    results = finished.folder / "results/tiny"
    table = pd.read_csv(results / "audit/audit.csv")
    assert len(table) == 2 * 2 * 8  # metrics, baselines, protocols but the one for brains
    psnr = table[(table["metric"] == "psnr") & (table["protocol"] == "shifted_baselines")]
    strict = table[(table["metric"] == "psnr") & (table["protocol"] == "strict")]
    assert (psnr["baseline_mean"].to_numpy() < strict["baseline_mean"].to_numpy()).all()
    prose = (results / "audit/audit.md").read_text()
    assert prose.count("CAE‡ against ") == 2 * 2, (
        "a table for every baseline and metric, of a row that its budget ended"
    )
    assert "not comparable: this study has no dataset of source acdc" in prose
    assert "Where the ranking flips" in (results / "audit/index.html").read_text()
    names = {path.name for path in (results / "figures").iterdir()}
    assert {"audit_phantoms_cae.pdf", "examples_phantoms_K2.png", "gap_phantoms_K2_cae.gif"} <= names
    assert "gap_phantoms_K2_bspline.webp" in names
    captions = (results / "figures/captions.md").read_text()
    assert (
        "Dataset phantoms, no slice profile (n = 3 test subjects); K = 2; protocol strict; scored: every 4th gap."
        in captions
    )
    assert "6 updates of 2 triplets" in captions
    assert "every 4th gap" in (results / "tables/methods.md").read_text()
    assert finished.planned("audit", "figures") == {}


def test_a_second_run_has_nothing_to_do(finished):
    run = finished.snakemake("--cores", "2")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout + run.stderr


def test_training_again_gives_the_same_bytes(finished):
    scores = "results/tiny/score_method/phantoms/K2/cae/seed1/0.parquet"
    model = only(finished, "results/train_method/phantoms/K2/cae-seed1-*/model.pt")
    weights, table = read_checkpoint(model)["weights"], (finished.folder / scores).read_bytes()
    age = model.stat().st_mtime_ns
    run = finished.snakemake("--cores", "2", scores, "--forcerun", "train_method")
    assert run.returncode == 0, run.stdout + run.stderr
    assert model.stat().st_mtime_ns > age
    again = read_checkpoint(model)["weights"]
    assert all((weights[name] == again[name]).all() for name in weights)
    assert (finished.folder / scores).read_bytes() == table


def test_snakemakes_own_report_has_captions_and_categories(finished):
    run = finished.snakemake("--report", "report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    report = (finished.folder / "report.html").read_text()
    for word in ("two-sided Wilcoxon signed-rank tests", "boxes_whole_psnr.png", "Tables"):
        assert word in report


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("factors=[1]", "key factors[0]: found 1, allowed are numbers from 2"),
        ("training={learning_rate: 1e-4}", "found '1e-4', allowed is a number (YAML reads 1e-4 as text"),
    ],
)
def test_a_bad_configuration_stops_before_any_job(finished, override, message):
    run = finished.snakemake("--cores", "1", "--config", override)
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert message in output
    assert "Traceback" not in output
    assert len([line for line in output.splitlines() if "found" in line]) == 1


def test_a_broken_scan_is_named_and_leaves_nothing(new_checkout):
    checkout = new_checkout()
    scan = checkout.folder / "tiny" / "c2.nii.gz"
    scan.write_bytes(scan.read_bytes()[:2000])
    run = checkout.snakemake("--cores", "1")
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert "c2.nii.gz: not a readable image (the file ends before" in output
    assert not [path for path in Path(checkout.folder / "results").rglob("*") if "partial" in path.name]
    assert not list((checkout.folder / "results/normalise_volumes").rglob("c2.nii"))


def test_the_default_study_plans_jobs_from_the_root():
    """PLATFORM: a root Snakefile that only includes another plans nothing, and lint does not see it."""
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--forceall"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert re.search(r"^train_method +1$", run.stdout + run.stderr, re.MULTILINE)


# --- faults on one machine; those of a cluster are in tests/cluster

TABLES = ["results/tiny/tables", "results/tiny/statistics.csv"]
PLACE = "results/tiny/score_method/phantoms/K2/linear"
BALLAST = "ballast"


@pytest.fixture
def on_small_disk(finished, tmp_path):
    """A copy of the finished study whose evaluations of one method lie on a file system that a file has filled."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    made_of_it = [
        folder / "results/tiny" / name
        for name in ("means.parquet", "statistics.csv", "tables", "summary.txt")
    ]
    for path in [
        *(folder / PLACE).iterdir(),
        *(folder / PLACE.replace("score_method", "frame_means")).iterdir(),
        *made_of_it,
    ]:  # Snakemake does not miss what nothing needs any more
        remove(path)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder / PLACE)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a file system of its own needs root: {mounted.stderr.strip()}")
    with contextlib.suppress(OSError), open(folder / PLACE / BALLAST, "wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))
    try:
        yield Checkout(folder, folder / "tiny.yaml", finished.resources)
    finally:
        subprocess.run(["umount", str(folder / PLACE)], check=True)


def test_a_full_disk_and_a_second_run_in_the_folder(on_small_disk, finished):
    study, place = on_small_disk, on_small_disk.folder / PLACE
    run = study.snakemake("--cores", "1", *TABLES)
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert "not written, its file system is full" in output
    assert "Traceback" not in output
    left = [path for path in place.rglob("*") if path.is_file()]
    assert left == [place / BALLAST], "nothing that could be taken for a result"

    (place / BALLAST).unlink()
    log = study.folder / "first.txt"
    first = study.start(log, "--cores", "1", *TABLES)
    locks = study.folder / ".snakemake" / "locks"
    while not any(path.stat().st_size for path in locks.glob("*.output.lock")) and first.poll() is None:
        time.sleep(0.005)  # that of the inputs is written before it, and does not count
    # Held before it begins a job: Snakemake looks for unfinished files before it looks for the lock.
    first.send_signal(signal.SIGSTOP)
    second = study.snakemake("--cores", "1", *TABLES)
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0, log.read_text()
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    for path in (finished.folder / "results/tiny/tables").iterdir():
        assert (study.folder / "results/tiny/tables" / path.name).read_bytes() == path.read_bytes()
    name = "results/tiny/statistics.csv"
    assert (study.folder / name).read_bytes() == (finished.folder / name).read_bytes()
