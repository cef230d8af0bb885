# Interpolate the test volumes of one dataset with one method, once for all studies: every gap, compactly kept.


rule interpolate_volumes:
    input:
        normalised=lambda wildcards: normalised(wildcards.dataset)[int(wildcards.shard)],
        low=lambda wildcards: low(wildcards.dataset, wildcards.K)[int(wildcards.shard)],
        checkpoint=run_model,
        results=run_results,
    output:
        directory(f"{INTERPOLATION}/{{shard}}"),
    log:
        f"{INTERPOLATION.replace('results', 'results/logs')}/{{shard}}.log",
    benchmark:
        f"{INTERPOLATION.replace('results', 'results/benchmarks')}/{{shard}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
        gpu=config["gpus"]["evaluate"],
    params:
        settings=run_settings,
        told=unrecorded(run_told),
        lesions=lambda wildcards: lesions_of(wildcards.dataset) if run_of(wildcards)[2] else None,
        unseen_of=unseen_of,
        # Not an output, as for a training: Snakemake deletes the outputs of a failed job.
        resume=f"{INTERPOLATION}/{{shard}}_resume",
        code=lambda wildcards: digest_of("interpolate_volumes", classes_of(run_of(wildcards)[0])),
    script:
        "../scripts/interpolate_volumes.py"
