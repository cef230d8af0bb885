"""From the means of 10,000 generated test volumes, five K and seven methods to the page: CPU seconds and memory of every step.

`python benchmarks/many_subjects.py FOLDER [SUBJECTS]` writes many_subjects.json beside it, which `scale.py` shows.
"""

import json
import resource
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from snakemake.utils import update_config

from interslice.common.files import write_json
from interslice.common.provenance import environment_record
from interslice.common.schemas import read_yaml
from interslice.config import load_study
from interslice.scoring.longtable import MEANS, REGIONS, collect_means
from interslice.study import Study

ROOT = Path(__file__).parent.parent
SUBJECTS, SHARDS, SLICES = 10_000, 10, 176
CHANGES = {
    "study": "many",
    "datasets": ["t1"],
    "factors": [2, 3, 4, 5, 6],
    "methods": ["oracle", "nearest", "linear", "bspline", "lanczos", "cae_mse", "cae"],
    "evaluation": {"metrics": ["ssim", "psnr", "vif", "lpips"]},
    "statistics": {"primary": None},
}
STEPS = (
    "collect_means",
    "compare_methods",
    "tabulate_results",
    "plot_factor",
    "plot_boxes",
    "write_captions",
    "write_page",
)
LEVELS = {
    "ssim": (0.8, 0.02, 1),
    "psnr": (28, 1, 60),
    "vif": (0.4, 0.02, 1),
    "lpips": (0.2, 0.01, -1),
}  # mean, SD, gain
FIGURES = [
    f"{kind}_{region}_{metric}" for kind in ("factor", "boxes") for region, metric in product(REGIONS, LEVELS)
]


def study() -> Study:
    config = read_yaml(ROOT / "config/config.yaml")
    update_config(config, CHANGES)
    return load_study(config, ROOT)


def generate(folder: Path, subjects: int, many: Study) -> list[str]:
    """The files that the scoring of every dataset, K, method and shard leaves: the means of frames of random scores."""
    draw, parts = np.random.default_rng(0), []
    names = np.array([f"sub-{number:05d}" for number in range(subjects)])
    for K, (place, method), shard in product(many.factors("t1"), enumerate(many.methods), range(SHARDS)):
        views = product(names[shard::SHARDS], ("all", "kept", "synthesised"), REGIONS, LEVELS)
        rows = pd.DataFrame(views, columns=["subject", "kind", "region", "metric"])
        level, spread, gain = (
            rows["metric"].map({name: of[i] for name, of in LEVELS.items()}) for i in range(3)
        )
        value = level + gain * (0.005 * place - 0.02 * K) + spread * draw.normal(size=len(rows))
        kept = -(-SLICES // K)
        slices = rows["kind"].map({"all": SLICES, "kept": kept, "synthesised": SLICES - kept})
        down = rows["metric"].eq("lpips").map({True: 1, False: -1})
        rows = rows.assign(dataset="t1", method=method, K=K, seed=1, protocol="strict", frame=0, value=value)
        rows = rows.assign(shortfall=down * value, slices=slices, nonfinite=0, gap_step=1.0)
        parts.append(str(folder / "parts" / f"K{K}_{method}_{shard}.parquet"))
        rows[MEANS].to_parquet(parts[-1], index=False)
    return parts


def run_step(name: str, folder: Path, many: Study) -> None:
    """One step, with what a study of so many subjects gives to it."""
    from interslice.steps import figures, gaps, page, scores, tables

    files = {one: str(folder / f"{one}.csv") for one in ("statistics", "ranks", "agreement", "significance")}
    means, budgets = str(folder / "means.parquet"), str(folder / "budgets.csv")
    controls, labels, datasets = many.named("control"), many.labels, many.dataset_labels
    display = {"labels": labels, "controls": controls, "supervised": []}
    drawn: dict[str, list[str]] = {"factor": [], "boxes": []}
    for one, ending in product(FIGURES, ("pdf", "png")):
        drawn[one.partition("_")[0]].append(str(folder / f"figures/{one}.{ending}"))
    shown = {path: Path(path).stem for paths in drawn.values() for path in paths if path.endswith("png")}
    statistics = {key: many.config["statistics"][key] for key in ("confidence", "margins", "primary")}
    match name:
        case "collect_means":
            collect_means([str(path) for path in sorted((folder / "parts").iterdir())], Path(means))
        case "compare_methods":
            scores.compare_methods(
                means, many.comparisons, statistics, controls=controls, metric="ssim", outputs=files
            )
        case "tabulate_results":
            tables.tabulate_results(means, files["statistics"], budgets, display=display, datasets=datasets, own=[],
                                    study=many.resolved, folder=folder / "tables", summary=folder / "summary.txt")  # fmt: skip
        case "plot_factor":
            figures.plot_factor(means, budgets, display, datasets, drawn["factor"])
        case "plot_boxes":
            figures.plot_boxes(means, files["statistics"], budgets, display, datasets, drawn["boxes"])
        case "write_captions":
            about = {"ranks": {"title": "Ranks", "dataset": None, "K": None, "methods": list(labels)}}
            gaps.write_captions(means, [], about, {}, {}, datasets, str(folder / "captions.md"))
        case "write_page":
            page.write_study_page(
                means, files["statistics"], budgets, files["ranks"], files["agreement"], str(folder / "recheck.csv"),
                excluded=[], figures=shown, curves={}, trainings={}, benchmarks=[folder / "benchmarks"], stacks=[],
                study=many.resolved, display=display, datasets=datasets, own=[], output=folder / "index.html",
            )  # fmt: skip


def main(folder: Path, subjects: int) -> None:
    many = study()
    for name in ("parts", "figures", "benchmarks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "budgets.csv").write_text("dataset,K,method,updates,training_seconds,per_scan,ended\n")
    (folder / "recheck.csv").write_text("metric,library,slices,largest,allowed\n")
    (folder / "benchmarks" / "none.tsv").write_text("s\tmax_rss\n1\t1\n")
    generate(folder, subjects, many)
    record: dict[str, Any] = {"subjects": subjects, "environment": environment_record(), "steps": {}}
    for name in STEPS:
        started = time.perf_counter()
        run = subprocess.run(
            [sys.executable, __file__, str(folder), name], check=True, capture_output=True, text=True
        )
        record["steps"][name] = json.loads(run.stdout.splitlines()[-1]) | {
            "wall_s": time.perf_counter() - started
        }
        print(name, record["steps"][name], flush=True)
    record["rows"] = len(pd.read_parquet(folder / "means.parquet", columns=["K"]))
    record["bytes"] = (folder / "means.parquet").stat().st_size
    write_json(record, Path(__file__).with_suffix(".json"))


if __name__ == "__main__":
    place, *asked = sys.argv[1:]
    if asked and asked[0] in STEPS:
        run_step(asked[0], Path(place), study())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}))
    else:
        main(Path(place), int(asked[0]) if asked else SUBJECTS)
