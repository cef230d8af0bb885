# fetch -> (unpack, convert) -> index -> normalise -> decimate, split by split: a new test subject leaves the training volumes alone.


rule fetch_package:
    output:
        temp(f"{RESOURCES}/packages/{{archive}}"),
    log:
        f"{RESOURCES}/logs/fetch_package/{{archive}}.log",
    priority: 2  # all data first: the trainings, the longest jobs, wait for some of them
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
    priority: 2
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
    priority: 2
    localrule: True
    conda:
        "../../envs/light.yaml"
    params:
        dataset=unrecorded(lambda wildcards: {key: dataset_of(wildcards)[key] for key in ("name", "access")}),
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
    priority: 2
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
    priority: 2
    localrule: True
    conda:
        "../../envs/torch.yaml"
    script:
        "../scripts/prepare_backbone.py"


rule convert_dataset:
    input:
        source_files,
    output:
        directory(f"results/convert_dataset/{PART}"),
    log:
        f"results/logs/convert_dataset/{PART}.log",
    benchmark:
        f"results/benchmarks/convert_dataset/{PART}.tsv"
    priority: 2
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=source_part,
        resources=RESOURCES,
        texts=unrecorded(source_texts),
        code=source_digest("convert_dataset"),
    script:
        "../scripts/convert_dataset.py"


rule index_dataset:
    input:
        index_inputs,
        converted=converted_of,
    output:
        cases=f"results/index_dataset/{PART}.csv",
        excluded=f"results/index_dataset/{PART}_excluded.csv",
    log:
        f"results/logs/index_dataset/{PART}.log",
    benchmark:
        f"results/benchmarks/index_dataset/{PART}.tsv"
    priority: 2
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=source_part,
        resources=RESOURCES,
        texts=unrecorded(source_texts),
        code=source_digest("index_dataset"),
    script:
        "../scripts/index_dataset.py"


rule check_splits:
    input:
        lambda wildcards: [
            part_file("index_dataset", wildcards.dataset, split, ".csv")
            for split in used_splits(wildcards.dataset)
        ],
    output:
        "results/check_splits/{dataset}/{made}.txt",
    log:
        "results/logs/check_splits/{dataset}/{made}.log",
    priority: 3  # a test subject that a training would see is said before trainings start
    conda:
        "../../envs/light.yaml"
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        code=digest_of("check_splits"),
    script:
        "../scripts/check_splits.py"


rule normalise_volumes:
    input:
        index=f"results/index_dataset/{PART}.csv",
    output:
        directory(f"results/normalise_volumes/{PART}/{{shard}}"),
    log:
        f"results/logs/normalise_volumes/{PART}/{{shard}}.log",
    benchmark:
        f"results/benchmarks/normalise_volumes/{PART}/{{shard}}.tsv"
    priority: 2
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=lambda wildcards: {key: part_dataset(wildcards)[key] for key in PREPROCESSING},
        shards=lambda wildcards: len(shards_of(part_dataset(wildcards)["name"], wildcards.split)),
        code=digest_of("normalise_volumes"),
    script:
        "../scripts/normalise_volumes.py"


rule decimate_volumes:
    input:
        normalised=lambda wildcards: normalised(wildcards.dataset, wildcards.split)[int(wildcards.shard)],
    output:
        directory(LOW),
    log:
        f"{LOW.replace('results', 'results/logs')}.log",
    benchmark:
        f"{LOW.replace('results', 'results/benchmarks')}.tsv"
    priority: 2  # it asks for several threads, which jobs of one would never leave free
    conda:
        "../../envs/light.yaml"
    threads: config["threads"]["data"]
    resources:
        mem_mb=memory_of("data"),
        runtime=minutes_of("data"),
    params:
        dataset=decimation_of,
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
        resources=config["resources"],
        last=MISSING_DATA,
    script:
        "../scripts/check_data.py"
