# Configuration checks, wildcard constraints, input functions, code digests.
import os
import sys
from pathlib import Path

from snakemake.utils import update_config

ROOT = Path(workflow.current_basedir).parent.parent
sys.path.insert(0, str(ROOT / "src"))

from interslice.config import load_study, typed
from interslice.errors import InputError
from interslice.methods import METHODS
from interslice.provenance import code_digest

try:
    update_config(config, typed(workflow.config_settings.overwrite_config))
    STUDY = load_study(config, ROOT)
except InputError as error:
    # One sentence, no traceback: Snakemake would add both to an exception that leaves a Snakefile.
    print(f"interslice: {error}", file=sys.stderr)
    raise SystemExit(2)

RESOURCES = config["resources"]
RESULTS = f"results/{config['study']}"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
RUN = "{dataset}/K{K}/{method}/seed{seed}"


wildcard_constraints:
    dataset="|".join(STUDY.datasets),
    method="|".join(STUDY.methods),
    K=r"\d+",
    seed=r"\d+",
    shard=r"\d+",
    backbone="alex|vgg",


def dataset_of(wildcards):
    return STUDY.datasets[wildcards.dataset]


def settings_of(wildcards):
    return STUDY.methods[wildcards.method]


def is_trained(method):
    return STUDY.methods[method]["role"] == "trained"


def seeds_of(method):
    """Only trained methods are random: the others run once."""
    return config["seeds"] if is_trained(method) else [1]


def shards_of(dataset):
    return range(STUDY.datasets[dataset]["shards"])


def files_of(dataset_name):
    """Subject to the file that the index reads."""
    dataset = STUDY.datasets[dataset_name]
    if dataset["source"] == "packages":
        return {subject: f"{RESOURCES}/{dataset_name}/{subject}.nii.gz" for subject in dataset["subjects"]}
    return folder_files(dataset)


def folder_files(dataset):
    """SUBJECT.nii or SUBJECT.nii.gz for every subject of the splits; a missing one is reported by the index rule."""
    folder = Path(dataset["folder"])
    subjects = [subject for split in dataset["splits"].values() for subject in split]
    return {
        s: str(folder / f"{s}.nii" if (folder / f"{s}.nii").exists() else folder / f"{s}.nii.gz")
        for s in subjects
    }


def package_of(wildcards):
    """The package that an archive belongs to."""
    packages = [
        package for dataset in STUDY.datasets.values() for package in dataset.get("packages", {}).values()
    ]
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
    return (
        [f"{RESULTS}/train_method/{RUN}/model.pt".format(**wildcards)] if is_trained(wildcards.method) else []
    )


def digest_of(step):
    """Input for `params`: the digest of a step's code, so that editing the package reruns what depends on it."""
    return code_digest(f"interslice.steps.{step}")


def method_digest(step):
    """As digest_of, with the file of the method that the wildcards name."""
    return lambda wildcards: code_digest(
        f"interslice.steps.{step}", METHODS[settings_of(wildcards)["method"]]
    )
