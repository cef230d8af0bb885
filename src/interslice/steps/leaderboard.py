"""The scores of several studies, machines and people as one page, where they were scored alike on the same volumes."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet as parquet

from interslice import __version__
from interslice.analysis.ranks import rank_tables
from interslice.analysis.results import results_table
from interslice.common.errors import InputError
from interslice.common.files import replacing
from interslice.common.provenance import environment_record
from interslice.data.volumes import open_volume
from interslice.report.formatting import Cell, ShownTable, table_of
from interslice.report.leaderboard import FILTERS, leaderboard, views_of
from interslice.report.pages import Facts, Section, Table, Text, write_page
from interslice.report.ranks import shown_agreement, shown_ranks
from interslice.report.reader_study import files_of, first_seed
from interslice.scoring.longtable import FRAME, MEANS, gap_step, read_means

RECORD = b"interslice"  # the key of a Parquet file's own records
TABLE, PAGE = "means.parquet", "index.html"
ALL_METHODS = "synthesised_whole.csv"  # of a study's tables: labels and marks
PROTOCOL = "strict"
CONFIDENCE = 0.95  # of the intervals of ranks


def write_leaderboard(sources: Sequence[Path], output: Path) -> list[str]:
    """Write index.html and means.parquet, which others can merge again, into the folder `output`; a line per study.

    sources: results of studies, or tables that this function wrote. Raises InputError where they do not go together.
    """
    studies = [study for source in sources for study in read_studies(source)]
    check_alike([record for _, record in studies])
    tables, records = [], []
    for (table, record), name in zip(studies, distinct([record for _, record in studies]), strict=True):
        tables.append(table.assign(method=table["method"].map(name)))
        records.append(renamed(record, name))
    means = pd.concat(tables).sort_values(FRAME, ignore_index=True)
    with replacing(output) as folder:
        folder.mkdir(parents=True)
        table = pyarrow.Table.from_pandas(means, preserve_index=False)
        about = json.dumps(records)
        parquet.write_table(table.replace_schema_metadata({RECORD: about.encode()}), folder / TABLE)
        write_page(folder / PAGE, title="Leaderboard", sections=sections(means, records))
    return [f"{one['study']}: {', '.join(one['labels'].values())}" for one in records]


def read_studies(source: Path) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """The strict means and the record of every study in results/NAME or in a table of `write_leaderboard`."""
    if source.is_dir() and (source / TABLE).is_file() and (source / "tables").is_dir():
        table = read_means(source / TABLE)
        return [(strict(table, source), study_record(source, table))]
    path = source / TABLE if source.is_dir() else source
    try:
        stored = parquet.read_table(path)
        records = json.loads((stored.schema.metadata or {})[RECORD])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{source}: is neither the results of a study with tables nor a {TABLE} of `interslice leaderboard`, which "
            "says what was scored"
        ) from error
    table = strict(stored.to_pandas()[MEANS], source)
    return [(table[table["method"].isin(record["labels"])], record) for record in records]


def strict(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    found = sorted(table["protocol"].unique())
    if PROTOCOL not in found:
        raise InputError(f"{source}: found protocol {', '.join(found)}, allowed is {PROTOCOL}")
    return table[table["protocol"] == PROTOCOL]


def study_record(results: Path, table: pd.DataFrame) -> dict[str, Any]:
    """What of a study says whether others can stand beside it, and what its rows are."""
    shown = pd.read_csv(results / "tables" / ALL_METHODS).drop_duplicates("method").set_index("method")
    data: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for place in sorted(path for path in (results / "score_method").glob("*/K*/*") if path.is_dir()):
        dataset, factor, method = place.parts[-3:]
        shards = first_seed(place, results.parent.parent)
        if dataset not in data:
            volumes = files_of([shard["normalised"] for shard in shards], ".nii")
            data[dataset] = {subject: digest_of(path) for subject, path in sorted(volumes.items())}
        took = [one["seconds"] for shard in shards for one in costs_of(shard["interpolated"])]
        if took:
            seconds[f"{dataset} {factor} {method}"] = float(np.median(took))
    keys = ["dataset", "K"]
    steps = {" K".join(map(str, key)): gap_step(part) for key, part in table.groupby(keys)}
    environment = environment_record()
    return {
        "study": results.name,
        "labels": {str(method): str(label) for method, label in shown["label"].items()},
        "controls": [str(method) for method in shown.index[shown["control"].astype(bool)]],
        "supervised": [str(method) for method in shown.index[shown["supervised"].astype(bool)]],
        "data": data,
        "gap_steps": steps,
        "seconds": seconds,
        "versions": {"interslice": __version__, "python": environment["python"], **environment["packages"]},
        "machine": {key: str(environment[key]) for key in ("platform", "cpu", "gpu")},
        "commit": (environment["git"] or {}).get("commit", ""),
    }


def costs_of(folder: Path) -> list[dict[str, Any]]:
    path = folder / "costs.json"
    return list(json.loads(path.read_text())) if path.is_file() else []


def digest_of(path: Path) -> str:
    """Of a reference volume: its shape, spacing and middle slice, which no other scan or preprocessing shares."""
    volume = open_volume(path)
    middle = np.ascontiguousarray(volume.data[0, volume.data.shape[1] // 2], dtype=np.float32)
    about = f"{volume.data.shape} {[round(size, 4) for size in volume.spacing]}"
    return hashlib.sha256(about.encode() + np.round(middle, 4).tobytes()).hexdigest()[:16]


def check_alike(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse studies whose subjects of one name are other volumes, and those that scored other gaps."""
    first: dict[tuple[str, str], tuple[Any, str]] = {}

    def agree(place: tuple[str, str], value: Any, study: str, sentence: str) -> None:
        before, other = first.setdefault(place, (value, study))
        if before != value:
            raise InputError(f"{study}: {sentence.format(other=other, before=before)}")

    for record in records:
        study = record["study"]
        for dataset, subjects in record["data"].items():
            for subject, digest in subjects.items():
                what = f"subject {subject} of {dataset} is another volume than in {{other}}; allowed are equal data with equal "
                agree((dataset, subject), digest, study, f"{what}preprocessing")
        for place, step in record["gap_steps"].items():
            what = f"scores every {step} gaps of {place}, {{other}} every {{before}}; allowed is one gap_step"
            agree(("gap_step", place), step, study, what)


def distinct(records: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """For each study its methods' names among all: a name that several have gets the study's behind it."""
    owners = Counter(method for record in records for method in record["labels"])
    studies = [record["study"] for record in records]
    apart = [
        study if studies.count(study) == 1 else f"{study}-{studies[: number + 1].count(study)}"
        for number, study in enumerate(studies)
    ]
    return [
        {method: f"{method}@{study}" if owners[method] > 1 else method for method in record["labels"]}
        for record, study in zip(records, apart, strict=True)
    ]


def renamed(record: Mapping[str, Any], name: Mapping[str, str]) -> dict[str, Any]:
    """A record under the names that its methods have among all, with labels that tell equal ones apart."""
    labels = {
        new: record["labels"][old] + (f" ({new.partition('@')[2]})" if "@" in new and "@" not in old else "")
        for old, new in name.items()
    }
    seconds = {
        " ".join([*key.split(" ")[:2], name[key.split(" ")[2]]]): value
        for key, value in record["seconds"].items()
    }
    marks = {
        key: [name[method] for method in record[key] if method in name] for key in ("controls", "supervised")
    }
    return {**record, **marks, "labels": labels, "seconds": seconds}


def sections(means: pd.DataFrame, records: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The leaderboard in every view, ranks and how far they hold, costs, and where the rows come from."""
    labels = {method: label for record in records for method, label in record["labels"].items()}
    marks = {key: {one for record in records for one in record[key]} for key in ("controls", "supervised")}
    tables = [
        results_table(means, kind=kind, region=region, protocol=protocol, labels=labels, **marks)
        for kind, region, protocol in views_of(means)
    ]
    ranks, agreement = rank_tables(means, marks["controls"], confidence=CONFIDENCE)
    return [
        Section("Every method", [Table(leaderboard(tables), len(FILTERS))]),
        Section("Ranks", [*map(Table, shown_ranks(ranks, labels)), Table(shown_agreement(agreement))]),
        Section("Costs", [Table(shown_costs(records, labels))]),
        Section("Where the rows come from", [Table(shown_sources(records)), *differences(records)]),
    ]


def shown_costs(records: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> ShownTable:
    """Seconds per volume, each on its own machine."""
    rows = []
    for record in records:
        for key, value in record["seconds"].items():
            dataset, factor, method = key.split(" ")
            seconds = Cell(f"{value:.3g}", value)
            rows.append({"Method": labels[method], "Dataset": dataset, "K": factor, "Seconds": seconds})
    return table_of(
        "Seconds per volume", rows, ("Median over the test subjects, on the machine of each study: below.",)
    )


def shown_sources(records: Sequence[Mapping[str, Any]]) -> ShownTable:
    rows = []
    for record in records:
        subjects = "; ".join(f"{dataset}: {len(found)}" for dataset, found in record["data"].items())
        machine = ", ".join(value for value in record["machine"].values() if value not in ("None", ""))
        rows.append(
            {
                "Study": record["study"],
                "Methods": ", ".join(record["labels"].values()),
                "Test subjects": subjects,
                "Machine": machine,
                "Commit": record["commit"][:10],
            }
        )
    return table_of("Studies", rows, ("Data, preprocessing and scored gaps were found equal.",))


def differences(records: Sequence[Mapping[str, Any]]) -> list[Text | Facts]:
    """The packages whose versions differ between the studies."""
    packages = sorted({name for record in records for name in record["versions"]})
    found = {
        f"{name} differs": "; ".join(f"{one['study']}: {one['versions'].get(name)}" for one in records)
        for name in packages
        if len({record["versions"].get(name) for record in records}) > 1
    }
    return [Facts(found) if found else Text("All versions are equal.")]
