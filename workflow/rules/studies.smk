# Targets that bring their study: `snakemake ablation` is short for `snakemake ablation --configfile config/ablation.yaml`.
import os
import sys

STUDY_TARGETS = {
    "ablation": "ablation",
    "lines": "lines",
    "misalignment": "misalignment",
    "mnist": "mnist",
    "peers": "peers",
    "pretrained": "long",
    "robustness": "robustness",
}

# Snakemake knows its targets only after the rules; until then they are on the command line alone.
asked_for = STUDY_TARGETS.keys() & set(sys.argv[1:])
if len(asked_for) > 1:
    print(
        f"interslice: found the targets {' and '.join(sorted(asked_for))}, allowed is one study at a time",
        file=sys.stderr,
    )
    raise SystemExit(2)
if asked_for and not workflow.config_settings.configfiles:
    study_file = f"config/{STUDY_TARGETS[min(asked_for)]}.yaml"

    configfile: study_file

    # Jobs in processes of their own, on this machine or a cluster, get the configuration files of the command line.
    workflow.config_settings.configfiles.append(os.path.abspath(study_file))
