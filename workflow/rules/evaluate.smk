# Interpolate the test volumes and score them: one long table.


rule evaluate_method:
    input:
        normalised="results/normalise_volumes/{dataset}/{shard}",
        low="results/decimate_volumes/{dataset}/K{K}/{shard}",
        checkpoint=checkpoint_of,
        backbone=scoring_backbone(),
    output:
        scores=f"{RESULTS}/evaluate_method/{RUN}/{{shard}}.parquet",
        volumes=directory(f"{RESULTS}/evaluate_method/{RUN}/{{shard}}_volumes"),
    log:
        f"{LOGS}/evaluate_method/{RUN}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_method/{RUN}/{{shard}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        settings=settings_of,
        evaluation=config["evaluation"],
        slice_profile=lambda wildcards: dataset_of(wildcards)["slice_profile"],
        score_px=lambda wildcards: dataset_of(wildcards)["score_px"],
        origin=lambda wildcards: STUDY.origin(wildcards.dataset),
        keep=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        # Not an output, as for a training: Snakemake deletes the outputs of a failed job.
        resume=f"{RESULTS}/evaluate_method/{RUN}/{{shard}}_resume",
        code=method_digest("evaluate_method"),
    script:
        "../scripts/evaluate_method.py"


rule collect_scores:
    input:
        score_files("evaluate_method", STUDY.methods, PLACES),
    output:
        f"{RESULTS}/scores.parquet",
    log:
        f"{LOGS}/collect_scores.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        code=digest_of("collect_scores"),
    script:
        "../scripts/collect_scores.py"
