# The names of what a study makes: tables, figures with their captions, trainings.
import atexit
import time

from interslice.report.captions import figure

STARTED = time.time()
in_report = report  # snakefmt may start a line with it, and Snakemake would read that as its directive
SUPERVISED_METHODS = [name for name, settings in STUDY.methods.items() if is_supervised(settings)]
OWN_METHODS = [name for name, settings in STUDY.every_method.items() if settings["method"] in OWN]
DISPLAY = {"labels": STUDY.labels, "controls": STUDY.named("control"), "supervised": SUPERVISED_METHODS}
DATASET_LABELS = STUDY.dataset_labels
RESOLVED = STUDY.resolved
STATISTICS = {key: config["statistics"][key] for key in ("confidence", "margins")} | {
    "primary": STUDY.primary
}
TRAINED = STUDY.named("trained")
COMPARED = {name: f"{RESULTS}/{name}.csv" for name in ("statistics", "ranks", "agreement", "significance")}
MAP_METRIC = STUDY.primary["metric"] if STUDY.primary else config["evaluation"]["metrics"][0]
TRAININGS = STUDY.trainings
SUMMARY = in_report(f"{RESULTS}/summary.txt", caption="../report/summary.rst", category="Tables")
PAGE = in_report(f"{RESULTS}/report/index.html", caption="../report/page.rst", category="Page")
VIEWER_METHODS = [method for method, settings in STUDY.methods.items() if settings["method"] != "oracle"]
FINISHED = {
    name: f"{settings['label']} (its budget: {Path(settings['checkpoint']).parent / 'README.md'})"
    for name, settings in STUDY.methods.items()
    if settings.get("checkpoint")
}


def tables():
    return [f"{RESULTS}/tables", f"{RESULTS}/summary.txt"]


def metric_figures(kind):
    """Name to what is shown of one kind of figure, for every region and metric."""
    return {
        f"{kind}_{region}_{metric}": figure(kind, STUDY.methods, metric=METRICS[metric].label, region=where)
        for region, where in (("whole", "whole image"), ("foreground", "foreground"))
        for metric in config["evaluation"]["metrics"]
    }


def figure_names():
    """Every figure of the study with what it shows."""
    panels = {
        f"panel_{dataset}_K{K}": figure(
            "panel", shown_methods(dataset, K), dataset, K, shown=DATASET_LABELS[dataset]
        )
        for dataset, K in PLACES
    }
    lesions = {"lesions": figure("lesions", STUDY.methods)} if LESIONS else {}
    ranks = {"ranks": figure("ranks", STUDY.methods, metric=METRICS[MAP_METRIC].label)}
    return ranks | metric_figures("boxes") | metric_figures("factor") | lesions | panels


def curve_names():
    return {
        f"training_{dataset}_K{K}": figure("training", TRAININGS, dataset, K, shown=DATASET_LABELS[dataset])
        for dataset in STUDY.trained_datasets()
        for K in STUDY.factors(dataset)
        if TRAININGS
    }


def captions_of(figures):
    """PNG file to title."""
    return {f"{RESULTS}/figures/{name}.png": about["title"] for name, about in figures.items()}


def figures():
    return expand(
        f"{RESULTS}/figures/{{name}}.{{format}}",
        name=[*figure_names(), *curve_names()],
        format=["pdf", "png"],
    )


def figure_files(names, *endings):
    """The files of figures."""
    return [f"{RESULTS}/figures/{name}.{ending}" for name in names for ending in endings]


def figure_outputs(caption, *names):
    """PDF and PNG of every figure; the PNG is shown in Snakemake's report."""
    stems = [f"{RESULTS}/figures/{name}" for name in names]
    place = {"category": "Figures", "subcategory": caption}
    shown = [in_report(f"{stem}.png", caption=f"../report/{caption}.rst", **place) for stem in stems]
    return [*(f"{stem}.pdf" for stem in stems), *shown]


def shown_methods(dataset, factor):
    """The methods of a panel that run on a dataset at K."""
    return [method for method in STUDY.shown_methods if STUDY.runs(method, dataset, factor)]


def panel_methods(wildcards):
    """Input for `params`: as shown_methods."""
    return shown_methods(wildcards.dataset, int(wildcards.K))


def panel_volumes(wildcards):
    """Input function: what a panel's methods made."""
    return volumes_of_methods(panel_methods(wildcards))(wildcards)


def volumes_of_methods(methods):
    """Input function: for every method the folders of what it made with its first seed."""
    return lambda wildcards: {
        method: interpolated(method, wildcards.dataset, wildcards.K) for method in methods
    }


def viewer_stacks():
    """The viewer's files, one per dataset and K; none where there is nothing to see but the reference."""
    return [
        f"{RESULTS}/viewer/{dataset}_K{K}.json"
        for dataset in STUDY.datasets
        for K in STUDY.factors(dataset)
        if VIEWER_METHODS
    ]


def trainings(file, dataset=None, factor=None):
    """A file of every training, of one dataset and K or of all: title, label, dataset, K, method, path."""
    return [
        (
            f"{STUDY.labels[method]}, {d}, K = {K}, seed {seed}",
            STUDY.labels[method],
            d,
            K,
            method,
            f"{training_folder(method, d, K, seed)}/{file}",
        )
        for d in ([dataset] if dataset else STUDY.trained_datasets())
        for method in TRAININGS
        for K in dict.fromkeys(
            STUDY.training_factor(method, d, K) for K in ([factor] if factor else STUDY.factors(d))
        )
        for seed in seeds_of(method)
    ]


def line_volumes():
    """The folders of interpolated lines of every method and seed: [method, seed, folders]."""
    places = [(dataset, K) for dataset, K in PLACES if STUDY.datasets[dataset]["source"] == "lines"]
    return [
        [method, seed, [folder for place in places for folder in interpolated(method, *place, seed)]]
        for method in STUDY.methods
        for seed in seeds_of(method)
    ]


def score_files(folder, methods, places, ending="parquet"):
    """A file of every run of methods on pairs of dataset and K, one per shard: the long tables."""
    return [
        f"{RESULTS}/{folder}/{dataset}/K{K}/{method}/seed{seed}/{shard}.{ending}"
        for dataset, K in places
        for method in methods
        for seed in seeds_of(method)
        for shard in shards_of(dataset)
    ]


def cost_runs():
    """[dataset, K, method, folders] of what each method made here with its first seed. A control is no rival."""
    return [
        [dataset, K, method, interpolated(method, dataset, K)]
        for dataset, K in PLACES
        for method in STUDY.methods
        if method not in DISPLAY["controls"] and "results" not in STUDY.methods[method]
    ]


def learned_runs():
    """[dataset, K, method, folders] of what every method that has learned something made, for each of its seeds."""
    return [
        [dataset, K, method, interpolated(method, dataset, K, seed)]
        for dataset, K in PLACES
        for method, settings in STUDY.methods.items()
        if settings["role"] == "trained" or self_trained(settings)
        for seed in seeds_of(method)
    ]


ABLATION_METHODS = [STUDY.ablation_base, *STUDY.ablations]


def ablation_trainings():
    """[dataset, K, method, provenance.json] of every training of the base and its variants."""
    return [
        [
            dataset,
            K,
            method,
            f"{training_folder(method, dataset, K, seed)}/provenance.json",
        ]
        for dataset, K in STUDY.ablation_places()
        for method in ABLATION_METHODS
        for seed in seeds_of(method)
    ]


ABLATION_FIGURE = "ablation_{region}_{dataset}_K{K}"


def ablation_outputs():
    """The table and the figures, for a study with variants."""
    figures = [
        f"{RESULTS}/figures/{ABLATION_FIGURE}.{ending}".format(region=region, dataset=dataset, K=K)
        for region in ("whole", "foreground")
        for ending in ("pdf", "png")
        for dataset, K in STUDY.ablation_places()
    ]
    return [f"{RESULTS}/ablation", *figures] if figures else []


def say_last(file):
    """Print a file of this run below everything that Snakemake says."""
    if Path(file).exists() and Path(file).stat().st_mtime >= STARTED:
        atexit.register(print, Path(file).read_text(), end="", file=sys.stderr, flush=True)


def print_summary():
    for summary in (Path(f"{RESULTS}/summary.txt"), Path(f"{RESULTS}/lines/lines.txt")):
        # A target that makes no summary must not show the one of an earlier run.
        if summary.exists() and summary.stat().st_mtime >= STARTED:
            print(summary.read_text())
            page = Path(f"{RESULTS}/report/index.html")
            print(f"Report: {page if page.exists() else summary.parent}")


# What make pretrained makes: the name of a finished model to its method and K.
TRAINED_ON = next(iter(STUDY.datasets))
GIVEN = {
    (
        STUDY.methods[method]["method"]
        if STUDY.methods[method]["method"] in ONE_FOR_ALL
        else f"{method}_K{K}"
    ): (method, K)
    for K in STUDY.factors(TRAINED_ON)
    for method in TRAININGS
    if STUDY.training_factor(method, TRAINED_ON, K) == K
}


def given_training(wildcards, file):
    """A file of the training of a finished model."""
    method, K = GIVEN[wildcards.model]
    return f"{training_folder(method, TRAINED_ON, K, 1)}/{file}"
