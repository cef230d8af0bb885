# Rotated digits and lines, the tasks on which the literature compares autoencoders: `snakemake mnist`, `snakemake lines`.


rule mnist:
    input:
        rules.all.input,
        rules.figures_examples.input,


rule tabulate_lines:
    input:
        [folder for *_, folders in line_volumes() for folder in folders],
    output:
        multiext(f"{RESULTS}/lines/lines", ".parquet", ".csv", ".md", ".tex", ".txt"),
    log:
        f"{LOGS}/tabulate_lines.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        volumes=line_volumes(),
        display=DISPLAY,
        code=digest_of("tabulate_lines"),
    script:
        "../scripts/tabulate_lines.py"


rule lines:
    input:
        rules.tabulate_lines.output,
        rules.figures_examples.input,
