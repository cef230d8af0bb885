# The comparison of all methods: quality against seconds per volume. Not part of `all`: every volume is interpolated once more.


rule measure_cost:
    input:
        low=all_shards("results/decimate_volumes/{dataset}/K{K}"),
        checkpoint=checkpoint_of,
    output:
        f"{RESULTS}/measure_cost/{RUN}.json",
    log:
        f"{LOGS}/measure_cost/{RUN}.log",
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        settings=settings_of,
        subject=lambda wildcards: dataset_of(wildcards)["figure_subject"],
        code=method_digest("measure_cost"),
    script:
        "../scripts/measure_cost.py"


rule plot_cost:
    input:
        scores=f"{RESULTS}/scores.parquet",
        costs=measured_costs(),
        trainings=list(trainings("provenance.json").values()),
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
        display=DISPLAY,
        code=digest_of("plot_cost"),
    script:
        "../scripts/plot_cost.py"


rule peers:
    input:
        rules.all.input,
        rules.plot_cost.output,
    localrule: True
