"""The paper's study: planned on stand-ins of the real numbers, and run to the scores on small generated data."""

import functools
import shutil
import tarfile
import threading
import zipfile
from collections import Counter
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
import yaml
from checkout import Checkout, copy_of_the_code

from generators import write_acdc, write_dhcp, write_info, write_nifti, write_oasis_disc, write_sunnybrook
from interslice.common.files import sha256_of
from interslice.common.schemas import read_yaml
from interslice.data.archives import unpack
from interslice.data.index import split_cases
from interslice.data.sources import SPLITS, read_cases, read_excluded
from interslice.scoring.longtable import read_scores
from phantoms import ellipsoids
from settings import ROOT, SHORT_TRAINING, SMALL_NETWORK, study_of

SUNNYBROOK = [f"SCD{number:05d}01" for number in range(1, 46)]
DISCS = [f"oasis_cross-sectional_disc{number}.tar.gz" for number in range(1, 13)]


@pytest.fixture
def stand_ins(tmp_path):
    """A checkout with an empty file for every volume of the datasets of paper.yaml and open.yaml, in archives as they come."""
    copy_of_the_code(tmp_path)
    resources = tmp_path / "resources"
    for number in range(1, 151):
        part = "training" if number <= 100 else "testing"
        patient = tmp_path / "acdc" / "database" / part / f"patient{number:03d}"
        write_info(patient / "Info.cfg", "ABCDE"[(number - 1) % 100 // 20], 30)
        for what in ("4d", "frame01", "frame01_gt"):
            (patient / f"{patient.name}_{what}.nii.gz").touch()
    shutil.make_archive(
        str(archive_of(resources, "acdc", "acdc.zip").with_suffix("")), "zip", tmp_path / "acdc"
    )
    for part in range(5):
        with zipfile.ZipFile(
            archive_of(resources, "sunnybrook", f"SCD_IMAGES_0{part + 1}.zip"), "w"
        ) as images:
            for name in SUNNYBROOK[part::5]:
                for place in ("CINESAX_300/IM-0003-0001.dcm", "CINELAX_301/IM-0003-0001.dcm"):
                    images.writestr(f"{name}/{place}", b"")
    with tarfile.open(archive_of(resources, "ixi_t2", "IXI-T2.tar"), "w") as tar:
        for number in range(2, 580):
            tar.addfile(tarfile.TarInfo(f"IXI{number:03d}-Guys-0828-T2.nii.gz"))
    with tarfile.open(archive_of(resources, "msd_prostate", "Task05_Prostate.tar"), "w") as tar:
        for number in range(48):
            part = "imagesTr" if number < 32 else "imagesTs"
            for prefix in ("", "._"):  # packed on a Macintosh
                tar.addfile(tarfile.TarInfo(f"Task05_Prostate/{part}/{prefix}prostate_{number:02d}.nii.gz"))
    for number in range(240):
        anat = resources / "dhcp" / f"sub-CC{number:05d}XX01" / "ses-1" / "anat"
        anat.mkdir(parents=True)
        (anat / f"sub-CC{number:05d}XX01_ses-1_T2w.nii.gz").touch()
    sessions = [f"OAS1_{number:04d}_MR1" for number in range(1, 417)]
    sessions += [f"OAS1_{number:04d}_MR2" for number in range(1, 21)]
    for index, disc in enumerate(DISCS):
        with tarfile.open(archive_of(resources, "oasis", disc), "w:gz") as tar:
            for session in sessions[index :: len(DISCS)]:
                stem = f"disc{index + 1}/{session}/PROCESSED/MPRAGE/T88_111/{session}_mpr_n4_anon_111_t88_gfc"
                for ending in (".hdr", ".img"):
                    tar.addfile(tarfile.TarInfo(stem + ending))
    return Checkout(tmp_path, tmp_path / "config" / "paper.yaml", resources)


def archive_of(resources, dataset, name):
    """Where an archive goes that a person has, or that was downloaded."""
    path = resources / dataset / "archives" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_the_whole_paper_is_planned(stand_ins):
    planned = stand_ins.planned()
    # (K, shards): ACDC (1, 8), Sunnybrook (1, 5), dHCP (5, 4), OASIS (5, 4): 12 pairs of dataset and K, 53 with shards.
    assert planned == {
        "prepare_backbone": 2,  # one variant of the ablation has the other one
        "unpack_archive": 12 + 1 + 5,
        "convert_dataset": 1,
        "index_dataset": 3 + 1 + 3 + 3,  # split by split, of Sunnybrook the test split alone
        "check_splits": 4,
        # Train and test in as many shards as the dataset says, validation in one.
        "normalise_volumes": (8 + 1 + 8) + 5 + (4 + 1 + 4) + (4 + 1 + 4),
        "decimate_volumes": (8 + 1 + 8) + 5 + 5 * (4 + 1 + 4) + 5 * (4 + 1 + 4),
        # Two networks, 11 pairs: Sunnybrook borrows those of ACDC. 23 variants on ACDC and OASIS at K = 2.
        # Four of these are trained already: the base without LPIPS is a method of its own, and each dataset's base has
        # the lambda of a variant.
        "train_method": 22 + 46 - 4,
        "score_method": 371 + 23 * (8 + 4),  # seven methods; the variants
        "interpolate_volumes": 371 + 23 * (8 + 4) - 2 * (8 + 4),
        "collect_scores": 1,
        "collect_budgets": 1,
        "recheck_scores": 1,
        "collect_ablation_scores": 1,
        "tabulate_ablation": 1,
        "plot_ablation": 2 * 2,  # whole image and foreground
        "compare_methods": 1,
        "tabulate_results": 1,
        "plot_boxes": 1,
        "plot_factor": 1,
        "plot_panel": 12,
        "pack_viewer": 12,
        "plot_training": 11,
        "write_page": 1,
    }
    assert sum(planned.values()) < 2000


def test_the_open_study_is_planned(stand_ins):
    planned = replace(stand_ins, config=stand_ins.folder / "config" / "open.yaml").planned()
    # OASIS at five K, IXI at two, ACDC, Sunnybrook (with the models of ACDC) and the prostate at one each.
    assert (planned["unpack_archive"], planned["convert_dataset"], planned["check_splits"]) == (
        12 + 1 + 1 + 5 + 1,
        1,
        5,
    )
    assert planned["train_method"] == 3 * (5 + 2 + 1 + 1)
    shards = 5 * 4 + 2 * 4 + 8 + 5 + 2
    assert planned["score_method"] == planned["interpolate_volumes"] == 9 * shards
    assert "download_archive" not in planned
    assert planned["write_page"] == 1


def test_the_subjects_of_the_stand_ins_are_split_as_the_paper_has_them(stand_ins, monkeypatch):
    """100 patients, 45 cases of two stacks, 240 infants, 270 of 416 adults of which 20 came twice: no file is opened."""
    monkeypatch.chdir(stand_ins.folder)
    study = study_of("paper.yaml")
    datasets = study_of("open.yaml").datasets | study.datasets
    sizes = {}
    for name, dataset in datasets.items():
        for file, remote in dataset["archives"].items():
            places = (stand_ins.resources / name / place / file for place in ("archives", "unpacked"))
            assert remote["urls"]
            unpack(*places, limit=2**20, members=dataset["unpack"]["members"])
        cases = split_cases(dataset, "resources")
        assert not [found.problem for _, found in cases if found.problem]
        counts = Counter(split for split, _ in cases)
        sizes[name] = [counts[split] for split in SPLITS]
    assert sizes == {
        "acdc": [70, 10, 20],
        "sunnybrook": [0, 0, 45],
        "dhcp": [200, 20, 20],
        "oasis": [200, 20, 50],
        "ixi_t2": [200, 20, 50],
        "msd_prostate": [24, 4, 20],
    }
    assert {found.frames for _, found in split_cases(datasets["msd_prostate"], "resources")} == {(0, 1)}
    adults = [
        found.subject for split, found in split_cases(study.datasets["oasis"], "resources") if split == "test"
    ]
    assert adults == [f"OAS1_{number:04d}" for number in range(367, 417)]


def test_data_that_is_not_there_is_said_by_the_job_that_needs_it(stand_ins):
    shutil.rmtree(stand_ins.resources / "dhcp")
    run = stand_ins.snakemake(
        "--cores",
        "1",
        "--until",
        "index_dataset",
        "--config",
        "datasets=[dhcp]",
        "methods=[bspline,cae_paper]",
        "study=one",
    )
    assert run.returncode != 0
    output = run.stdout + run.stderr
    assert (
        "dataset dhcp: found no case in resources/dhcp; get the data from https://www.developingconnectome"
        in output
    )


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def write_tiny(folder):
    """The small study with generated data, a disc of OASIS on a server of 127.0.0.1, and one broken infant."""
    copy_of_the_code(folder)
    place, web = folder / "tiny", folder / "web"
    write_acdc(place / "acdc", [1, 2, 3, 21, 22, 23], shape=(9, 40, 44))
    write_sunnybrook(place / "sunnybrook", ["SC-HF-I-01", "SC-N-02"])
    write_dhcp(place / "dhcp", 4)
    for scan in (place / "dhcp").rglob("sub-CC00053*_T2w.nii.gz"):
        scan.write_bytes(b"broken")
    for seed, name in enumerate("abc"):
        write_nifti(
            place / "own" / f"sub-{name}" / "anat" / f"sub-{name}_T1w.nii.gz",
            ellipsoids((9, 40, 44), seed),
            (1, 1, 4),
        )
    write_oasis_disc(web / DISCS[0], [1, 2, 3], repeats=[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(web)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    disc = {
        "urls": [f"http://127.0.0.1:{server.server_port}/{DISCS[0]}"],
        "size": (web / DISCS[0]).stat().st_size,
        "sha256": sha256_of(web / DISCS[0]),
    }
    small = {"factors": [2], "shards": 1}
    three = {"train": 1, "validation": 1, "test": 1}
    centre = {"margin_mm": None, "centre_px": 32}
    changes = {
        "acdc": {
            "splits": {"order": "grouped", "train": 2, "validation": 2, "test": 2},
            "crop": centre,
            "shards": 3,
            "validation_frames": [1],
        },
        "sunnybrook": {"crop": centre},
        "dhcp": {
            "splits": {"train": 1, "validation": 1, "test": 2},
            "pad_px": 48,
            "on_bad_case": "leave_out",
        },
        "oasis": {"splits": three, "pad_px": 48, "archives": {DISCS[0]: disc}},
    }
    for name, change in changes.items():
        settings = read_yaml(ROOT / "config" / "datasets" / f"{name}.yaml") | small | change
        if name != "oasis":
            settings = {key: value for key, value in settings.items() if key not in ("archives", "unpack")}
            settings["folder"] = str(place / name)
        (place / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    own = {
        "name": "own",
        "title": "Own",
        "source": "folder",
        "folder": str(place / "own"),
        "splits": three,
        "shards": 1,
    }
    own |= {"slice_axis": "auto", "slice_profile": "none", "crop": {"margin_mm": 2}}
    own |= {"intensity": {"scaling": "percentile", "low": 1, "high": 99.8}}
    (place / "own.yaml").write_text(yaml.safe_dump(own))
    network = {
        "base": "cae_mse",
        "network": SMALL_NETWORK,
        "training": {key: value for key, value in SHORT_TRAINING.items() if key != "in_plane"}
        | {"steps": 10, "validate_every": 5},
    }
    (place / "cae.yaml").write_text(yaml.safe_dump(network))
    config = (ROOT / "tests" / "workflow" / "paper_tiny.yaml").read_text().replace("PLACE", str(place))
    (folder / "paper_tiny.yaml").write_text(config)
    return Checkout(folder, folder / "paper_tiny.yaml", folder / "resources"), server


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    checkout, server = write_tiny(tmp_path_factory.mktemp("paper"))
    yield checkout
    server.shutdown()


@pytest.fixture(scope="module")
def scored(tiny):
    run = tiny.snakemake("--cores", "1", "results/paper_tiny/means.parquet")
    assert run.returncode == 0, run.stdout + run.stderr
    return tiny


def test_every_source_is_scored(scored):
    table = scored.scores("paper_tiny")
    subjects = {name: sorted(part["subject"].unique()) for name, part in table.groupby("dataset")}
    assert subjects == {
        "acdc": ["patient003", "patient023"],
        "sunnybrook": ["SC-HF-I-01", "SC-N-02"],
        "dhcp": ["sub-CC00052XX12"],
        "oasis": ["OAS1_0003"],
        "own": ["sub-c"],
    }
    frames = table.groupby("dataset")["frame"].nunique().to_dict()
    assert frames == {"acdc": 2, "sunnybrook": 2, "dhcp": 1, "oasis": 1, "own": 1}
    by_labels = table[table["metric"] == "label_dice"]
    assert set(by_labels["dataset"]) == {"acdc"}, "the others have no labels"
    assert by_labels.groupby(["subject", "frame"])["value"].nunique().to_dict() == {
        (subject, frame): 1 for subject in subjects["acdc"] for frame in (0, 1)
    }
    assert by_labels["value"].between(0.1, 1).all()


def test_the_broken_case_is_counted(scored):
    excluded = [
        one
        for path in sorted((scored.folder / "results/index_dataset/dhcp").glob("*_excluded.csv"))
        for one in read_excluded(path)
    ]
    assert [one.subject for one in excluded] == ["sub-CC00053XX13"]
    assert "not a readable image" in excluded[0].reason
    indexes = (scored.folder / "results/index_dataset/dhcp").glob("*-??????????.csv")
    assert sum(len(read_cases(path)) for path in indexes) == 1, (
        "nothing is trained: the test split alone is read"
    )


def test_nothing_is_fetched_or_made_twice(scored):
    assert scored.planned("results/paper_tiny/means.parquet") == {}


def test_a_subject_that_would_move_another_stops_the_next_run(scored):
    """The dataset own has counts: the scan of a fourth subject would make that of the first one a validation case."""
    scan = scored.folder / "tiny" / "own" / "sub-0" / "anat" / "sub-0_T1w.nii.gz"
    scan.parent.mkdir(parents=True)
    scan.touch()
    run = scored.snakemake("--dry-run")
    shutil.rmtree(scan.parents[1])
    output = run.stdout + run.stderr
    assert run.returncode != 0
    assert "dataset own: key splits" in output
    assert "sub-a from train to validation" in output
    assert "results/splits/own_1-1-1_sorted.csv" in output
    assert "Traceback" not in output


def test_a_model_is_borrowed(scored):
    """Sunnybrook has no train split: the network that it is evaluated with is the one of ACDC."""
    place = scored.folder / "tiny"
    overrides = (
        f"datasets=[{place}/acdc.yaml,{place}/sunnybrook.yaml]",
        f"methods=[{place}/cae.yaml]",
        "figures={panel_methods: [cae]}",
    )
    options = ["--config", "study=borrowed", f"resources={scored.resources}", *overrides]
    scores = "results/borrowed/score_method/sunnybrook/K2/cae/seed1/0.parquet"
    run = scored.snakemake("--cores", "1", scores, *options)
    assert run.returncode == 0, run.stdout + run.stderr
    table = read_scores(scored.folder / scores)
    assert set(table["method"]) == {"cae"}
    assert set(table["dataset"]) == {"sunnybrook"}
    models = (scored.folder / "results/train_method").rglob("model.pt")
    assert [path.relative_to(scored.folder).parts[2] for path in models] == ["acdc"]
    assert pd.notna(table["value"]).all()
