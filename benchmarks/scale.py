"""Write docs/results/scale.md: what config/paper.yaml and 10,000 volumes would take, from the costs that measure.py found."""

import json
from pathlib import Path
from typing import Any

from snakemake.utils import update_config

from interslice.common.files import replacing
from interslice.common.schemas import read_yaml
from interslice.config import load_study
from interslice.study import Study

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
CORES = 32  # of a node
GPU_TFLOPS = 20.0  # sustained, assumed: to be replaced by what benchmarks/devices.py finds
# Volumes as they are after preprocessing: subjects (train, validation, test), frames, slices, pixels of a slice. Cases from the
# dataset files; frames and slices are typical of the published data, not counted by us, who do not have it.
SIZES = {
    "acdc": ((70, 10, 20), 27, 10, 160 * 160),
    "sunnybrook": ((0, 0, 45), 2, 11, 140 * 140),
    "dhcp": ((200, 20, 20), 1, 200, 256 * 256),
    "oasis": ((200, 20, 50), 1, 176, 220 * 220),
}
REGIONS = 2
MANY, TESTED = 10_000, 2000  # volumes, and of them in the test split
GB, HOUR = 1e9, 3600.0


def study() -> Study:
    config = read_yaml(ROOT / "config/config.yaml")
    update_config(config, read_yaml(ROOT / "config/paper.yaml"))  # as Snakemake lays one over the other
    return load_study(config, ROOT)


def methods_at(paper: Study, name: str, factor: int) -> list[str]:
    """The methods and variants that run on a dataset at K."""
    return [method for method in paper.every_method if paper.runs(method, name, factor)]


def dataset_costs(name: str, paper: Study, costs: dict[str, Any]) -> dict[str, float]:
    """Voxels, storage in bytes, and CPU seconds of one dataset, all factors and methods."""
    subjects, frames, slices, pixels = SIZES[name]
    factors, metrics = paper.factors(name), paper.config["evaluation"]["metrics"]
    voxels = sum(subjects) * frames * slices * pixels
    volume, scale = costs["volume"], pixels / costs["side"] ** 2
    methods = [method for factor in factors for method in methods_at(paper, name, factor)]
    scored = subjects[2] * frames * slices * len(methods)
    per_slice = sum(costs["scoring"][metric] for metric in metrics)
    # The networks cost the most of the interpolations, the oracle nothing: the measured ones stand for their kinds.
    kinds = ["cae_paper" if paper.trains(method) else method for method in methods]
    interpolation = sum(costs["interpolation"][kind]["4"] for kind in kinds if kind in costs["interpolation"])
    per_shard = len(methods) * paper.datasets[name]["shards"]
    rows = scored * len(metrics) * REGIONS
    return {
        "voxels": voxels,
        "normalised": voxels * volume["bytes_per_voxel"],
        "low": sum(voxels * volume["bytes_per_voxel"] / factor for factor in factors),
        "kept": per_shard * frames * slices * pixels * volume["bytes_per_voxel"],
        "rows": rows,
        "table": rows * costs["scoring"]["bytes_per_row"],
        "data_s": voxels
        / 1e6
        * (volume["scale"] + volume["write"] + len(factors) * (volume["read"] + volume["decimate"])),
        "evaluate_s": scored * scale * (per_slice + interpolation / len(methods)),
        "per_slice_s": scale * (per_slice + interpolation / len(methods)),
        "scored": scored,
    }


def training_rows(paper: Study, costs: dict[str, Any]) -> list[dict[str, float | str]]:
    """One row for each dataset and method: trainings, operations, and hours. A variant is taken to cost what its base does."""
    rows: list[dict[str, float | str]] = []
    for name in paper.trained_datasets():
        places = [place for place in paper.ablation_places() if place[0] == name]
        numbers = dict.fromkeys(paper.trainings, len(paper.factors(name)))
        numbers |= {"variants": len(places) * len(paper.ablations)} if places else {}
        for method, number in numbers.items():
            measured = paper.ablation_base if method == "variants" else method
            cost = costs["training"][f"{name}/{measured}"]
            training = paper.settings(measured, name)["training"]
            count = number * len(paper.config["seeds"])
            tflop = cost["gflop_per_triplet"] * training["batch"] / 1e3
            rows.append(
                {
                    "name": f"{name}, {method}",
                    "count": count,
                    "steps": training["steps"],
                    "tflop": tflop,
                    "cpu_h": cost["cpu_seconds_per_triplet"] * training["batch"] * training["steps"] / HOUR,
                    "gpu_h": tflop * training["steps"] / GPU_TFLOPS / HOUR,
                }
            )
    return rows


def jobs_of(paper: Study) -> dict[str, int]:
    """Number of jobs by rule, of those whose number grows with the study."""
    shards = {name: dataset["shards"] for name, dataset in paper.datasets.items()}
    # Train and test have all shards, validation one; a dataset that borrows its models has the test split alone.
    volumes = {
        name: 2 * shards[name] + 1 if name in paper.trained_datasets() else shards[name] for name in shards
    }
    places = [(name, factor) for name in paper.datasets for factor in paper.factors(name)]
    seeds = len(paper.config["seeds"])
    runs = [(name, paper.trains(method)) for name, K in places for method in methods_at(paper, name, K)]
    tested = sum(shards[name] * (seeds if trained else 1) for name, trained in runs)
    return {
        "normalise_volumes": sum(volumes.values()),
        "decimate_volumes": sum(volumes[name] for name, _ in places),
        "train_method": sum(seeds for name, trained in runs if trained and name in paper.trained_datasets()),
        "interpolate_volumes": tested,
        "score_method": tested,
    }


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " :--- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def what_things_cost(costs: dict[str, Any]) -> dict[str, str]:
    """The measured costs as tables."""
    interpolation, scoring, start = costs["interpolation"], costs["scoring"], costs["start"]
    slices = [
        [f"interpolate, {name}, K = 4", f"{1e3 * by['4']:.2f} ms"] for name, by in interpolation.items()
    ]
    slices += [
        [f"score, {name}", f"{1e3 * scoring[name]:.1f} ms"] for name in ("ssim", "psnr", "vif", "lpips")
    ]
    steps = ("scale", "decimate", "write", "read")
    starts = [[f"{name} script", f"{start[name]:.1f} s"] for name in ("light", "torch")]
    starts += [["reading the workflow (twice in a SLURM job)", f"{start['workflow']:.1f} s"]]
    return {
        "cpu_model": f"{costs['environment']['cpu']}, torch {costs['environment']['packages']['torch']}",
        "slices": table([f"per slice of {costs['side']} × {costs['side']}", "CPU time"], slices),
        "voxels": table(
            ["per million voxels", "CPU time"],
            [[name, f"{1e3 * costs['volume'][name]:.0f} ms"] for name in steps],
        ),
        "start": table(["start of a job", "CPU time"], starts),
    }


def paper_study(paper: Study, costs: dict[str, Any]) -> dict[str, str]:
    """Jobs, storage and core-hours of config/paper.yaml."""
    each = {name: dataset_costs(name, paper, costs) for name in paper.datasets}
    sums = {key: sum(one[key] for one in each.values()) for key in next(iter(each.values()))}
    jobs, start = jobs_of(paper), costs["start"]
    kind = {"normalise_volumes": "light", "decimate_volumes": "light"}  # all others import torch
    started = sum(n * (start[kind.get(rule, "torch")] + 2 * start["workflow"]) for rule, n in jobs.items())
    rows = []
    for name, one in each.items():
        subjects, frames, slices, pixels = SIZES[name]
        storage = [f"{one[key] / GB:.1f}" for key in ("normalised", "low", "kept")]
        evaluation = f"{one['scored']:,.0f} × {one['per_slice_s']:.2f} s = {one['evaluate_s'] / HOUR:.1f} h"
        size = f"{sum(subjects)} × {frames} × {slices} × {pixels:,}"
        rows.append(
            [name, size, *storage, f"{one['rows'] / 1e6:.2f}", f"{one['data_s'] / HOUR:.2f}", evaluation]
        )
    header = ["dataset", "cases × frames × slices × px", "scaled GB", "low GB", "kept GB", "rows, 10⁶"]
    kinds = ("normalised", "low", "kept", "table")
    return {
        "jobs": table(["rule", "jobs"], [[name, str(count)] for name, count in jobs.items()]),
        "datasets": table([*header, "data, h", "evaluation, core-h"], rows),
        "cores": str(CORES),
        "evaluate_core_h": f"{sums['evaluate_s'] / HOUR:,.0f}",
        "data_core_h": f"{sums['data_s'] / HOUR:.1f}",
        "start_core_h": f"{started / HOUR:.1f}",
        "node_hours": f"{(sums['evaluate_s'] + sums['data_s'] + started) / HOUR / CORES:,.1f}",
        "storage": f"{sum(sums[key] for key in kinds) / GB:.0f}",
        "storage_sum": " + ".join(f"{sums[key] / GB:.1f}" for key in kinds),
        "shard_h": f"{each['oasis']['evaluate_s'] / evaluations_of('oasis', paper) / HOUR:.2f}",
    }


def trainings(paper: Study, costs: dict[str, Any]) -> dict[str, str]:
    """Operations and hours of the trainings."""
    rows, total = [], 0.0
    for row in training_rows(paper, costs):
        hours = float(row["gpu_h"]) * int(row["count"])
        total += hours
        counts = [str(row["count"]), f"{row['steps']:,}", f"{row['tflop']:.3f}"]
        rows.append(
            [str(row["name"]), *counts, f"{row['cpu_h']:,.0f}", f"{row['gpu_h']:.1f}", f"{hours:,.0f}"]
        )
    header = ["training", "number", "steps", "TFLOP per step", "one on a core, h"]
    return {
        "trainings": table([*header, f"one at {GPU_TFLOPS:g} TFLOP/s, h", "all, GPU-h"], rows),
        "gpu_hours": f"{total:,.0f}",
        "gpu_tflops": f"{GPU_TFLOPS:g}",
    }


def many_volumes(paper: Study, costs: dict[str, Any]) -> dict[str, str]:
    """MANY volumes of the size of OASIS."""
    oasis, (train, validation, test) = dataset_costs("oasis", paper, costs), SIZES["oasis"][0]
    per_subject = 1 / (train + validation + test)
    evaluation = oasis["evaluate_s"] / test * TESTED / HOUR
    rows, scoring = oasis["rows"] / test * TESTED, costs["scoring"]
    return {
        "many": f"{MANY:,}",
        "tested": f"{TESTED:,}",
        "many_storage": f"{(oasis['normalised'] + oasis['low']) * per_subject * MANY / 1e12:.1f}",
        "many_data_h": f"{oasis['data_s'] * per_subject * MANY / HOUR:.0f}",
        "many_evaluate_h": f"{evaluation:,.0f}",
        "many_nodes": f"{evaluation / CORES:,.0f}",
        "many_shards": f"{paper.datasets['oasis']['shards'] * TESTED / test:.0f}",
        "many_rows": f"{rows / 1e6:,.0f}",
        "many_table": f"{rows * scoring['bytes_per_row'] / GB:.1f}",
        "many_memory": f"{rows * scoring['memory_bytes_per_row'] / GB:,.0f}",
        "bytes_row": f"{scoring['bytes_per_row']:.1f}",
        "memory_row": f"{scoring['memory_bytes_per_row']:.0f}",
    }


def from_scores_to_page(made: dict[str, Any]) -> dict[str, str]:
    """What `many_subjects.py` found."""
    each = made["steps"].values()
    together = {"cpu_s": sum(one["cpu_s"] for one in each), "peak_mib": max(one["peak_mib"] for one in each)}
    steps = made["steps"] | {"together": together}
    rows = [
        [f"`{name}`", f"{one['cpu_s']:.0f} s", f"{one['peak_mib']:,.0f} MiB"] for name, one in steps.items()
    ]
    way = ("collect_means", "compare_methods", "plot_boxes", "write_page")
    return {
        "made_way": f"{sum(made['steps'][name]['cpu_s'] for name in way):.0f}",
        "made_subjects": f"{made['subjects']:,}",
        "made_rows": f"{made['rows'] / 1e6:.1f}",
        "made_mb": f"{made['bytes'] / 1e6:.0f}",
        "made_steps": table(["step", "CPU time", "memory"], rows),
    }


def precisions(devices: dict[str, Any]) -> dict[str, str]:
    """bfloat16 against float32 on the CPU, where it computes in both."""
    single, half = (devices["runs"].get(f"cpu {name}") for name in ("float32", "bfloat16"))
    if half is None:
        return {"bfloat16": "The CPU of `benchmarks/devices.py` has no instructions for bfloat16."}
    return {
        "bfloat16": (
            "bfloat16 on this CPU against float32, 200 steps of the small autoencoder with LPIPS, same seed and\n"
            f"batches (`benchmarks/devices.py`): {half['steps_per_second_against_cpu_float32']:.2f} times as many steps "
            f"per CPU second; the loss of the\nlast 20 steps differs by {100 * half['relative_difference_of_loss']:.1f} %, "
            f"predicted slices by {half['mean_absolute_difference_of_prediction']:.4f} in the mean (range 1),\ntheir PSNR is "
            f"{half['psnr_of_prediction']:.2f} against {single['psnr_of_prediction']:.2f} dB. CPU against GPU was not run."
        )
    }


def against_plain(reference: dict[str, Any]) -> dict[str, str]:
    """Our training step beside a plain one."""
    every = reference["steps"]
    kinds = sorted({kind for row in every.values() for kind in row["times_as_fast"]}, reverse=True)
    rows = [
        [f"{name}, {row['batch']} × {row['side']}²", f"{row['seconds']['plain']:.2f} s"]
        + [f"{row['times_as_fast'][kind]:.2f}" for kind in kinds]
        for name, row in every.items()
    ]
    machine = reference["environment"]
    place = "" if reference["device"] == "cpu" else f" on {reference['device']}"
    return {
        "reference_steps": table(["step", "plain", *(f"{kind}, times as fast" for kind in kinds)], rows),
        "reference_machine": f"{machine['cpu']}{place}, torch {machine['packages']['torch']}",
    }


def evaluations_of(name: str, paper: Study) -> int:
    """Evaluations of a dataset: factors, methods, shards."""
    runs = sum(len(methods_at(paper, name, factor)) for factor in paper.factors(name))
    return runs * paper.datasets[name]["shards"]


def main() -> None:
    names = ("costs", "devices", "reference_step", "many_subjects")
    costs, devices, reference, made = (json.loads((HERE / f"{name}.json").read_text()) for name in names)
    text = (HERE / "scale.md.in").read_text()
    paper = study()
    parts = what_things_cost(costs) | paper_study(paper, costs) | trainings(paper, costs)
    parts |= many_volumes(paper, costs) | from_scores_to_page(made)
    parts |= precisions(devices) | against_plain(reference)
    for name, value in parts.items():
        if f"@{name}@" not in text:
            raise SystemExit(f"scale.md.in has no place for {name}")
        text = text.replace(f"@{name}@", value)
    if "@" in text:
        raise SystemExit("scale.md.in has a place that nothing fills")
    with replacing(ROOT / "docs" / "results" / "scale.md") as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    main()
