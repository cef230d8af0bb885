# fetch -> (unpack, convert) -> index -> normalise -> decimate


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
        f"{RESOURCES}/{{dataset}}/{{subject}}{{ending}}",
    log:
        f"{RESOURCES}/logs/extract_subject/{{dataset}}/{{subject}}{{ending}}.log",
    localrule: True
    conda:
        "../../envs/light.yaml"
    params:
        subject=subject_entry,
    script:
        "../scripts/extract_subject.py"


rule download_archive:
    output:
        # Kept when the job starts: an archive that is there and right is not downloaded again.
        update(f"{RESOURCES}/{{dataset}}/archives/{{archive}}"),
    log:
        f"{RESOURCES}/logs/download_archive/{{dataset}}/{{archive}}.log",
    localrule: True
    conda:
        "../../envs/light.yaml"
    params:
        dataset=dataset_of,
        remote=lambda wildcards: dataset_of(wildcards)["archives"][wildcards.archive],
    script:
        "../scripts/download_archive.py"


rule unpack_archive:
    input:
        f"{RESOURCES}/{{dataset}}/archives/{{archive}}",
    output:
        directory(f"{RESOURCES}/{{dataset}}/unpacked/{{archive}}"),
    log:
        f"{RESOURCES}/logs/unpack_archive/{{dataset}}/{{archive}}.log",
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        unpack=lambda wildcards: dataset_of(wildcards)["unpack"],
    script:
        "../scripts/unpack_archive.py"


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


rule convert_dataset:
    input:
        lambda wildcards: input_files(dataset_of(wildcards), RESOURCES),
    output:
        directory("results/convert_dataset/{dataset}"),
    log:
        "results/logs/convert_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/convert_dataset/{dataset}.tsv"
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=dataset_of,
        resources=RESOURCES,
        code=source_digest("convert_dataset"),
    script:
        "../scripts/convert_dataset.py"


rule index_dataset:
    input:
        index_inputs,
        converted=converted_of,
    output:
        cases="results/index_dataset/{dataset}.csv",
        excluded="results/index_dataset/{dataset}_excluded.csv",
    log:
        "results/logs/index_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/index_dataset/{dataset}.tsv"
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=dataset_of,
        resources=RESOURCES,
        code=source_digest("index_dataset"),
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
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=dataset_of,
        code=digest_of("normalise_volumes"),
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
    priority: 2  # it asks for several threads, which jobs of one would never leave free
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        # Not the whole dataset: another split or title makes the same low-resolution volumes.
        dataset=lambda wildcards: {
            key: dataset_of(wildcards)[key] for key in ("slice_profile", "slice_shift", "already_low")
        },
        code=digest_of("decimate_volumes"),
    script:
        "../scripts/decimate_volumes.py"


rule check_data:
    log:
        "results/logs/check_data.log",
    localrule: True
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    params:
        datasets=STUDY.datasets,
        resources=RESOURCES,
    script:
        "../scripts/check_data.py"
