# What the rules of data, training, interpolation and scoring are given: input functions and parameters.


def part_dataset(wildcards):
    """A dataset that has a split; two of the same files may share it."""
    return PARTS[wildcards.dataset, wildcards.split, wildcards.made]


def source_part(wildcards):
    return part_of(part_dataset(wildcards), wildcards.split)


def source_texts(wildcards):
    """How a person gets the data."""
    return {"access": part_dataset(wildcards)["access"]}


def source_files(wildcards):
    return split_files(source_part(wildcards) | source_texts(wildcards), wildcards.split, RESOURCES)


def source_digest(script):
    """As digest_of, with the source of the dataset: editing one source leaves the others' datasets alone."""
    return lambda wildcards: digest_of(script, SOURCES[part_dataset(wildcards)["source"]])


def converted_of(wildcards):
    """The NIfTI files of a source that has none of its own."""
    converted = is_converted(part_dataset(wildcards))
    return [f"results/convert_dataset/{PART}".format(**wildcards)] if converted else []


def index_inputs(wildcards):
    """What the index reads: the source's files, or what was made of them."""
    return converted_of(wildcards) or source_files(wildcards)


def decimation_of(wildcards):
    part = low_part_of(dataset_of(wildcards), wildcards.split)
    return {key: part[key] for key in DEGRADATION}


def split_checks(datasets):
    """What says that no volume is in two splits of a dataset, named by what was compared."""
    return [
        f"results/check_splits/{dataset}/{key_of([made_of(dataset, split) for split in used_splits(dataset)])}.txt"
        for dataset in datasets
    ]


def training_of(wildcards):
    """The method and seed of a training, as the first method of the study names it."""
    return RUNS_OF_TRAINING[wildcards.dataset, int(wildcards.K), wildcards.training]


def training_settings(wildcards):
    return what_matters(STUDY.settings(training_of(wildcards)[0], wildcards.dataset))


def sharp_volumes(wildcards):
    """High-resolution volumes to train on: for supervised methods alone."""
    supervised = training_settings(wildcards)["method"] in SUPERVISED
    return normalised(wildcards.dataset, "train") if supervised else []


def training_backbone(wildcards):
    """The LPIPS weights that a training needs: none where the weight of the term is 0."""
    synthesis = training_settings(wildcards).get("synthesis", {})
    return [f"{RESOURCES}/lpips/{synthesis['backbone']}.pt"] if synthesis.get("lpips") else []


def run_of(wildcards):
    """The method and seed of a run, and whether the volumes have lesions in them."""
    return RUNS[wildcards.dataset, int(wildcards.K), wildcards.run]


def run_settings(wildcards):
    return to_interpolate(STUDY.settings(run_of(wildcards)[0], wildcards.dataset))


def run_told(wildcards):
    """What a method is told that changes none of its volumes: its label, its limits, and what it is said to learn from."""
    settings = STUDY.settings(run_of(wildcards)[0], wildcards.dataset)
    named = {"dataset": wildcards.dataset} if "results" in settings else {}
    return named | {key: settings[key] for key in ("label", "learns_from", *LIMITS) if key in settings}


def run_results(wildcards):
    """The files that a method brings which were made elsewhere."""
    settings = STUDY.settings(run_of(wildcards)[0], wildcards.dataset)
    place = {"dataset": wildcards.dataset, "K": wildcards.K, "subject": "*"}
    pattern = settings.get("results", "").format(**place)
    return sorted(glob.glob(pattern)) if pattern else []


def run_model(wildcards):
    method, seed, _ = run_of(wildcards)
    return model_of(method, wildcards.dataset, int(wildcards.K), seed)


def unseen_of(wildcards):
    """The dataset whose test subjects a finished model must not have seen."""
    finished = STUDY.settings(run_of(wildcards)[0], wildcards.dataset).get("checkpoint")
    return STUDY.origin(wildcards.dataset) if finished else None


def interpolated_shard(wildcards):
    return interpolated(wildcards.method, wildcards.dataset, wildcards.K, int(wildcards.seed))[
        int(wildcards.shard)
    ]


def shard_with_lesions(wildcards):
    if not LESIONS:
        return []
    folders = interpolated(
        wildcards.method, wildcards.dataset, wildcards.K, int(wildcards.seed), with_lesions=True
    )
    return [folders[int(wildcards.shard)]]


def scored_volumes():
    """The folders of all volumes that scores are made of."""
    runs = [
        (method, *place, seed) for place in PLACES for method in STUDY.methods for seed in seeds_of(method)
    ]
    results = [
        folder for method, dataset, K, seed in runs for folder in interpolated(method, dataset, K, seed)
    ]
    given = [folder for dataset, K in PLACES for folder in [*normalised(dataset), *low(dataset, K)]]
    return list(dict.fromkeys([*results, *given]))


def scoring_backbone():
    scoring = config["evaluation"]
    return [f"{RESOURCES}/lpips/{scoring['lpips']}.pt"] if "lpips" in scoring["metrics"] else []
