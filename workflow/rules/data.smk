# fetch -> index -> normalise -> decimate


rule fetch_package:
    output:
        temp(f"{RESOURCES}/packages/{{archive}}"),
    log:
        f"{RESOURCES}/logs/fetch_package/{{archive}}.log",
    localrule: True
    conda:
        "../../envs/light.yaml"
    params:
        package=package_of,
    script:
        "../scripts/fetch_package.py"


rule extract_subject:
    input:
        archive=archive_of,
    output:
        f"{RESOURCES}/{{dataset}}/{{subject}}.nii.gz",
    log:
        f"{RESOURCES}/logs/extract_subject/{{dataset}}/{{subject}}.log",
    localrule: True
    conda:
        "../../envs/light.yaml"
    params:
        subject=lambda wildcards: dataset_of(wildcards)["subjects"][wildcards.subject],
    script:
        "../scripts/extract_subject.py"


rule prepare_backbone:
    output:
        f"{RESOURCES}/lpips/{{backbone}}.pt",
    log:
        f"{RESOURCES}/logs/prepare_backbone/{{backbone}}.log",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    script:
        "../scripts/prepare_backbone.py"


rule index_dataset:
    input:
        lambda wildcards: list(files_of(wildcards.dataset).values()),
    output:
        "results/index_dataset/{dataset}.csv",
    log:
        "results/logs/index_dataset/{dataset}.log",
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    params:
        dataset=dataset_of,
        files=lambda wildcards: files_of(wildcards.dataset),
        code=digest_of("data"),
    script:
        "../scripts/index_dataset.py"


rule normalise_volumes:
    input:
        index="results/index_dataset/{dataset}.csv",
    output:
        directory("results/normalise_volumes/{dataset}/{shard}"),
    log:
        "results/logs/normalise_volumes/{dataset}/{shard}.log",
    benchmark:
        "results/benchmarks/normalise_volumes/{dataset}/{shard}.tsv"
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    params:
        dataset=dataset_of,
        code=digest_of("data"),
    script:
        "../scripts/normalise_volumes.py"


rule decimate_volumes:
    input:
        normalised="results/normalise_volumes/{dataset}/{shard}",
    output:
        directory("results/decimate_volumes/{dataset}/K{K}/{shard}"),
    log:
        "results/logs/decimate_volumes/{dataset}/K{K}/{shard}.log",
    benchmark:
        "results/benchmarks/decimate_volumes/{dataset}/K{K}/{shard}.tsv"
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    params:
        slice_profile=lambda wildcards: dataset_of(wildcards)["slice_profile"],
        code=digest_of("data"),
    script:
        "../scripts/decimate_volumes.py"
