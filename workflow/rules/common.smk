# Configuration checks, wildcard constraints, input functions, code digests.
import functools
import glob
import hashlib
import os
import sys
from pathlib import Path

from snakemake.utils import update_config

ROOT = Path(workflow.current_basedir).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from interslice.config import load_study, refuse_silent_overrides, typed
from interslice.data.sources.registry import DRAWN, SOURCES
from interslice.data.split_records import record_splits, refuse_moves
from interslice.data.index import is_converted, split_files
from interslice.data.parts import home_of
from interslice.common.errors import InputError
from interslice.common.gpus import visible_gpus
from interslice.common.files import link_folder, sha256_of
from interslice.methods.registry import METHODS, ONE_FOR_ALL, OWN, SUPERVISED, is_supervised, self_trained
from interslice.common.code import code_digest, reaches, script_entries
from interslice.scoring.registry import LINE_METRICS, METRICS

SPLIT_RECORDS = Path("results/splits")

try:
    update_config(config, typed(dict(workflow.config_settings.config)))
    STUDY = load_study(config, ROOT)
    if workflow.is_main_process:
        refuse_silent_overrides(workflow.config_settings.config, STUDY)
        for dataset in STUDY.datasets.values():
            refuse_moves(dataset, config["resources"], SPLIT_RECORDS)
except InputError as error:
    # One sentence, no traceback: Snakemake would add both to an exception that leaves a Snakefile.
    print(f"interslice: {error}", file=sys.stderr)
    raise SystemExit(2)
# Without a cluster (no --jobs for one) no more jobs at a time than GPUs, unless --resources gpu=N says so. On a machine without
# one the resource limits nothing: trainings take the CPUs.
if workflow.is_main_process:
    if workflow.resource_settings.nodes is None and "gpu" not in workflow.global_resources and visible_gpus():
        workflow.register_resource("gpu", len(visible_gpus()))
    for name, program in STUDY.left_out.items():
        print(f"interslice: {name} is left out, not installed is {program}", file=sys.stderr)

# A metric's function counts for its scores, and what its entry says for what shows them: another metric reruns neither.
UNSHOWN = ("interpolate_volumes", "score_method", "score_as_published")
METRIC_FUNCTIONS = [METRICS[metric].function for metric in config["evaluation"]["metrics"]]
METRICS_BEST = {metric: str(METRICS[metric].best) for metric in config["evaluation"]["metrics"]}
SHOWN_METRICS = [*config["evaluation"]["metrics"], *LINE_METRICS]
METRICS_SHOWN = hashlib.sha256(repr([METRICS[metric] for metric in SHOWN_METRICS]).encode()).hexdigest()
# Rules know the folder of what is fetched by one name: a move of it reruns nothing.
RESOURCES = "results/.resources"
if workflow.is_main_process:
    link_folder(Path(config["resources"]), Path(RESOURCES))
MISSING_DATA = "results/logs/check_data_missing.txt"
RESULTS = f"results/{config['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
RUN = "{dataset}/K{K}/{method}/seed{seed}"


# Datasets of the same files share them, and the volumes that are made of them alike, in a folder of one name.
OF_FILES = {home_of(dataset): dataset for dataset in reversed(STUDY.datasets.values())}


wildcard_constraints:
    dataset="|".join({**STUDY.datasets, **OF_FILES}),
    method="|".join(STUDY.every_method),
    K=r"\d+",
    seed=r"\d+",
    shard=r"\d+",
    region="whole|foreground",
    backbone="alex|vgg",
    subject=r"[A-Za-z0-9_-]+",
    archive=r"[A-Za-z0-9][A-Za-z0-9_.+-]*",
    ending=r"(\.(nii|csv)(\.gz)?)?",
    split="train|validation|test",
    made="[0-9a-f]{10}",
    low="[0-9a-f]{10}",
    training=r"\w+-seed\d+-[0-9a-f]{10}",
    run=r"\w+-seed\d+-(lesions-)?[0-9a-f]{10}",


def dataset_of(wildcards):
    """A dataset of the study; in rules of files, one that has them."""
    return STUDY.datasets.get(wildcards.dataset) or OF_FILES[wildcards.dataset]


def settings_of(wildcards):
    return STUDY.settings(wildcards.method, wildcards.dataset)


def seeds_of(method):
    """Only what is trained here is random: the others run once."""
    return config["seeds"] if STUDY.trains(method) else [1]


def unrecorded(function):
    """Input for `params`: what a job says to people. Snakemake does not compare what derives from the input, so nothing reruns."""
    return lambda wildcards, input: function(wildcards)


def subject_entry(wildcards):
    return dataset_of(wildcards)["subjects"][wildcards.subject]


def package_of(wildcards):
    """The package that an archive belongs to."""
    packages = [package for dataset in STUDY.datasets.values() for package in dataset["packages"].values()]
    return next(package for package in packages if package["archive"] == wildcards.archive)


def archive_of(wildcards):
    """The archive that holds a subject of source packages."""
    dataset = dataset_of(wildcards)
    package = dataset["subjects"][wildcards.subject]["package"]
    return f"{RESOURCES}/packages/{dataset['packages'][package]['archive']}"


def memory_of(step):
    """Input for `resources`: what an attempt asks for, doubled with every retry."""
    return lambda wildcards, attempt: config["memory_mb"][step] * 2 ** (attempt - 1)


def minutes_of(step):
    """As memory_of, for the time. A training that is stopped by it goes on from where it was."""
    return lambda wildcards, attempt: config["minutes"][step] * 2 ** (attempt - 1)


def classes_of(method):
    """The code of a method, as an entry of code_digest."""
    return f"{METHODS[STUDY.every_method[method]['method']]}:CLASSES"


@functools.cache
def digest_of(script, *modules):
    """Input for `params`: the digest of what a script calls, and of modules that it imports by a name in the settings.

    Where it shows or compares metrics, also of what their registry says of those of the study.
    """
    entries = [*script_entries(ROOT / "workflow" / "scripts" / f"{script}.py"), *modules]
    shown = script not in UNSHOWN and reaches("interslice.scoring.registry", *entries)
    return code_digest(*entries) + (f" {METRICS_SHOWN}" if shown else "")


def web_digest():
    """The digests of the page's templates, styles and scripts, which are no Python."""
    files = (
        path
        for ending in ("j2", "css", "js")
        for path in (ROOT / "src/interslice/report/web").glob(f"*.{ending}")
    )
    return {path.name: sha256_of(path) for path in sorted(files)}
