# Statistics, tables, figures, pages: functions of the long table (panels: of the volumes).
DISPLAY = {"labels": STUDY.labels, "controls": STUDY.named("control"), "supervised": []}
TRAINED = STUDY.named("trained")
SUMMARY = report(
    f"{RESULTS}/summary.txt", caption="../report/summary.rst", category="Tables"
)
PAGE = report(
    f"{RESULTS}/report/index.html", caption="../report/page.rst", category="Page"
)
PANEL_METHODS = [
    method for method in config["figures"]["panel_methods"] if method in STUDY.methods
]
VIEWS = [
    f"{dataset}_K{K}"
    for dataset in STUDY.trained_datasets()
    for K in STUDY.factors(dataset)
]


def tables():
    return [f"{RESULTS}/tables", f"{RESULTS}/summary.txt"]


def figure_names():
    """Every figure of the study with its caption."""
    names = {}
    for region in ("whole", "foreground"):
        for metric in config["evaluation"]["metrics"]:
            where = "whole image" if region == "whole" else "foreground"
            names[f"boxes_{region}_{metric}"] = (
                f"{metric.upper()} per subject, {where}, with the Wilcoxon tests"
            )
            names[f"factor_{region}_{metric}"] = (
                f"{metric.upper()} against the anisotropy factor, {where}"
            )
    for dataset in STUDY.datasets:
        for K in STUDY.factors(dataset):
            names[f"panel_{dataset}_K{K}"] = (
                f"A synthesised slice and a through-plane view, {dataset}, K = {K}"
            )
    return names


def curve_names():
    return {
        f"training_{view}": f"Training curves, {view.replace('_K', ', K = ')}"
        for view in VIEWS
        if TRAINED
    }


def figures():
    return expand(
        f"{RESULTS}/figures/{{name}}.{{format}}",
        name=[*figure_names(), *curve_names()],
        format=["pdf", "png"],
    )


def figure_outputs(stem, caption):
    """PDF and PNG of a figure; the PNG is shown in Snakemake's report."""
    stem, place = f"{RESULTS}/figures/{stem}", {
        "category": "Figures",
        "subcategory": caption,
    }
    png = report(f"{stem}.png", caption=f"../report/{caption}.rst", **place)
    return [f"{stem}.pdf", png]


def volumes_of_panel(wildcards):
    """For every method of the panel, the folders of kept volumes of its first seed."""
    stem = f"{RESULTS}/evaluate_method/{wildcards.dataset}/K{wildcards.K}"
    return {
        method: [
            f"{stem}/{method}/seed{seeds_of(method)[0]}/{shard}_volumes"
            for shard in shards_of(wildcards.dataset)
        ]
        for method in PANEL_METHODS
    }


def trainings(file, dataset=None, factor=None):
    """Label to a file of every training, of one dataset and K or of all."""
    return {
        f"{STUDY.labels[method]}, {d}, K = {K}, seed {seed}": f"{RESULTS}/train_method/{d}/K{K}/{method}/seed{seed}/{file}"
        for d in ([dataset] if dataset else STUDY.trained_datasets())
        for K in ([factor] if factor else STUDY.factors(d))
        for method in TRAINED
        for seed in seeds_of(method)
    }


def print_summary():
    summary = Path(f"{RESULTS}/summary.txt")
    if summary.exists():
        print(summary.read_text())
        print(f"Report: {RESULTS}/report/index.html")


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
        figure_outputs("factor_{region}_{metric}", "factor"),
    log:
        f"{LOGS}/plot_factor/{{region}}_{{metric}}.log",
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
        figure_outputs("boxes_{region}_{metric}", "boxes"),
    log:
        f"{LOGS}/plot_boxes/{{region}}_{{metric}}.log",
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
        figure_outputs("panel_{dataset}_K{K}", "panel"),
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
        lambda wildcards: list(
            trainings("history.csv", wildcards.dataset, wildcards.K).values()
        ),
    output:
        figure_outputs("training_{dataset}_K{K}", "training"),
    log:
        f"{LOGS}/plot_training/{{dataset}}_K{{K}}.log",
    conda:
        "../../envs/light.yaml"
    params:
        histories=lambda wildcards: trainings(
            "history.csv", wildcards.dataset, wildcards.K
        ),
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
        excluded=expand(
            "results/index_dataset/{dataset}_excluded.csv", dataset=STUDY.datasets
        ),
    output:
        PAGE,
    log:
        f"{LOGS}/write_page.log",
    conda:
        "../../envs/light.yaml"
    params:
        figures={
            f"{RESULTS}/figures/{name}.png": caption
            for name, caption in figure_names().items()
        },
        curves={
            f"{RESULTS}/figures/{name}.png": caption
            for name, caption in curve_names().items()
        },
        trainings=trainings("provenance.json"),
        benchmarks=["results/benchmarks", BENCHMARKS],
        study={"config": config, "datasets": STUDY.datasets, "methods": STUDY.methods},
        display=DISPLAY,
        code=digest_of("page"),
    script:
        "../scripts/write_page.py"
