# The comparison of all methods: quality against the seconds per volume that the interpolations took.


rule plot_cost:
    input:
        means=f"{RESULTS}/means.parquet",
        runs=[folder for *_, folders in cost_runs() for folder in folders],
        budgets=f"{RESULTS}/budgets.csv",
    output:
        table=f"{RESULTS}/peers/cost.csv",
        shown=f"{RESULTS}/peers/cost.md",
        figures=figure_outputs("cost", "cost"),
    log:
        f"{LOGS}/plot_cost.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        runs=cost_runs(),
        display=DISPLAY,
        datasets=DATASET_LABELS,
        code=digest_of("plot_cost"),
    script:
        "../scripts/plot_cost.py"


rule peers:
    input:
        rules.all.input,
        rules.plot_cost.output,
    localrule: True
