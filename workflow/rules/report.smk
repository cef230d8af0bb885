# Statistics, tables, figures, pages: functions of the long table (panels: of the volumes).


rule compare_methods:
    input:
        f"{RESULTS}/scores.parquet",
    output:
        f"{RESULTS}/statistics.csv",
    log:
        f"{LOGS}/compare_methods.log",
    conda:
        "../../envs/light.yaml"
    params:
        trained=TRAINED,
        baselines=STUDY.named("baseline"),
        statistics=config["statistics"],
        code=digest_of("scores"),
    script:
        "../scripts/compare_methods.py"


rule tabulate_results:
    input:
        scores=f"{RESULTS}/scores.parquet",
        statistics=f"{RESULTS}/statistics.csv",
    output:
        folder=directory(f"{RESULTS}/tables"),
        summary=SUMMARY,
    log:
        f"{LOGS}/tabulate_results.log",
    conda:
        "../../envs/light.yaml"
    params:
        display=DISPLAY,
        confidence=config["statistics"]["confidence"],
        code=digest_of("tables"),
    script:
        "../scripts/tabulate_results.py"


rule plot_factor:
    input:
        f"{RESULTS}/scores.parquet",
    output:
        figure_outputs("factor", *metric_figures("factor")),
    log:
        f"{LOGS}/plot_factor.log",
    conda:
        "../../envs/light.yaml"
    params:
        display=DISPLAY,
        code=digest_of("figures"),
    script:
        "../scripts/plot_factor.py"


rule plot_boxes:
    input:
        scores=f"{RESULTS}/scores.parquet",
        statistics=f"{RESULTS}/statistics.csv",
    output:
        figure_outputs("boxes", *metric_figures("boxes")),
    log:
        f"{LOGS}/plot_boxes.log",
    conda:
        "../../envs/light.yaml"
    params:
        display=DISPLAY,
        code=digest_of("figures"),
    script:
        "../scripts/plot_boxes.py"


rule plot_panel:
    input:
        unpack(volumes_of_panel),
        normalised=all_shards("results/normalise_volumes/{dataset}"),
    output:
        figure_outputs("panel", "panel_{dataset}_K{K}"),
    log:
        f"{LOGS}/plot_panel/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    params:
        methods=PANEL_METHODS,
        labels=STUDY.labels,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        code=digest_of("figures"),
    script:
        "../scripts/plot_panel.py"


rule plot_training:
    input:
        lambda wildcards: list(trainings("history.csv", wildcards.dataset, wildcards.K).values()),
    output:
        figure_outputs("training", "training_{dataset}_K{K}"),
    log:
        f"{LOGS}/plot_training/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    params:
        histories=lambda wildcards: trainings("history.csv", wildcards.dataset, wildcards.K),
        select=STUDY.methods[TRAINED[0]]["training"]["select"] if TRAINED else None,
        code=digest_of("figures"),
    script:
        "../scripts/plot_training.py"


rule write_page:
    input:
        figures(),
        list(trainings("provenance.json").values()),
        f"{RESULTS}/tables",
        scores=f"{RESULTS}/scores.parquet",
        statistics=f"{RESULTS}/statistics.csv",
        excluded=expand("results/index_dataset/{dataset}_excluded.csv", dataset=STUDY.datasets),
    output:
        PAGE,
    log:
        f"{LOGS}/write_page.log",
    conda:
        "../../envs/light.yaml"
    params:
        figures={f"{RESULTS}/figures/{name}.png": caption for name, caption in figure_names().items()},
        curves={f"{RESULTS}/figures/{name}.png": caption for name, caption in curve_names().items()},
        trainings=trainings("provenance.json"),
        benchmarks=["results/benchmarks", BENCHMARKS],
        study={"config": config, "datasets": STUDY.datasets, "methods": STUDY.methods},
        display=DISPLAY,
        code=digest_of("page"),
    script:
        "../scripts/write_page.py"
