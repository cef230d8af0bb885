# Train one method on one dataset at one K with one seed, once for all studies.


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
