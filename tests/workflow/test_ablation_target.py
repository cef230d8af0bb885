"""`snakemake ablation`: a target that brings its own study."""

import json
import os
import re
import subprocess

import pandas as pd
import pytest
import warm
import yaml
from checkout import copy_of_the_code

from interslice.scoring.longtable import frame_means
from settings import ROOT
from synthetic_scores import synthetic_scores

VARIANTS = {"layers_1": {"label": "1 layer", "network": {"layers": 1}}}


def snakemake(folder, *arguments):
    command = [warm.python(), "-m", "snakemake", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture
def scored(tmp_path):
    """A checkout whose config/ablation.yaml is a study of one variant that is trained and scored already."""
    copy_of_the_code(tmp_path)
    study = yaml.safe_load((tmp_path / "config/ablation.yaml").read_text())
    study |= {
        "datasets": ["t1"],
        "factors": [2],
        "seeds": [1],
        "methods": ["cae", *VARIANTS],
        "ablation": {"base": "cae", "grid": None, "variants": VARIANTS},
    }
    (tmp_path / "config/ablation.yaml").write_text(yaml.safe_dump(study))
    scores = synthetic_scores()
    scores = scores[scores["method"].isin(["cae", "cae_mse"]) & (scores["K"] == 2)]
    scores = scores.replace({"method": {"cae_mse": "layers_1"}, "dataset": {"t1_embedded": "t1"}})
    results = tmp_path / "results/ablation"
    plan = snakemake(tmp_path, "ablation", "--dry-run", "--forceall")
    records = sorted(set(re.findall(r"results/train_method/\S+/provenance\.json", plan)))
    for path, parameters in zip(records, (443_777, 300_000), strict=True):
        (tmp_path / path).parent.mkdir(parents=True)
        record = {
            "updates": 120,
            "best_step": 120,
            "seconds": 30.0,
            "compute_seconds": 30.0,
            "ended": "budget",
        }
        record |= {"parameters": parameters, "steps_per_second": 4.0}
        (tmp_path / path).write_text(json.dumps(record))
    results.mkdir(parents=True)
    frame_means(scores).to_parquet(results / "ablation_means.parquet", index=False)
    return tmp_path


def test_the_named_target_makes_the_table_and_figures_of_its_study(scored):
    own = ["tabulate_ablation", "plot_ablation", "ablation"]
    snakemake(scored, "ablation", "--cores", "1", "--allowed-rules", *own)
    results = scored / "results/ablation"
    for region in ("whole", "foreground"):
        table = pd.read_csv(results / "ablation" / f"{region}.csv")
        assert list(table["method"].unique()) == ["cae", "layers_1"]
        assert set(table["parameters"]) == {443_777, 300_000}
        assert set(table["seconds_per_step"]) == {0.25}
        assert set(table["region"]) == {region}
        assert "1 layer" in (results / "ablation" / f"{region}.md").read_text()
        assert r"\toprule" in (results / "ablation" / f"{region}.tex").read_text()
        for ending in ("pdf", "png"):
            assert (results / f"figures/ablation_{region}_t1_K2.{ending}").stat().st_size > 5000
    assert {"ablation"} <= {path.name for path in (scored / "results").iterdir()}
    assert not (scored / "results/default").exists()


def test_the_embedded_ablation_is_planned_from_the_root():
    plan = snakemake(ROOT, "ablation", "--dry-run", "--quiet", "rules", "--forceall")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE))
    assert jobs["train_method"] == "39", "the base and twelve variants, three times each"
    assert (jobs["tabulate_ablation"], jobs["plot_ablation"]) == ("1", "2"), "both regions"
    assert not {"write_page", "plot_boxes"} & set(jobs), "the target makes its table and figures only"
