# Score the interpolated test volumes: a long table per shard, and the means of its frames.


rule score_method:
    input:
        normalised=lambda wildcards: normalised(wildcards.dataset)[int(wildcards.shard)],
        low=lambda wildcards: low(wildcards.dataset, wildcards.K)[int(wildcards.shard)],
        interpolated=interpolated_shard,
        with_lesions=shard_with_lesions,
        backbone=scoring_backbone(),
    output:
        scores=f"{RESULTS}/score_method/{RUN}/{{shard}}.parquet",
        means=f"{RESULTS}/frame_means/{RUN}/{{shard}}.parquet",
        places=f"{RESULTS}/score_method/{RUN}/{{shard}}.json",
    log:
        f"{LOGS}/score_method/{RUN}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/score_method/{RUN}/{{shard}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
        gpu=config["gpus"]["evaluate"],
    params:
        evaluation={key: config["evaluation"][key] for key in ("metrics", "gap_step", "lpips")},
        best=METRICS_BEST,  # the shortfall is from it
        slice_profile=lambda wildcards: dataset_of(wildcards)["slice_profile"],
        score_px=lambda wildcards: dataset_of(wildcards)["score_px"],
        resume=f"{RESULTS}/score_method/{RUN}/{{shard}}_resume",
        code=digest_of("score_method", *METRIC_FUNCTIONS),
    script:
        "../scripts/score_method.py"


rule collect_scores:
    input:
        split_checks(STUDY.datasets),
        means=score_files("frame_means", STUDY.methods, PLACES),
    output:
        f"{RESULTS}/means.parquet",
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


rule collect_budgets:
    input:
        [folder for *_, folders in learned_runs() for folder in folders],
    output:
        f"{RESULTS}/budgets.csv",
    log:
        f"{LOGS}/collect_budgets.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        runs=learned_runs(),
        profiles={
            dataset: [
                STUDY.datasets[of]["slice_profile"] for of in (dataset, STUDY.training_dataset(dataset))
            ]
            for dataset in STUDY.datasets
        },
        code=digest_of("collect_budgets"),
    script:
        "../scripts/collect_budgets.py"


rule recheck_scores:
    input:
        scores=score_files("score_method", STUDY.methods, PLACES),
        places=score_files("score_method", STUDY.methods, PLACES, "json"),
        volumes=scored_volumes(),
        backbone=scoring_backbone(),
    output:
        f"{RESULTS}/recheck.csv",
    log:
        f"{LOGS}/recheck_scores.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        sides={name: dataset["score_px"] for name, dataset in STUDY.datasets.items()},
        lpips=config["evaluation"]["lpips"],
        code=digest_of("recheck_scores"),
    script:
        "../scripts/recheck_scores.py"
