"""The test subjects of a shard, scored one after another; after a stop, those that are left."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from interslice.common.files import replacing, sha256_of
from interslice.scoring.evaluation import TestCase
from interslice.scoring.longtable import write_scores
from interslice.steps.data import volumes_of

Score = Callable[[TestCase, Path], pd.DataFrame]
TABLE = "scores.parquet"


def score_subjects(
    normalised: Path, low: Path, score: Score, *, resume: Path, run: Sequence[Any]
) -> Iterator[tuple[str, Path]]:
    """Yield every test subject of the shard and the folder that holds TABLE and what else `score` put there.

    score: from a case and its folder, rows of the long table. run: all that the scores depend on, besides the volumes, as
    JSON holds it: what lies in `resume` of the same run and volumes is not scored again. The caller removes `resume` once
    its own outputs are written.
    """
    resume.mkdir(parents=True, exist_ok=True)
    references, lows = volumes_of([normalised], "test"), volumes_of([low], "test")
    # A slow method takes hours: its log shows every subject, those found done as well.
    for subject, path in tqdm(lows.items(), desc="subjects scored", mininterval=0):
        case = TestCase(subject, references[subject], path)
        state = [*run, subject, sha256_of(case.reference), sha256_of(case.low)]
        done = resume / hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        if not done.exists():
            with replacing(done) as folder:
                folder.mkdir()
                write_scores(score(case, folder), folder / TABLE)
        yield subject, done
