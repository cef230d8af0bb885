# Finished models to give away, with their card: make pretrained.
GIVEN = (
    [f"{method}_K{K}" for method in ("cae", "cae_residual") for K in STUDY.factors("t1")]
    if "t1" in STUDY.datasets
    else []
)


rule export_model:
    input:
        model=lambda wildcards: f"{training_folder(wildcards.method, 't1', int(wildcards.K), 1)}/model.pt",
        provenance=lambda wildcards: f"{training_folder(wildcards.method, 't1', int(wildcards.K), 1)}/provenance.json",
    output:
        f"{RESULTS}/pretrained/{{method}}_K{{K}}.pt",
    log:
        f"{LOGS}/export_model/{{method}}_K{{K}}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        code=digest_of("export_model"),
    script:
        "../scripts/export_model.py"


rule pretrained:
    input:
        [f"{RESULTS}/pretrained/{name}.pt" for name in GIVEN],
    output:
        f"{RESULTS}/pretrained/README.md",
    log:
        f"{LOGS}/pretrained.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        names=GIVEN,
        title=STUDY.datasets["t1"]["title"] if GIVEN else "",
        code=digest_of("write_card"),
    script:
        "../scripts/write_card.py"
