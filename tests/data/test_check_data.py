"""check_data: what is present, missing, corrupt or surplus, of archives, packages and folders."""

import io

import pytest
import yaml

from generators import write_acdc, write_nifti, write_sunnybrook
from interslice.common.errors import InputError
from interslice.common.files import sha256_of
from interslice.common.schemas import read_yaml
from interslice.data.dataset_files import load_dataset
from interslice.steps.check import check_data, check_dataset
from phantoms import ellipsoids
from settings import ROOT

SCHEMA = read_yaml(ROOT / "workflow" / "schemas" / "dataset.schema.yaml")


def published(tmp_path, name, **changes):
    path = tmp_path / f"{name}.yaml"
    settings = read_yaml(ROOT / "config" / "datasets" / f"{name}.yaml")
    if "folder" in changes:  # in place of archives
        settings = {key: value for key, value in settings.items() if key not in ("archives", "unpack")}
    path.write_text(yaml.safe_dump(settings | changes))
    return load_dataset(str(path), SCHEMA, ROOT)


def test_a_folder_with_everything_wrong(tmp_path):
    write_acdc(tmp_path / "data", [1, 2, 21, 22, 41], frames=2)
    (tmp_path / "data" / "training" / "patient022" / "patient022_4d.nii.gz").write_bytes(b"cut")
    (tmp_path / "data" / "training" / "patient041" / "Info.cfg").unlink()
    (tmp_path / "data" / "holiday.jpg").touch()
    splits = {
        "train": ["patient001", "patient022", "patient041"],
        "validation": ["patient099"],
        "test": ["patient002"],
    }
    acdc = published(tmp_path, "acdc", folder=str(tmp_path / "data"), splits=splits)
    before = sorted(tmp_path.rglob("*"))
    state = check_dataset(acdc, str(tmp_path), 2)
    assert sorted(tmp_path.rglob("*")) == before, "a check writes nothing"
    assert state["present"] == ["patient001", "patient002"]
    assert [line.partition(":")[0] for line in state["corrupt"]] == ["patient022", "patient041"]
    assert "no Info.cfg" in state["corrupt"][1]
    assert state["missing"] == ["patient099: no file", "95 of 100 subjects"]
    assert state["surplus"] == ["patient021: in no split", "holiday.jpg: not used"]


def test_nothing_there_tells_where_to_get_it(tmp_path):
    (line,) = check_dataset(published(tmp_path, "dhcp", folder=str(tmp_path / "data")), "", 1)["missing"]
    assert "https://www.developingconnectome.org" in line
    assert str(tmp_path / "data") in line


def test_dicom_is_read_to_the_end(tmp_path):
    write_sunnybrook(tmp_path / "data", ["SC-N-02", "SC-N-03"], shape=(4, 20, 24))
    next((tmp_path / "data" / "SC-N-03" / "CINESAX_300").iterdir()).unlink()
    state = check_dataset(published(tmp_path, "sunnybrook", folder=str(tmp_path / "data")), "", 1)
    assert state["present"] == ["SC-N-02"]
    assert "images of the slice" in state["corrupt"][0]
    assert state["missing"] == ["43 of 45 subjects"]
    assert state["surplus"] == []


def test_archives(tmp_path):
    archives = read_yaml(ROOT / "config" / "datasets" / "oasis.yaml")["archives"]
    first, second = list(archives)[:2]
    folder = tmp_path / "oasis" / "archives"
    folder.mkdir(parents=True)
    (folder / first).write_bytes(b"right")
    (folder / second).write_bytes(b"wrong")
    archives[first] |= {"sha256": sha256_of(folder / first), "md5": None}
    archives[second]["size"] = 4
    state = check_dataset(published(tmp_path, "oasis", archives=archives), str(tmp_path), 1)
    assert state["present"] == [first]
    assert state["corrupt"] == [f"{second}: found 5 bytes, expected 4"]
    assert len([line for line in state["missing"] if "the first run downloads it" in line]) == 10


def test_package_subjects_are_verified_and_shown(tmp_path):
    t1 = published(tmp_path, "t1")
    write_nifti(tmp_path / "t1" / "CSI1.nii.gz", ellipsoids((6, 20, 20)), (1, 1, 1))
    write_nifti(tmp_path / "t1" / "CSI2.nii.gz", ellipsoids((6, 20, 20)), (1, 1, 1))
    t1["subjects"]["CSI1"]["sha256"] = sha256_of(tmp_path / "t1" / "CSI1.nii.gz")
    state = check_dataset(t1, str(tmp_path), 1)
    assert state["present"] == ["CSI1"]
    assert "found sha256" in state["corrupt"][0]
    assert len(state["missing"]) == 8
    output = io.StringIO()
    with pytest.raises(InputError, match=r"not usable as configured: t1 \(0 missing, 1 corrupt\)"):
        check_data({"t1": t1}, str(tmp_path), 1, output, tmp_path / "last.txt")
    lines = output.getvalue().splitlines()
    assert [line for line in lines if line.startswith("  ") and not line.startswith("    ")] == [
        "  present: 1",
        "  missing: 8",
        "  corrupt: 1",
        "  surplus: 0",
    ]


def test_what_the_first_run_gets_by_itself_is_no_error_and_what_a_person_must_get_is(tmp_path):
    own = {name: published(tmp_path, name) for name in ("t1", "mnist", "oasis")}
    for remote in own["oasis"]["archives"].values():
        remote["md5"] = None
    output = io.StringIO()
    check_data(own, str(tmp_path), 1, output, tmp_path / "last.txt")
    assert output.getvalue().count("missing: ") == 3
    assert "missing: 0" not in output.getvalue()
    folder = tmp_path / "oasis" / "archives"
    folder.mkdir(parents=True)
    for name in own["oasis"]["archives"]:
        (folder / name).write_bytes(b"a disc that nobody has unpacked yet")
    check_data(own, str(tmp_path), 1, output, tmp_path / "last.txt")
    (tmp_path / "oasis" / "unpacked").mkdir()
    others = {"dhcp": published(tmp_path, "dhcp", folder=str(tmp_path / "data")), **own}
    with pytest.raises(InputError, match=r"configured: dhcp \(1 missing, 0 corrupt\), oasis \(1 missing, 0"):
        check_data(others, str(tmp_path), 1, output, tmp_path / "last.txt")
    assert output.getvalue().count("oasis: OASIS-1") == 3, "one dataset stops the check of no other"


def test_the_last_words_are_of_subjects_and_how_to_get_them(tmp_path):
    write_acdc(tmp_path / "acdc", [1, 2, 21], frames=2)
    (tmp_path / "acdc" / "training" / "patient002" / "patient002_4d.nii.gz").write_bytes(b"cut")
    splits = {"test": ["patient001", "patient002", "patient101"]}
    datasets = {
        "acdc": published(tmp_path, "acdc", folder=str(tmp_path / "acdc"), splits=splits),
        "dhcp": published(tmp_path, "dhcp", folder=str(tmp_path / "none")),
        "t1": published(tmp_path, "t1"),
        "oasis": published(tmp_path, "oasis"),
    }
    last = tmp_path / "last.txt"
    with pytest.raises(InputError, match="not usable as configured: acdc"):
        check_data(datasets, str(tmp_path), 1, io.StringIO(), last)
    acdc, dhcp, t1, oasis = last.read_text().splitlines()
    assert acdc.startswith("acdc: 2 of 3 subjects are missing, 1 of them broken; get ")
    assert dhcp.startswith("dhcp: 240 of 240 subjects are missing; get sub-CC")
    assert dhcp.endswith(
        f"developingconnectome.org/data-release/ (registration) and put them into {tmp_path / 'none'}"
    )
    assert (t1, oasis) == (
        "t1: 10 of 10 subjects are missing; the first run gets them",
        "oasis: 416 of 416 subjects are missing; the first run gets them",
    )
