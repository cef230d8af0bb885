# What noise, motion, other looks, profiles and K do to finished and conventional methods: `snakemake robustness`.
PERTURBATIONS = {
    name: dataset["perturbation"] for name, dataset in STUDY.datasets.items() if dataset["perturbation"]
}


rule plot_robustness:
    input:
        f"{RESULTS}/means.parquet",
    output:
        figure_outputs("robustness", "robustness"),
    log:
        f"{LOGS}/plot_robustness.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        metric="psnr",
        perturbations=PERTURBATIONS,
        display=DISPLAY,
        code=digest_of("plot_robustness"),
    script:
        "../scripts/plot_robustness.py"


rule robustness:
    input:
        rules.all.input,
        rules.plot_robustness.output,
    localrule: True
