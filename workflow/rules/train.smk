# Train one method on one dataset at one K with one seed, once for all studies.


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


rule train_method:
    input:
        low=lambda wildcards: low(wildcards.dataset, wildcards.K, "train"),
        normalised=sharp_volumes,
        validation_low=lambda wildcards: low(wildcards.dataset, wildcards.K, "validation"),
        validation_normalised=lambda wildcards: normalised(wildcards.dataset, "validation"),
        backbone=training_backbone,
    output:
        model=f"{TRAINING}/model.pt",
        history=f"{TRAINING}/history.csv",
        provenance=f"{TRAINING}/provenance.json",
    log:
        f"{TRAINING.replace('results', 'results/logs')}.log",
    benchmark:
        f"{TRAINING.replace('results', 'results/benchmarks')}.tsv"
    priority: 1  # the longest jobs first
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=memory_of("train"),
        runtime=minutes_of("train"),
        gpu=config["gpus"]["train"],
    params:
        repetition=lambda wildcards: training_of(wildcards)[1],
        settings=training_settings,
        validation_frames=lambda wildcards: dataset_of(wildcards)["validation_frames"],
        # Not an output: Snakemake deletes the outputs of a failed job, and this file is what it continues from.
        resume=f"{TRAINING}/resume.pt",
        code=lambda wildcards: digest_of("train_method", classes_of(training_of(wildcards)[0])),
    script:
        "../scripts/train_method.py"
