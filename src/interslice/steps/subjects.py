"""The test subjects of a shard, done one after another; after a stop, those that are left."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from interslice.common.files import replacing, sha256_of

TABLE, COSTS = "scores.parquet", "costs.json"


def done_subjects(
    subjects: dict[str, list[Path]], work: Callable[[str, Path], None], *, resume: Path, run: Sequence[Any]
) -> Iterator[tuple[str, Path]]:
    """Yield every subject and the folder that holds what `work`, from a subject and that folder, put there.

    subjects: to the files that the work on one reads. run: all else that it depends on, as JSON holds it. What lies in `resume`
    of the same run and files is not done again. The caller removes `resume` once its own outputs are written.
    """
    resume.mkdir(parents=True, exist_ok=True)
    # A slow method takes hours: its log shows every subject, those found done as well.
    for subject, files in tqdm(subjects.items(), desc="subjects done", mininterval=0):
        state = [*run, subject, *map(sha256_of, files)]
        done = resume / hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
        if not done.exists():
            with replacing(done) as folder:
                folder.mkdir()
                work(subject, folder)
        yield subject, done
