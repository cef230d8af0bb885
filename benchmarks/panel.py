"""Draw docs/panel.png, the picture of the README, from the default study: K = 4, cropped to the brain (scans show faces)."""

from pathlib import Path

import pandas as pd

from interslice.common.schemas import read_yaml
from interslice.config import load_study
from interslice.report.qualitative import qualitative_panel
from interslice.report.reader_study import study_cases
from interslice.report.style import save
from interslice.steps.budgets import marked

ROOT, FACTOR = Path(__file__).parent.parent, 4
DATASET = "t1_gaussian"  # the headline
METHODS = ("linear", "bspline", "registration", "cae", "cae_residual_pretrained", "motion_spline_pretrained")
# Of subject JHU: superior half of the head, without the face.
BRAIN = (slice(62, 150), slice(22, 158), slice(24, 196))

if __name__ == "__main__":
    study = load_study(read_yaml(ROOT / "config" / "config.yaml"), ROOT)
    subject = study.datasets[DATASET]["figure_subject"]
    results = ROOT / "results" / "default"
    cases = study_cases(results, DATASET, FACTOR, METHODS)
    case = next(case for case in cases if case.subject == subject)
    target, volumes = case.reference, case.volumes
    figure = qualitative_panel(
        volumes,
        target,
        spacing_mm=(1.0, *case.pixel_mm),
        slice_index=102,
        reformat="column",
        index=target.shape[2] // 2,
        labels=marked(study.labels, pd.read_csv(results / "budgets.csv")),
        crop=BRAIN,
    )
    save(figure, ROOT / "docs" / "panel.png")
