# What each part of a method is worth: the variants of the study against their base, from the means of frames.


rule collect_ablation_scores:
    input:
        split_checks(dict(STUDY.ablation_places())),
        means=score_files("frame_means", ABLATION_METHODS, STUDY.ablation_places()),
    output:
        f"{RESULTS}/ablation_means.parquet",
    log:
        f"{LOGS}/collect_ablation_scores.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        code=digest_of("collect_scores"),
    script:
        "../scripts/collect_scores.py"


rule tabulate_ablation:
    input:
        {path for *_, path in ablation_trainings()},
        means=f"{RESULTS}/ablation_means.parquet",
    output:
        directory(f"{RESULTS}/ablation"),
    log:
        f"{LOGS}/tabulate_ablation.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        trainings=ablation_trainings(),
        base=STUDY.ablation_base,
        variants=list(STUDY.ablations),
        labels=STUDY.labels,
        confidence=config["statistics"]["confidence"],
        datasets=DATASET_LABELS,
        code=digest_of("tabulate_ablation"),
    script:
        "../scripts/tabulate_ablation.py"


rule plot_ablation:
    input:
        f"{RESULTS}/ablation",
    output:
        figure_outputs("ablation", ABLATION_FIGURE),
    log:
        f"{LOGS}/plot_ablation/{{region}}_{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        datasets=DATASET_LABELS,
        code=digest_of("plot_ablation"),
    script:
        "../scripts/plot_ablation.py"


rule ablation:
    input:
        ablation_outputs(),
