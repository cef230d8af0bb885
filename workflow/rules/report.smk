# Statistics, tables, figures, pages: functions of the means of frames (panels: of the volumes).


rule compare_methods:
    input:
        f"{RESULTS}/means.parquet",
    output:
        **COMPARED,
    log:
        f"{LOGS}/compare_methods.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        pairs=STUDY.comparisons,
        statistics=STATISTICS,
        controls=DISPLAY["controls"],
        metric=MAP_METRIC,
        code=digest_of("compare_methods"),
    script:
        "../scripts/compare_methods.py"


rule tabulate_results:
    input:
        means=f"{RESULTS}/means.parquet",
        statistics=f"{RESULTS}/statistics.csv",
        budgets=f"{RESULTS}/budgets.csv",
    output:
        folder=directory(f"{RESULTS}/tables"),
        summary=SUMMARY,
    log:
        f"{LOGS}/tabulate_results.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        display=DISPLAY,
        own=OWN_METHODS,
        study=RESOLVED,
        datasets=DATASET_LABELS,
        code=digest_of("tabulate_results"),
    script:
        "../scripts/tabulate_results.py"


rule plot_factor:
    input:
        means=f"{RESULTS}/means.parquet",
        budgets=f"{RESULTS}/budgets.csv",
    output:
        figure_outputs("factor", *metric_figures("factor")),
    log:
        f"{LOGS}/plot_factor.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        display=DISPLAY,
        datasets=DATASET_LABELS,
        code=digest_of("plot_factor"),
    script:
        "../scripts/plot_factor.py"


rule plot_boxes:
    input:
        **COMPARED,
        means=f"{RESULTS}/means.parquet",
        budgets=f"{RESULTS}/budgets.csv",
    output:
        boxes=figure_outputs("boxes", *metric_figures("boxes")),
        ranks=figure_outputs("ranks", "ranks"),
    log:
        f"{LOGS}/plot_boxes.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        display=DISPLAY,
        datasets=DATASET_LABELS,
        metric=MAP_METRIC,
        code=digest_of("plot_boxes"),
    script:
        "../scripts/plot_boxes.py"


rule plot_lesions:
    input:
        means=f"{RESULTS}/means.parquet",
        budgets=f"{RESULTS}/budgets.csv",
    output:
        figure_outputs("lesions", "lesions"),
    log:
        f"{LOGS}/plot_lesions.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        display=DISPLAY,
        datasets=DATASET_LABELS,
        code=digest_of("plot_lesions"),
    script:
        "../scripts/plot_lesions.py"


rule plot_panel:
    input:
        unpack(panel_volumes),
        normalised=lambda wildcards: normalised(wildcards.dataset),
        low=lambda wildcards: low(wildcards.dataset, wildcards.K),
    output:
        figure_outputs("panel", "panel_{dataset}_K{K}"),
    log:
        f"{LOGS}/plot_panel/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        methods=panel_methods,
        labels=STUDY.labels,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        code=digest_of("plot_panel"),
    script:
        "../scripts/plot_panel.py"


rule plot_training:
    input:
        lambda wildcards: [path for *_, path in trainings("history.csv", wildcards.dataset, int(wildcards.K))],
    output:
        figure_outputs("training", "training_{dataset}_K{K}"),
    log:
        f"{LOGS}/plot_training/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        histories=lambda wildcards: {
            title: path for title, *_, path in trainings("history.csv", wildcards.dataset, int(wildcards.K))
        },
        select=STUDY.methods[TRAININGS[0]]["training"]["select"] if TRAININGS else None,
        code=digest_of("plot_training"),
    script:
        "../scripts/plot_training.py"


rule pack_viewer:
    input:
        unpack(volumes_of_methods(VIEWER_METHODS)),
        normalised=lambda wildcards: normalised(wildcards.dataset),
        low=lambda wildcards: low(wildcards.dataset, wildcards.K),
    output:
        f"{RESULTS}/viewer/{{dataset}}_K{{K}}.json",
    log:
        f"{LOGS}/pack_viewer/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        methods=VIEWER_METHODS,
        labels=STUDY.labels,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        opened=[method for method in STUDY.shown_methods if method in VIEWER_METHODS] or VIEWER_METHODS,
        budget=int(1e6 * config["page"]["viewer_mb"] / max(1, len(viewer_stacks()))),
        dataset=lambda wildcards: DATASET_LABELS[wildcards.dataset],
        code=digest_of("pack_viewer"),
    script:
        "../scripts/pack_viewer.py"


rule write_page:
    input:
        figures(),
        [path for *_, path in trainings("provenance.json")],
        f"{RESULTS}/tables",
        **{name: COMPARED[name] for name in ("statistics", "ranks", "agreement")},
        means=f"{RESULTS}/means.parquet",
        budgets=f"{RESULTS}/budgets.csv",
        recheck=f"{RESULTS}/recheck.csv",
        stacks=viewer_stacks(),
        excluded=[
            part_file("index_dataset", dataset, split, "_excluded.csv")
            for dataset in STUDY.datasets
            for split in used_splits(dataset)
        ],
    output:
        PAGE,
    log:
        f"{LOGS}/write_page.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        figures=captions_of(figure_names()),
        curves=captions_of(curve_names()),
        trainings={title: path for title, *_, path in trainings("provenance.json")},
        benchmarks=["results/benchmarks", BENCHMARKS],
        study=RESOLVED,
        display=DISPLAY,
        own=OWN_METHODS,
        datasets=DATASET_LABELS,
        code=digest_of("write_page"),
        web=web_digest(),
    script:
        "../scripts/write_page.py"
