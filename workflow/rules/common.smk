# Configuration checks, wildcard constraints, input functions, code digests.
import functools
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
from interslice.data.index import input_files, is_converted
from interslice.common.errors import InputError
from interslice.common.gpus import visible_gpus
from interslice.common.files import sha256_of
from interslice.methods.registry import METHODS, OWN, SUPERVISED
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
    for name, command in STUDY.left_out.items():
        print(f"interslice: {name} is left out, {command} is not installed (make eclare)", file=sys.stderr)

# A metric's function counts for its scores, and what its entry says for what shows them: another metric reruns neither.
SCORING = ("evaluate_method", "score_as_published")
METRIC_FUNCTIONS = [METRICS[metric].function for metric in config["evaluation"]["metrics"]]
SHOWN_METRICS = [*config["evaluation"]["metrics"], *LINE_METRICS]
METRICS_SHOWN = hashlib.sha256(repr([METRICS[metric] for metric in SHOWN_METRICS]).encode()).hexdigest()
RESOURCES = config["resources"]
RESULTS = f"results/{config['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
RUN = "{dataset}/K{K}/{method}/seed{seed}"


wildcard_constraints:
    dataset="|".join(STUDY.datasets),
    method="|".join(STUDY.every_method),
    K=r"\d+",
    seed=r"\d+",
    shard=r"\d+",
    region="whole|foreground",
    backbone="alex|vgg",
    subject=r"[A-Za-z0-9_-]+",
    archive=r"[A-Za-z0-9][A-Za-z0-9_.+-]*",
    ending=r"(\.(nii|csv)(\.gz)?)?",


def dataset_of(wildcards):
    return STUDY.datasets[wildcards.dataset]


def settings_of(wildcards):
    return STUDY.settings(wildcards.method, wildcards.dataset)


def seeds_of(method):
    """Only what is trained here is random: the others run once."""
    return config["seeds"] if STUDY.trains(method) else [1]


def shards_of(dataset):
    return range(STUDY.datasets[dataset]["shards"])


def converted_of(wildcards):
    """The NIfTI files of a source that has none of its own."""
    converted = is_converted(dataset_of(wildcards))
    return ["results/convert_dataset/{dataset}".format(**wildcards)] if converted else []


def index_inputs(wildcards):
    """What the index reads: the source's files, or what was made of them."""
    return converted_of(wildcards) or input_files(dataset_of(wildcards), RESOURCES)


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


def training_backbone(wildcards):
    """The LPIPS weights that a training needs: none where the weight of the term is 0."""
    synthesis = settings_of(wildcards).get("synthesis", {})
    return [f"{RESOURCES}/lpips/{synthesis['backbone']}.pt"] if synthesis.get("lpips") else []


def scoring_backbone():
    scoring = config["evaluation"]
    return [f"{RESOURCES}/lpips/{scoring['lpips']}.pt"] if "lpips" in scoring["metrics"] else []


def all_shards(rule_folder):
    """Input function: the folders of all shards of a rule."""
    return lambda wildcards: [
        f"{rule_folder}/{shard}".format(**wildcards) for shard in shards_of(wildcards.dataset)
    ]


def checkpoint_of(wildcards):
    """The model of a trained method; a dataset without training borrows that of another."""
    finished = settings_of(wildcards).get("checkpoint")
    if finished:
        return [finished.format(K=wildcards.K)]
    run = dict(wildcards, dataset=STUDY.training_dataset(wildcards.dataset))
    model = f"{RESULTS}/train_method/{RUN}/model.pt".format(**run)
    return [model] if STUDY.trains(wildcards.method) else []


def memory_of(step):
    """Input for `resources`: what an attempt asks for, doubled with every retry."""
    return lambda wildcards, attempt: config["memory_mb"][step] * 2 ** (attempt - 1)


def minutes_of(step):
    """As memory_of, for the time. A training that is stopped by it goes on from where it was."""
    return lambda wildcards, attempt: config["minutes"][step] * 2 ** (attempt - 1)


@functools.cache
def digest_of(script, *modules):
    """Input for `params`: the digest of what a script calls, and of modules that it imports by a name in the settings.

    Where it shows or compares metrics, also of what their registry says of those of the study.
    """
    entries = [*script_entries(ROOT / "workflow" / "scripts" / f"{script}.py"), *modules]
    shown = script not in SCORING and reaches("interslice.scoring.registry", *entries)
    return code_digest(*entries) + (f" {METRICS_SHOWN}" if shown else "")


def source_digest(script):
    """As digest_of, with the source of the dataset: editing one source leaves the others' datasets alone."""
    return lambda wildcards: digest_of(script, SOURCES[dataset_of(wildcards)["source"]])


def method_digest(script):
    """As digest_of, with the file of the method that the wildcards name, and the functions of the metrics that are scored."""
    functions = METRIC_FUNCTIONS if script in SCORING else []
    return lambda wildcards: digest_of(
        script, f"{METHODS[settings_of(wildcards)['method']]}:CLASSES", *functions
    )


def web_digest():
    """The digests of the page's templates, styles and scripts, which are no Python."""
    files = (
        path
        for ending in ("j2", "css", "js")
        for path in (ROOT / "src/interslice/report/web").glob(f"*.{ending}")
    )
    return {path.name: sha256_of(path) for path in sorted(files)}
