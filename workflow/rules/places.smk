# Where everything lies. Volumes, trainings and interpolations are shared by all studies: their folders are named by what made their
# content, so that no study overwrites another's and nothing is made twice.
from interslice.data.parts import DEGRADATION, PREPROCESSING, key_of, low_part_of, part_of
from interslice.data.sources import SPLITS
from interslice.methods.registry import LIMITS, interpolation_settings, what_matters

PART = "{dataset}/{split}-{made}"
LOW = "results/decimate_volumes/{dataset}/{split}-{low}/K{K}/{shard}"
TRAINING = "results/train_method/{dataset}/K{K}/{training}"
INTERPOLATION = "results/interpolate_volumes/{dataset}/K{K}/{run}"
LESIONS = [name for name in config["evaluation"]["metrics"] if METRICS[name].needs == "lesions"]


def shards_of(dataset, split="test"):
    """Validation volumes are few."""
    return range(1 if split == "validation" else STUDY.datasets[dataset]["shards"])


@functools.cache
def made_of(dataset, split):
    return key_of(part_of(STUDY.datasets[dataset], split))


@functools.cache
def low_made_of(dataset, split):
    return key_of(low_part_of(STUDY.datasets[dataset], split))


# The folder of a split back to a dataset that has it.
PARTS = {
    (home_of(dataset), split, made_of(name, split)): dataset
    for name, dataset in STUDY.datasets.items()
    for split in SPLITS
}


def part_file(rule, dataset, split, ending=""):
    """The file or folder of a rule that has one for every split of a dataset."""
    return f"results/{rule}/{home_of(STUDY.datasets[dataset])}/{split}-{made_of(dataset, split)}{ending}"


def normalised(dataset, split="test"):
    """The folders of all shards of a split's reference volumes."""
    return [
        f"{part_file('normalise_volumes', dataset, split)}/{shard}" for shard in shards_of(dataset, split)
    ]


def low(dataset, K, split="test"):
    """The folders of all shards of a split's low-resolution volumes."""
    where = {"dataset": dataset, "split": split, "low": low_made_of(dataset, split), "K": K}
    return [LOW.format(**where, shard=shard) for shard in shards_of(dataset, split)]


def used_splits(dataset):
    """The splits that the study reads: those that nothing is trained on are left alone."""
    trains = any(STUDY.trains(method) for method in STUDY.every_method)
    return SPLITS if trains and STUDY.training_dataset(dataset) == dataset else ["test"]


def to_interpolate(settings):
    """The settings that interpolation uses, with the content of the files that they name."""
    used = interpolation_settings(settings)
    if used.get("files"):
        used["files"] = {file: digest_of_file(file) for file in used["files"]}
    return used


digest_of_file = functools.cache(sha256_of)


@functools.cache
def training_id(method, dataset, K, seed):
    """The name of a training's folder. Equal trainings of two studies, or of two methods, are one."""
    settings, of = STUDY.settings(method, dataset), STUDY.datasets[dataset]
    volumes = [low_made_of(dataset, split) for split in ("train", "validation")]
    content = [what_matters(settings), volumes, of["validation_frames"], seed]
    return f"{settings['method']}-seed{seed}-{key_of(content)}"


def training_folder(method, dataset, K, seed):
    """The folder of the training that a dataset is evaluated with: its own, or that of the dataset whose models it borrows."""
    lender, K = STUDY.training_dataset(dataset), STUDY.training_factor(method, dataset, K)
    return TRAINING.format(dataset=lender, K=K, training=training_id(method, lender, K, seed))


def model_of(method, dataset, K, seed):
    """The model that a method interpolates with: finished, trained in the study, or none."""
    finished = STUDY.settings(method, dataset).get("checkpoint")
    if finished:
        return [finished.format(K=K)]
    return [f"{training_folder(method, dataset, K, seed)}/model.pt"] if STUDY.trains(method) else []


def lesions_of(dataset):
    """What of a dataset lesions depend on that are inserted before slices are dropped."""
    return {key: STUDY.datasets[dataset][key] for key in ("slice_profile", "score_px")}


@functools.cache
def run_id(method, dataset, K, seed, with_lesions=False):
    """The name of the folder of what a method makes of a dataset's test volumes."""
    settings = STUDY.settings(method, dataset)
    content = [to_interpolate(settings), low_made_of(dataset, "test"), model_of(method, dataset, K, seed)]
    content += [lesions_of(dataset)] if with_lesions else []
    return f"{settings['method']}-seed{seed}-{'lesions-' if with_lesions else ''}{key_of(content)}"


def interpolated(method, dataset, K, seed=None, with_lesions=False):
    """The folders of all shards that a method made; of its first seed where none is given."""
    run = run_id(method, dataset, int(K), seed or seeds_of(method)[0], with_lesions)
    folder = INTERPOLATION.format(dataset=dataset, K=K, run=run)
    return [f"{folder}/{shard}" for shard in shards_of(dataset)]


# Back from the name of a folder to what makes it.
PLACES = [(dataset, K) for dataset in STUDY.datasets for K in STUDY.factors(dataset)]
RUNS_OF_TRAINING = {
    (dataset, K, training_id(method, dataset, K, seed)): (method, seed)
    for dataset, K in PLACES
    if dataset in STUDY.trained_datasets()
    for method in STUDY.every_method
    if STUDY.trains(method) and STUDY.training_factor(method, dataset, K) == K
    for seed in seeds_of(method)
}
RUNS = {
    (dataset, K, run_id(method, dataset, K, seed, with_lesions)): (method, seed, with_lesions)
    for dataset, K in PLACES
    for method in STUDY.every_method
    for seed in seeds_of(method)
    for with_lesions in ([False, True] if LESIONS else [False])
}
