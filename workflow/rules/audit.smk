# Measured as published beside measured right: `snakemake audit`.
BRAIN = [name for name, dataset in STUDY.datasets.items() if dataset["anatomy"] == "brain"]
AUDITED = [*TRAINED, *STUDY.named("baseline")]
AUDIT_FIGURES = {
    f"audit_{dataset}_{method}": figure(
        "audit", [method], dataset, shown=DATASET_LABELS[dataset], label=STUDY.labels[method]
    )
    for dataset in STUDY.datasets
    for method in TRAINED
}


rule audit:
    input:
        f"{RESULTS}/audit/index.html",


rule score_as_published:
    input:
        normalised=lambda wildcards: normalised(wildcards.dataset)[int(wildcards.shard)],
        low=lambda wildcards: low(wildcards.dataset, wildcards.K)[int(wildcards.shard)],
        interpolated=interpolated_shard,
        checkpoint=lambda wildcards: model_of(
            wildcards.method, wildcards.dataset, int(wildcards.K), int(wildcards.seed)
        ),
    output:
        f"{RESULTS}/score_as_published/{RUN}/{{shard}}.parquet",
    log:
        f"{LOGS}/score_as_published/{RUN}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/score_as_published/{RUN}/{{shard}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
        gpu=config["gpus"]["evaluate"],
    params:
        settings=lambda wildcards: to_interpolate(settings_of(wildcards)),
        metrics=config["evaluation"]["metrics"],
        gap_step=config["evaluation"]["gap_step"],
        score_px=lambda wildcards: dataset_of(wildcards)["score_px"],
        separate_scaling=lambda wildcards: wildcards.dataset in BRAIN,
        resume=f"{RESULTS}/score_as_published/{RUN}/{{shard}}_resume",
        code=lambda wildcards: digest_of(
            "score_as_published", classes_of(wildcards.method), *METRIC_FUNCTIONS
        ),
    script:
        "../scripts/score_as_published.py"


rule tabulate_audit:
    input:
        strict=score_files("score_method", AUDITED, PLACES),
        rescored=score_files("score_as_published", AUDITED, PLACES),
    output:
        f"{RESULTS}/audit/audit.csv",
    log:
        f"{LOGS}/tabulate_audit.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        pairs=[(method, baseline) for method in TRAINED for baseline in STUDY.named("baseline")],
        brain=BRAIN,
        confidence=config["statistics"]["confidence"],
        code=digest_of("tabulate_audit"),
    script:
        "../scripts/tabulate_audit.py"


rule plot_audit:
    input:
        table=f"{RESULTS}/audit/audit.csv",
        budgets=f"{RESULTS}/budgets.csv",
    output:
        figure_outputs("audit", "audit_{dataset}_{method}"),
    log:
        f"{LOGS}/plot_audit/{{dataset}}_{{method}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        labels=STUDY.labels,
        code=digest_of("plot_audit"),
    script:
        "../scripts/plot_audit.py"


rule compare_published:
    input:
        numbers="config/published.csv",
        strict=score_files("score_method", AUDITED, PLACES),
        rescored=score_files("score_as_published", AUDITED, PLACES),
    output:
        f"{RESULTS}/audit/published.csv",
    log:
        f"{LOGS}/compare_published.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        study=RESOLVED,
        code=digest_of("compare_published"),
    script:
        "../scripts/compare_published.py"


rule write_audit_page:
    input:
        table=f"{RESULTS}/audit/audit.csv",
        published=f"{RESULTS}/audit/published.csv",
        budgets=f"{RESULTS}/budgets.csv",
        figures=expand(f"{RESULTS}/figures/{{name}}.png", name=AUDIT_FIGURES),
    output:
        page=in_report(f"{RESULTS}/audit/index.html", caption="../report/audit_page.rst", category="Audit"),
        prose=f"{RESULTS}/audit/audit.md",
    log:
        f"{LOGS}/write_audit_page.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        figures=captions_of(AUDIT_FIGURES),
        labels=STUDY.labels,
        own=OWN_METHODS,
        study=config["study"],
        datasets=DATASET_LABELS,
        code=digest_of("write_audit_page"),
    script:
        "../scripts/write_audit_page.py"
