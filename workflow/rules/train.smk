# Train one method on one dataset at one K with one seed.


rule train_method:
    input:
        normalised=all_shards("results/normalise_volumes/{dataset}"),
        low=all_shards("results/decimate_volumes/{dataset}/K{K}"),
        backbone=training_backbone,
    output:
        model=f"{RESULTS}/train_method/{RUN}/model.pt",
        history=f"{RESULTS}/train_method/{RUN}/history.csv",
        provenance=f"{RESULTS}/train_method/{RUN}/provenance.json",
    log:
        f"{LOGS}/train_method/{RUN}.log",
    benchmark:
        f"{BENCHMARKS}/train_method/{RUN}.tsv"
    priority: 1  # the longest jobs first
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=memory_of("train"),
        runtime=minutes_of("train"),
        gpu=config["gpus"]["train"],
    params:
        settings=settings_of,
        validation_frames=lambda wildcards: dataset_of(wildcards)["validation_frames"],
        # Not an output: Snakemake deletes the outputs of a failed job, and this file is what it continues from.
        resume=f"{RESULTS}/train_method/{RUN}/resume.pt",
        code=method_digest("train_method"),
    script:
        "../scripts/train_method.py"
