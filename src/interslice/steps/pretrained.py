"""Finished models to give away: a training's weights with what they were made of, and the card that tells it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from interslice.common.checkpoints import read_checkpoint, write_checkpoint
from interslice.common.files import replacing
from interslice.report.methods_text import listed

DESCRIBED = {
    "cae": "the paper's autoencoder, one per anisotropy factor K",
    "cae_residual": "our own residual variant, one per anisotropy factor K",
    "motion_spline": "our own, one for every factor",
}
KEPT = (
    "settings", "seed", "K", "digest", "subjects", "validation_subjects", "weights", "best_step", "history", "seconds",
    "compute_seconds", "updates", "ended",
)  # fmt: skip


def export_model(model: Path, provenance: Path, dataset: str, slice_profile: str, output: Path) -> None:
    """The weights of the best step with the training's identity, validation history and commit.

    dataset: whose subjects they were, so that none of them is tested; slice_profile: what their slices were averaged over.
    """
    state = read_checkpoint(model)
    git = json.loads(provenance.read_text())["environment"]["git"] or {}
    origin = {"dataset": dataset, "slice_profile": slice_profile, "commit": git.get("commit")}
    write_checkpoint({key: state[key] for key in KEPT} | origin, output)


def write_card(models: Mapping[str, Path], title: str, output: Path) -> None:
    """The model card: one page for all models, named METHOD or METHOD_KK. title: of the dataset."""
    states = {name: read_checkpoint(path) for name, path in models.items()}
    first = next(iter(states.values()))
    methods = sorted({name.rsplit("_K", 1)[0] for name in states})
    with replacing(output) as temporary:
        temporary.write_text(
            CARD.format(
                title=title,
                subjects=", ".join(first["subjects"]),
                validation=", ".join(first["validation_subjects"]),
                methods=listed(f"`{method}` ({DESCRIBED[method]})" for method in methods),
                example=next(iter(states)),
                factor=first["K"],
                studies=listed(f"`{method}_pretrained`" for method in methods),
                table=pd.DataFrame([card_row(name, state) for name, state in states.items()]).to_markdown(
                    index=False
                ),
            )
        )


def card_row(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of one model; the scores are those of its best step on the validation subject."""
    best = next(row for row in state["history"] if row["step"] == state["best_step"])
    training = state["settings"]["training"]
    return {
        "model": name,
        "trained at K": state["K"],
        "slice profile": state["slice_profile"],
        "updates": state["updates"],
        "ended": state["ended"],
        "best step": state["best_step"],
        "batch x crop": f"{training['batch']} x {training['crop']}²",
        "precision": training["precision"],
        "CPU hours": f"{state['compute_seconds'] / 3600:.1f}",
        "seed": state["seed"],
        "commit": str(state["commit"])[:7],
        "validation SSIM": f"{best['validation_ssim']:.3f}",
        "validation PSNR (dB)": f"{best['validation_psnr']:.2f}",
    }


CARD = """# Pretrained models

Written by `make pretrained`, which trains them anew (config/long.yaml, at most 50 CPU minutes for each).
**Not a medical device**: for research, never for diagnosis.

{table}

- **What they are.** Weights of {methods}. They are read with weights only.
  Each file holds its settings, seed, commit, training subjects and history.
- **Data.** Training subjects: {subjects} of *{title}*; low-resolution volumes only, K times as thick
  as the source.
  {validation} picked the step. No test subject was seen: the evaluation reads the subjects in the file, those of the training
  and those that picked the step, and refuses a model that saw one.
- **Licence.** The weights are under the repository's licence. The scans come inside registry packages under the licences
  that config/datasets/t1.yaml names for each package; the terms of the scans themselves were not stated there.
- **Limits.** Few subjects, one scanner, one contrast (T1), adults, axial slices: expect less elsewhere, and use `--check`,
  which compares with cubic B-spline on your own scan. README.md has their scores on the test subjects beside the baselines'.
- **Use.** `interslice upsample scan.nii.gz --factor {factor} --model {example} -o out.nii.gz`, or as method of a study:
  {studies}.
"""
