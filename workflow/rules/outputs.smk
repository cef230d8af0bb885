# The names of what a study makes: tables, figures with their captions, trainings.
in_report = report  # snakefmt may start a line with it, and Snakemake would read that as its directive
DISPLAY = {"labels": STUDY.labels, "controls": STUDY.named("control"), "supervised": []}
TRAINED = STUDY.named("trained")
SUMMARY = in_report(f"{RESULTS}/summary.txt", caption="../report/summary.rst", category="Tables")
PAGE = in_report(f"{RESULTS}/report/index.html", caption="../report/page.rst", category="Page")
PANEL_METHODS = [method for method in config["figures"]["panel_methods"] if method in STUDY.methods]
VIEWS = [f"{dataset}_K{K}" for dataset in STUDY.trained_datasets() for K in STUDY.factors(dataset)]


def tables():
    return [f"{RESULTS}/tables", f"{RESULTS}/summary.txt"]


def metric_figures(kind):
    """Name to caption of one kind of figure, for every region and metric."""
    titles = {
        "boxes": "{} per subject, {}, with the Wilcoxon tests",
        "factor": "{} against the anisotropy factor, {}",
    }
    return {
        f"{kind}_{region}_{metric}": titles[kind].format(metric.upper(), where)
        for region, where in (("whole", "whole image"), ("foreground", "foreground"))
        for metric in config["evaluation"]["metrics"]
    }


def figure_names():
    """Every figure of the study with its caption."""
    panels = {
        f"panel_{dataset}_K{K}": f"A synthesised slice and a through-plane view, {dataset}, K = {K}"
        for dataset in STUDY.datasets
        for K in STUDY.factors(dataset)
    }
    return metric_figures("boxes") | metric_figures("factor") | panels


def curve_names():
    return {
        f"training_{view}": f"Training curves, {view.replace('_K', ', K = ')}" for view in VIEWS if TRAINED
    }


def figures():
    return expand(
        f"{RESULTS}/figures/{{name}}.{{format}}",
        name=[*figure_names(), *curve_names()],
        format=["pdf", "png"],
    )


def figure_outputs(caption, *names):
    """PDF and PNG of every figure; the PNG is shown in Snakemake's report."""
    stems = [f"{RESULTS}/figures/{name}" for name in names]
    place = {"category": "Figures", "subcategory": caption}
    shown = [in_report(f"{stem}.png", caption=f"../report/{caption}.rst", **place) for stem in stems]
    return [*(f"{stem}.pdf" for stem in stems), *shown]


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
