# The paper's figures and tables, one target each: `snakemake figures` makes them all.
GAP_METHODS = [name for name, settings in STUDY.methods.items() if settings["method"] != "oracle"]
EXAMPLES = {
    f"examples_{dataset}_K{K}": figure(
        "examples", shown_methods(dataset, K), dataset, K, shown=DATASET_LABELS[dataset]
    )
    for dataset, K in PLACES
}
GAPS = {
    f"gap_{dataset}_K{K}_{method}": figure(
        "gap", [method], dataset, K, shown=DATASET_LABELS[dataset], label=STUDY.labels[method]
    )
    for dataset, K in PLACES
    for method in GAP_METHODS
}
CAPTIONED = figure_names() | curve_names() | EXAMPLES | GAPS


rule plot_examples:
    input:
        unpack(panel_volumes),
        normalised=lambda wildcards: normalised(wildcards.dataset),
        low=lambda wildcards: low(wildcards.dataset, wildcards.K),
    output:
        figure_outputs("examples", "examples_{dataset}_K{K}"),
    log:
        f"{LOGS}/plot_examples/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        methods=panel_methods,
        labels=STUDY.labels,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        in_mm=lambda wildcards: dataset_of(wildcards)["source"] not in DRAWN,
        dataset=lambda wildcards: DATASET_LABELS[wildcards.dataset],
        code=digest_of("plot_examples"),
    script:
        "../scripts/plot_examples.py"


rule plot_gap:
    input:
        unpack(lambda wildcards: volumes_of_methods([wildcards.method])(wildcards)),
        normalised=lambda wildcards: normalised(wildcards.dataset),
        low=lambda wildcards: low(wildcards.dataset, wildcards.K),
    output:
        figures=figure_outputs("gap", "gap_{dataset}_K{K}_{method}"),
        animations=figure_files(["gap_{dataset}_K{K}_{method}"], "gif", "webp"),
    log:
        f"{LOGS}/plot_gap/{{dataset}}_K{{K}}_{{method}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        labels=STUDY.labels,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        in_mm=lambda wildcards: dataset_of(wildcards)["source"] not in DRAWN,
        dataset=lambda wildcards: DATASET_LABELS[wildcards.dataset],
        code=digest_of("plot_gap"),
    script:
        "../scripts/plot_gap.py"


rule write_captions:
    input:
        [path for *_, path in trainings("provenance.json")],
        means=f"{RESULTS}/means.parquet",
    output:
        f"{RESULTS}/figures/captions.md",
    log:
        f"{LOGS}/write_captions.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        trainings=[record for _, *record in trainings("provenance.json")],
        figures=CAPTIONED,
        lenders={dataset: STUDY.training_dataset(dataset) for dataset in STUDY.datasets},
        finished=FINISHED,
        datasets=DATASET_LABELS,
        code=digest_of("write_captions"),
    script:
        "../scripts/write_captions.py"


rule figures_examples:
    input:
        figure_files(EXAMPLES, "pdf", "png"),


rule figures_boxes:
    input:
        figure_files(metric_figures("boxes"), "pdf", "png"),


rule figures_factor:
    input:
        figure_files(metric_figures("factor"), "pdf", "png"),


rule figures_gaps:
    input:
        figure_files(GAPS, "pdf", "png", "gif", "webp"),


rule table_comparison:
    input:
        tables(),


rule figures:
    input:
        rules.figures_examples.input,
        rules.figures_boxes.input,
        rules.figures_factor.input,
        rules.figures_gaps.input,
        rules.table_comparison.input,
        figures(),
        ablation_outputs(),
        f"{RESULTS}/figures/captions.md",
