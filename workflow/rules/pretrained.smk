# Finished models to give away, with their card: make pretrained. They are trained on the first dataset of config/long.yaml.


rule export_model:
    input:
        model=lambda wildcards: given_training(wildcards, "model.pt"),
        provenance=lambda wildcards: given_training(wildcards, "provenance.json"),
    output:
        f"{RESULTS}/pretrained/{{model}}.pt",
    log:
        f"{LOGS}/export_model/{{model}}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=memory_of("report"),
        runtime=minutes_of("report"),
    params:
        dataset=STUDY.origin(TRAINED_ON),
        slice_profile=STUDY.datasets[TRAINED_ON]["slice_profile"],
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
        names=list(GIVEN),
        title=STUDY.datasets[TRAINED_ON]["title"],
        code=digest_of("write_card"),
    script:
        "../scripts/write_card.py"
