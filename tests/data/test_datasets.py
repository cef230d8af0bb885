"""Every source on a folder in its published layout: which cases, which groups, which splits; then the index."""

import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from generators import (
    cine,
    edit_dicom,
    write_acdc,
    write_atlas_case,
    write_atlas_table,
    write_contours,
    write_dhcp,
    write_dicom_series,
    write_idx,
    write_info,
    write_metaimages,
    write_nifti,
    write_oasis_disc,
    write_sunnybrook,
)
from interslice.common.errors import InputError
from interslice.common.schemas import read_yaml
from interslice.data.archives import unpack
from interslice.data.dataset_files import load_dataset
from interslice.data.index import find_cases, input_files, sha256_of_image, split_cases
from interslice.data.labels import read_labels
from interslice.data.parts import part_of
from interslice.data.preprocess import fit_in_plane, normalise_case
from interslice.data.sources import Found, read_cases, read_excluded
from interslice.data.sources.idx import read_idx
from interslice.data.sources.sunnybrook import convert
from interslice.data.splits import assign_splits, declared_splits
from interslice.data.volumes import Volume, scale_intensities
from interslice.steps.check import surplus_files
from interslice.steps.data import check_splits, convert_split, index_split
from phantoms import ellipsoids
from settings import ROOT

SCHEMA = read_yaml(ROOT / "workflow" / "schemas" / "dataset.schema.yaml")
PLAIN = {
    "name": "mine",
    "title": "Mine",
    "source": "folder",
    "splits": {"train": 1, "validation": 1, "test": "rest"},
    "slice_axis": "auto",
    "slice_profile": "none",
    "intensity": {"scaling": "minmax", "low": 0, "high": 100},
    "crop": {"margin_mm": None},
    "shards": 1,
}


def dataset(tmp_path, base=PLAIN, **changes):
    """A checked dataset file with defaults, as the workflow has it."""
    path = tmp_path / "dataset.yaml"
    base = {key: value for key, value in base.items() if key not in ("archives", "unpack")}
    path.write_text(yaml.safe_dump({**base, "folder": str(tmp_path / "data"), **changes}))
    return load_dataset(str(path), SCHEMA, ROOT)


def published(tmp_path, name, **changes):
    """config/datasets/NAME.yaml with its folder in tmp_path."""
    return dataset(tmp_path, read_yaml(ROOT / "config" / "datasets" / f"{name}.yaml"), **changes)


def test_acdc(tmp_path):
    """Training and test patients; a sane file where the numbers of frames and intensities are not."""
    write_acdc(tmp_path / "data" / "ACDC" / "database", [1, 2, 15, 21, 100, 101])
    place = tmp_path / "data" / "ACDC" / "database" / "training"
    (place / "patient002" / "Info.cfg").unlink()
    write_info(place / "patient015" / "Info.cfg", "DCM", 30)
    found = find_cases(published(tmp_path, "acdc"), "")
    assert [(one.subject, one.group, one.counted, one.frames) for one in found] == [
        ("patient001", "DCM", True, None),
        ("patient002", "", True, None),
        ("patient015", "DCM", True, (0, 20)),
        ("patient021", "HCM", True, None),
        ("patient100", "RV", True, None),
        ("patient101", "DCM", False, None),
    ]
    assert "no Info.cfg" in found[1].problem
    assert found[0].files[0].name == "patient001_4d.nii.gz"
    assert [(frame, path.name) for frame, path in found[0].labels] == [
        (0, "patient001_frame01_gt.nii.gz"),
        (1, "patient001_frame02_gt.nii.gz"),
    ]


def test_acdc_wherever_its_files_lie(tmp_path):
    """A folder for every file, as one public copy has them; behind a link; of other capitals; with what a Macintosh adds."""
    place = tmp_path / "elsewhere"
    write_acdc(place, [1, 21, 41], shape=(4, 12, 12))
    for path in (place / "training" / "patient001").glob("*.nii.gz"):
        path.rename(path.with_name("moved"))
        path.mkdir()
        path.with_name("moved").rename(path / path.name)
    (place / "training" / "patient021").rename(place / "training" / "Patient021")
    (place / "training" / "patient041" / "Info.cfg").rename(place / "training" / "patient041" / "info.CFG")
    (place / "training" / "patient041" / "._patient041_4d.nii.gz").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ACDC").symlink_to(place)
    settings = published(tmp_path, "acdc")
    found = find_cases(settings, "")
    assert [(one.subject, one.group, one.problem, len(one.labels)) for one in found] == [
        ("patient001", "DCM", "", 2), ("patient021", "HCM", "", 2), ("patient041", "MINF", "", 2),
    ]  # fmt: skip
    assert all(path.is_file() for one in found for path in one.files)
    assert surplus_files(found, tmp_path / "data", settings) == []


@pytest.mark.parametrize("layout", ["database", "ACDC/database"])
@pytest.mark.parametrize("code", [0, 1, 2])
def test_acdc_slices_are_ten_millimetres_apart_whatever_the_headers_say(tmp_path, layout, code):
    """From either archive; cine and labels."""
    write_acdc(tmp_path / "made" / layout, [1, 21], sform_code=code)
    settings = read_yaml(ROOT / "config" / "datasets" / "acdc.yaml")
    settings["splits"] = {"test": ["patient001", "patient021"]}
    archive, unpacked = tmp_path / "acdc.zip", tmp_path / "acdc" / "unpacked" / "acdc.zip"
    shutil.make_archive(str(tmp_path / "acdc"), "zip", tmp_path / "made")
    unpack(archive, unpacked, limit=2**24, members=settings["unpack"]["members"])
    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump(settings))
    acdc = load_dataset(str(path), SCHEMA, ROOT)
    assert input_files(acdc, tmp_path) == [str(unpacked)]
    cases, excluded = run_index(tmp_path, acdc, resources=tmp_path)
    assert not excluded
    assert [case.spacing for case in cases] == [
        (pytest.approx(1.37 + 0.003 * n), pytest.approx(1.37 + 0.003 * n), pytest.approx(10)) for n in (1, 21)
    ]
    _, path = cases[0].labels[0]
    label = read_labels(path, cases[0].path, settings["trust"])
    np.testing.assert_allclose(nib.affines.voxel_sizes(label.affine), cases[0].spacing, rtol=1e-5)


def test_the_challenges_test_patients_can_be_named_and_move_nobody(tmp_path):
    write_acdc(tmp_path / "data", [1, 21, 41, 101, 121], shape=(3, 8, 8))
    counts = published(tmp_path, "acdc", splits={"order": "grouped", "train": 1, "validation": 1, "test": 1})
    assert [one.subject for _, one in split_cases(counts, "")] == ["patient001", "patient021", "patient041"]
    named = published(tmp_path, "acdc", splits={"test": ["patient101", "patient121"]})
    assert [one.subject for _, one in split_cases(named, "")] == ["patient101", "patient121"]
    (tmp_path / "test.yaml").write_text(
        (ROOT / "config/datasets/acdc_test.yaml").read_text() + f"folder: {tmp_path / 'data'}\n"
    )
    shipped = load_dataset(str(tmp_path / "test.yaml"), SCHEMA, ROOT)
    assert not shipped["archives"], "files that are there stand in place of the base's archives"
    assert [one.problem == "" for _, one in split_cases(shipped, "")] == [
        True,
        *[False] * 19,
        True,
        *[False] * 29,
    ]


def test_a_bad_frame_is_named_and_left_out_alone(tmp_path):
    """A frame without contrast between the percentiles that it is scaled by, and one that is not finite."""
    write_acdc(tmp_path / "data", [1, 2], frames=6)
    path = tmp_path / "data" / "training" / "patient001" / "patient001_4d.nii.gz"
    image = nib.load(path)
    data, whole = image.get_fdata(dtype=np.float32), nib.as_closest_canonical(image).get_fdata()
    data[..., 2] = 7
    data[0, 0, 0, 2] = 900  # one pixel: the 1st and the 99th percentile agree
    data[3, 3, 1, 4] = np.nan
    broken = nib.Nifti1Image(data, image.affine)
    broken.header.set_zooms(image.header.get_zooms())
    nib.save(broken, path)
    splits = {"test": ["patient001", "patient002"]}
    with pytest.raises(
        InputError, match=r"patient001: frame 2 of .*percentiles .1, 99. are both 7.*frame 4 of .*NaN"
    ):
        run_index(tmp_path, published(tmp_path, "acdc", splits=splits))
    settings = published(tmp_path, "acdc", splits=splits, on_bad_case="leave_out", trust="sform")
    cases, excluded = run_index(tmp_path, settings)
    assert [(case.frames, case.left_out) for case in cases] == [(4, (2, 4)), (6, ())]
    assert [one.subject for one in excluded] == ["patient001 frame 2", "patient001 frame 4"]
    kept = normalise_case(cases[0], settings | {"in_plane_mm": None})
    assert kept.data.shape[0] == 4
    assert np.isfinite(kept.data).all()
    expected = scale_intensities(np.moveaxis(whole[..., 3], 2, 0), settings["intensity"], "")
    np.testing.assert_allclose(
        kept.data[2], fit_in_plane(Volume(expected[None], np.eye(4), 2), 160, shrink=True).data[0], atol=1e-6
    )


def test_the_acdc_split_has_every_diagnosis_in_proportion(tmp_path):
    """Numbers run by diagnosis: the last 20 patients by name would all have one disease."""
    settings = published(tmp_path, "acdc")
    found = [Found(f"patient{n:03d}", (), group="ABCDE"[(n - 1) // 20]) for n in range(1, 101)]
    splits = assign_splits(found, settings)
    groups = {one.subject: one.group for one in found}
    for split, per_group in (("train", 14), ("validation", 2), ("test", 4)):
        members = [groups[subject] for subject, where in splits.items() if where == split]
        assert {group: members.count(group) for group in "ABCDE"} == dict.fromkeys("ABCDE", per_group)


@pytest.mark.parametrize("release", [1, 2, 3])
def test_dhcp_takes_the_first_session_and_the_native_image(tmp_path, release):
    write_dhcp(tmp_path / "data" / "rel3_dhcp_anat_pipeline", 2, release=release)
    image = {1: "T2w_restore", 2: "T2w", 3: "T2w"}[release]
    found = find_cases(published(tmp_path, "dhcp"), "")
    assert [one.subject for one in found] == ["sub-CC00050XX10", "sub-CC00051XX11"]
    assert [one.files[0].name for one in found] == [
        f"sub-CC00050XX10_ses-9300_{image}.nii.gz",
        f"sub-CC00051XX11_ses-9300_{image}.nii.gz",
    ], "9300 comes before 10700, whatever the order of text"
    assert surplus_files(found, tmp_path / "data", published(tmp_path, "dhcp")) == []
    for path in (tmp_path / "data").rglob(f"*_ses-9300_{image}.nii.gz"):
        path.unlink()
    names = [one.files[0].name for one in find_cases(published(tmp_path, "dhcp"), "")]
    left = {1: ["sub-CC00050XX10_ses-10700_T2w_restore"], 2: None, 3: None}[release]
    left = left or [f"sub-CC0005{n}XX1{n}_ses-9300_desc-restore_T2w" for n in (0, 1)]
    assert names == [f"{name}.nii.gz" for name in left]


def test_the_sessions_table_of_an_infant_goes_before_the_numbers(tmp_path):
    write_dhcp(tmp_path / "data", 1)
    table = tmp_path / "data" / "sub-CC00050XX10" / "sub-CC00050XX10_sessions.tsv"
    table.write_text("session_id\tscan_age\tscan_number\n10700\t38.1\t1\n9300\t44.0\t2\n")
    (found,) = find_cases(published(tmp_path, "dhcp"), "")
    assert found.files[0].name == "sub-CC00050XX10_ses-10700_T2w.nii.gz"
    table.write_text("session_id\tscan_age\tscan_number\n10700\t38.1\t1\n9300\t44.0\tn/a\n")
    (found,) = find_cases(published(tmp_path, "dhcp"), "")
    assert found.files[0].name == "sub-CC00050XX10_ses-9300_T2w.nii.gz", "half a table decides nothing"


def test_oasis_comes_out_of_its_discs_without_repeat_sessions(tmp_path):
    settings = read_yaml(ROOT / "config" / "datasets" / "oasis.yaml")
    archives = dict(list(settings["archives"].items())[:2])
    path = tmp_path / "dataset.yaml"
    path.write_text(
        yaml.safe_dump({**settings, "archives": archives, "splits": {"train": 1, "validation": 1, "test": 1}})
    )
    oasis = load_dataset(str(path), SCHEMA, ROOT)
    for disc, (name, numbers) in enumerate(zip(archives, ([1, 2], [457, 4]), strict=True)):
        write_oasis_disc(tmp_path / name, numbers, repeats=[2] if disc == 0 else [])
        assert str(tmp_path / "oasis" / "unpacked" / name) == input_files(oasis, tmp_path)[disc]
        unpack(
            tmp_path / name,
            input_files(oasis, tmp_path)[disc],
            limit=2**24,
            members=oasis["unpack"]["members"],
        )
    assert [(split, one.subject) for split, one in split_cases(oasis, tmp_path)] == [
        ("train", "OAS1_0001"),
        ("validation", "OAS1_0002"),
        ("test", "OAS1_0457"),
    ], "sorted: the first, the next, the last; OAS1_0004 is between and unused"
    unpacked = [path for path in (tmp_path / "oasis").rglob("*") if path.is_file()]
    assert len(unpacked) == 10, "four first sessions and a repeat, .hdr and .img; no RAW, no masked image"


def expected_cine(seed, shape=(4, 20, 24), frames=3):
    return np.round(1000 * cine(shape, frames, seed=seed)).transpose(2, 1, 0, 3)


@pytest.mark.parametrize("table", [True, False])
def test_sunnybrook_from_the_atlas_archives(tmp_path, table):
    """One SeriesInstanceUID over all images of a case, two CINESAX folders, contours and the table beside."""
    for number in (101, 4501):
        write_atlas_case(tmp_path / "data" / f"SCD_IMAGES_0{number % 5}.zip", number, (4, 20, 24), 3)
    write_contours(tmp_path / "data" / "SCD_ManualContours", "SC-HF-I-01")
    names = {"SCD0000101": "SC-HF-I-1", "SCD0004501": "SC-N-9"} if table else {}
    write_atlas_table(tmp_path / "data" / "scd_patientdata.csv", names)
    settings = published(tmp_path, "sunnybrook")
    found = find_cases(settings, "")
    expected = (
        [("SC-HF-I-01", "HF-I"), ("SC-N-09", "N")] if table else [("SCD0000101", ""), ("SCD0004501", "")]
    )
    assert [(one.subject, one.group) for one in found] == expected
    assert surplus_files(found, tmp_path / "data", settings) == []
    for one, number in zip(found, (101, 4501), strict=True):
        image = convert(one)
        np.testing.assert_allclose(np.asarray(image.dataobj), expected_cine(number))
        np.testing.assert_allclose(image.header.get_zooms()[:3], (1.25, 1.25, 8), rtol=1e-6)


def test_sunnybrook_as_it_was_in_2009_and_in_renamed_folders(tmp_path):
    data = tmp_path / "data"
    write_sunnybrook(
        data / "Sunnybrook Cardiac MR Database DICOMPart3" / "TrainingDataDICOM",
        ["SC-HF-I-01"],
        (4, 20, 24),
        3,
    )
    write_contours(
        data / "Sunnybrook Cardiac MR Database ContoursPart3" / "TrainingDataContours", "SC-HF-I-01"
    )
    write_contours(data / "Sunnybrook Cardiac MR Database ContoursPart1", "SC-HYP-03")
    write_sunnybrook(data / "later", ["exam of SC-N-2 (copy)"], (4, 20, 24), 3)
    found = find_cases(published(tmp_path, "sunnybrook"), "")
    assert [one.subject for one in found] == ["SC-HF-I-01", "SC-N-02"], (
        "a folder of contours alone is no case"
    )
    np.testing.assert_allclose(np.asarray(convert(found[0]).dataobj), expected_cine(0))


def test_sunnybrook_under_names_of_other_people(tmp_path):
    """Other cases and separators, a spreadsheet's table, files of a Macintosh, a link to a folder elsewhere."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    write_sunnybrook(elsewhere, ["sc_hf_i_7"], (4, 20, 24), 3)
    write_atlas_case(data, 101, (4, 20, 24), 3)
    for path in data.rglob("*.dcm"):
        path.rename(path.with_suffix(".DCM"))
    (data / "__MACOSX" / "SC-N-01").mkdir(parents=True)
    (data / "__MACOSX" / "SC-N-01" / "IM-0001.dcm").touch()
    (data / "SCD_PatientData.csv").write_text("PatientID;OriginalID\nscd0000101;SC-HF-I-1\n")
    (data / "SC-HYP-08" / "._hidden").mkdir(parents=True)
    (data / "linked").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(elsewhere)
    found = find_cases(published(tmp_path, "sunnybrook"), "")
    assert [(one.subject, one.group, one.problem) for one in found] == [
        ("SC-HF-I-01", "HF-I", ""), ("SC-HF-I-07", "HF-I", ""),
    ]  # fmt: skip
    np.testing.assert_allclose(np.asarray(convert(found[0]).dataobj), expected_cine(101))
    shutil.copytree(elsewhere / "sc_hf_i_7", data / "again" / "SC-HF-I-07")
    last = find_cases(published(tmp_path, "sunnybrook"), "")[-1]
    assert "found 2 folders of it" in last.problem, "which of the two nobody knows"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "Patient,Original\n",
            "found the columns .'Patient', 'Original'., needed are PatientID and OriginalID",
        ),
        (
            "PatientID,OriginalID\nSCD1,SC-N-1\nSCD2,SC-N-01\n",
            "found SCD1 and SCD2 as SC-N-01, allowed is one",
        ),
        ("", "found the columns None"),
    ],
)
def test_a_table_of_sunnybrook_that_says_nothing_is_refused(tmp_path, table, message):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scd_patientdata.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        find_cases(published(tmp_path, "sunnybrook"), "")


def test_sunnybrook_spacing_is_the_files_or_the_papers(tmp_path):
    write_dicom_series(
        tmp_path / "data" / "SC-N-03" / "CINESAX_1", cine((4, 20, 24), 2, 1), spacing=(1.367, 1.367), gap=10
    )
    (found,) = find_cases(published(tmp_path, "sunnybrook"), "")
    native = convert(found)
    (found,) = find_cases(published(tmp_path, "sunnybrook", spacing_mm=[1.25, 8]), "")
    papers = convert(found)
    np.testing.assert_allclose(nib.affines.voxel_sizes(native.affine), (1.367, 1.367, 10), rtol=1e-6)
    np.testing.assert_allclose(nib.affines.voxel_sizes(papers.affine), (1.25, 1.25, 8), rtol=1e-6)
    np.testing.assert_array_equal(papers.dataobj, native.dataobj)
    with pytest.raises(InputError, match=r"key spacing_mm: found \[1.25\], allowed are at least 2"):
        published(tmp_path, "sunnybrook", spacing_mm=[1.25])


def test_sunnybrook_dicom_is_one_volume_per_case_in_short_axis(tmp_path):
    write_sunnybrook(tmp_path / "data", ["SC-HF-I-1", "SC-N-02"], shape=(4, 20, 24), frames=3)
    settings = published(tmp_path, "sunnybrook")
    found = find_cases(settings, "")
    assert [(one.subject, one.group) for one in found] == [("SC-HF-I-01", "HF-I"), ("SC-N-02", "N")]
    image = convert(found[1])
    expected = np.round(1000 * cine((4, 20, 24), 3, seed=1)).transpose(2, 1, 0, 3)
    np.testing.assert_allclose(np.asarray(image.dataobj), expected)
    assert {split for split, _ in split_cases(settings, "")} == {"test"}


def test_sunnybrook_with_one_series_per_slice(tmp_path):
    write_dicom_series(tmp_path / "data" / "SC-HYP-01", cine((4, 20, 24), 3, seed=1))
    for path in (tmp_path / "data").rglob("*.dcm"):
        position = edit_dicom(path).ImagePositionPatient
        edit_dicom(path, SeriesInstanceUID=f"1.2.3.{abs(round(position[0] * 100)) + 1}")
    image = convert(find_cases(published(tmp_path, "sunnybrook"), "")[0])
    np.testing.assert_allclose(
        np.asarray(image.dataobj), np.round(1000 * cine((4, 20, 24), 3, seed=1)).transpose(2, 1, 0, 3)
    )


def test_sunnybrook_metaimages_are_two_frames_in_place(tmp_path):
    volume = write_metaimages(tmp_path / "data", "SC-HF-NI-03")
    (found,) = find_cases(published(tmp_path, "sunnybrook"), "")
    image = convert(found)
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume.transpose(2, 1, 0, 3))
    reference = sitk.ReadImage(str(tmp_path / "data" / "SC-HF-NI-03_ED.mhd"))
    world = np.array(reference.TransformIndexToPhysicalPoint((3, 4, 2))) * [-1, -1, 1]
    np.testing.assert_allclose(nib.affines.apply_affine(image.affine, (3, 4, 2)), world)
    (tmp_path / "data" / "SC-HF-NI-03_ES.mhd").unlink()
    (found,) = find_cases(published(tmp_path, "sunnybrook"), "")
    assert "only ED of ED and ES" in found.problem


def test_one_contrast_of_files_that_have_several(tmp_path):
    """As the prostate of the Medical Segmentation Decathlon: T2 and ADC in a file; companions of a Macintosh beside it."""
    two = np.stack([ellipsoids((5, 20, 20), 1), ellipsoids((5, 20, 20), 2)], axis=3)
    place = tmp_path / "data" / "Task05_Prostate.tar" / "Task05_Prostate"
    for part, number in (("imagesTr", 0), ("imagesTs", 1)):
        write_nifti(place / part / f"prostate_{number:02d}.nii.gz", two, (0.6, 0.6, 3.6))
        (place / part / f"._prostate_{number:02d}.nii.gz").write_bytes(b"not an image")
    splits = {"test": ["prostate_00", "prostate_01"]}
    cases, _ = run_index(tmp_path, published(tmp_path, "msd_prostate", splits=splits))
    assert [(case.subject, case.frames, case.slice_axis) for case in cases] == [
        ("prostate_00", 1, 2),
        ("prostate_01", 1, 2),
    ]
    settings = published(tmp_path, "msd_prostate", splits=splits)
    expected = np.round(1000 * two[..., 0]).transpose(0, 2, 1)
    volume = normalise_case(cases[0], settings)
    np.testing.assert_allclose(
        volume.data[0], scale_intensities(expected, settings["intensity"], ""), atol=1e-6
    )


def test_metaimages_of_one_contrast(tmp_path):
    """As SPIDER: 1_t2.mha beside other contrasts, slices along whatever axis they are stored on."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for name, axis in (("1_t2", 0), ("2_t2", 2), ("1_t1", 0), ("2_t2_SPACE", 0)):
        image = sitk.GetImageFromArray(np.moveaxis(ellipsoids((5, 20, 24), 1), 0, axis))
        image.SetSpacing([4.0 if 2 - index == axis else 0.6 for index in range(3)])
        sitk.WriteImage(image, str(tmp_path / "data" / "images" / f"{name}.mha"))
    settings = published(tmp_path, "spider_t2", splits={"test": ["1_t2", "2_t2"]})
    convert_split(part_of(settings, "test"), "test", "", tmp_path / "converted", 1)
    cases, _ = run_index(tmp_path, settings, tmp_path / "converted")
    assert [case.subject for case in cases] == ["1_t2", "2_t2"]
    for case in cases:
        assert (case.shape[case.slice_axis], case.spacing[case.slice_axis]) == (5, pytest.approx(4))


def test_a_folder_of_ones_own(tmp_path):
    for name in ("b.nii.gz", "a.nii", "with space.nii", "é.nii", "日.nii", "月.nii"):
        write_nifti(tmp_path / "data" / name, ellipsoids((5, 20, 20)), (1, 1, 3))
    (tmp_path / "data" / "notes.txt").touch()
    (tmp_path / "data" / "a_mask.nii").touch()
    (tmp_path / "data" / "b.nii.gz").rename(tmp_path / "data" / "b.NII.GZ")
    names = ["a", "b", "e", "u65e5", "u6708", "with-space"]
    assert [one.subject for one in find_cases(dataset(tmp_path), "")] == names


def test_a_bids_tree_of_ones_own_needs_one_file_per_subject(tmp_path):
    for name in ("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"):
        write_nifti(tmp_path / "data" / name, ellipsoids((5, 20, 20)), (1, 1, 3))
    (tmp_path / "data" / "derivatives").mkdir()
    (tmp_path / "data" / "derivatives" / "sub-01_T1w.nii.gz").touch()
    assert [one.subject for one in find_cases(dataset(tmp_path), "")] == ["sub-01", "sub-02"]
    (tmp_path / "data" / "sub-01" / "anat" / "sub-01_T2w.nii.gz").touch()
    with pytest.raises(InputError, match=r"key pattern: found 2 files of subject sub-01 .*allowed is one"):
        find_cases(dataset(tmp_path), "")
    assert [
        one.files[0].name for one in find_cases(dataset(tmp_path, pattern="sub-*/**/*_T2w.nii.gz"), "")
    ] == ["sub-01_T2w.nii.gz"]


SUBJECTS = [Found(name, ()) for name in ("a", "b", "c", "d", "e")]


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (
            {"train": 2, "validation": 1, "test": 1},
            {"a": "train", "b": "train", "c": "validation", "e": "test"},
        ),
        (
            {"train": 1, "validation": 1, "test": "rest"},
            {"a": "train", "b": "validation", "c": "test", "d": "test", "e": "test"},
        ),
        (
            {"train": ["e"], "validation": ["a"], "test": ["x"]},
            {"e": "train", "a": "validation", "x": "test"},
        ),
    ],
)
def test_split_rules(tmp_path, splits, expected):
    assert assign_splits(SUBJECTS, dataset(tmp_path, splits=splits)) == expected


def test_split_file(tmp_path):
    (tmp_path / "list.csv").write_text("subject,split\na,train\nb,validation\nc,test\n")
    settings = dataset(tmp_path, splits={"file": str(tmp_path / "list.csv")})
    assert assign_splits(SUBJECTS, settings) == {"a": "train", "b": "validation", "c": "test"}
    for line, message in (("d,tset", "line 5: found"), ("a,test", "line 5: subject a is there twice")):
        (tmp_path / "list.csv").write_text(f"subject,split\na,train\nb,validation\nc,test\n{line}\n")
        with pytest.raises(InputError, match=message):
            assign_splits(SUBJECTS, settings)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": 1, "validation": 1}, r"key splits.test: found no subject, at least 1 is needed"),
        ({"train": ["a"], "validation": ["b"]}, r"key splits.test: found no subject, at least 1 is needed"),
        (
            {"train": ["a"], "validation": 1, "test": 1},
            r"key splits: found counts and lists, allowed is one of",
        ),
        ({"train": "rest", "validation": 1, "test": "rest"}, r"found rest 2 times"),
        (
            {"train": "all", "validation": 1, "test": 1},
            r"key splits.train: found 'all', allowed is text of the form",
        ),
    ],
)
def test_bad_splits_are_refused(tmp_path, splits, message):
    with pytest.raises(InputError, match=message):
        dataset(tmp_path, splits=splits)


def test_too_few_subjects_for_the_counts(tmp_path):
    settings = dataset(tmp_path, splits={"train": 3, "validation": 1, "test": 2})
    with pytest.raises(InputError, match="found 5 subjects, the counts need 6"):
        assign_splits(SUBJECTS, settings)


def broken_folder(folder):
    """Four good scans, and one of every kind of bad file."""
    good = ellipsoids((6, 20, 20))
    for seed, name in enumerate("abcd"):
        write_nifti(folder / f"{name}.nii.gz", ellipsoids((6, 20, 20), seed), (1, 1, 3))
    whole = (folder / "a.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nii.gz").write_text("not an image")
    write_nifti(folder / "zero.nii.gz", np.zeros((6, 20, 20)), (1, 1, 3))
    nan = np.full((20, 20, 6), np.nan, np.float32)
    nib.save(nib.Nifti1Image(nan, np.diag([1, 1, 3, 1])), folder / "nan.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((20, 20), np.float32), np.eye(4)), folder / "flat.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((8, 8, 6, 2, 2), np.float32), np.eye(4)), folder / "five.nii.gz")
    write_nifti(folder / "thin.nii.gz", good[:2], (1, 1, 3))
    image = nib.Nifti1Image(np.moveaxis(good, 0, 2), None)
    image.header["pixdim"][1:4] = 0
    (folder / "nospacing.nii").write_bytes(header_without_spacing(image.to_bytes()))


def header_without_spacing(content):
    """A NIfTI file whose pixdim (bytes 80 to 92) is 0 and that has neither sform nor qform."""
    return content[:80] + bytes(12) + content[92:252] + bytes(4) + content[256:]


REASONS = {
    "cut": "cannot be read|not a readable image",
    "text": "not a readable image",
    "zero": "found a constant image",
    "nan": "found 2400 voxels that are NaN or infinite",
    "flat": r"shape \(20, 20\), allowed are 3-D and 4-D",
    "five": r"shape \(8, 8, 6, 2, 2\), allowed are 3-D and 4-D",
    "thin": "found 2 slices, at least 3 are needed",
    "nospacing": "found voxel sizes",
}
LISTED = {"train": ["a"], "validation": ["b"], "test": ["c", "d", *REASONS, "absent"]}


def run_index(tmp_path, settings, converted=None, resources=""):
    """The cases and excluded ones of all splits that the settings have, as the rules make them split by split."""
    cases, excluded = [], []
    for split in declared_splits(settings):
        files = tmp_path / f"{split}.csv", tmp_path / f"{split}_excluded.csv"
        part = part_of(settings, split) | {"access": settings["access"]}
        index_split(part, split, str(resources), converted, *files, 2)
        cases.append(files[0])
        excluded += read_excluded(files[1])
    check_splits(cases, settings["name"], tmp_path / "checked.txt")
    return [case for file in cases for case in read_cases(file)], excluded


def test_bad_files_are_left_out_with_their_reason(tmp_path):
    broken_folder(tmp_path / "data")
    cases, excluded = run_index(tmp_path, dataset(tmp_path, splits=LISTED, on_bad_case="leave_out"))
    assert [(case.subject, case.split) for case in cases] == [
        ("a", "train"),
        ("b", "validation"),
        ("c", "test"),
        ("d", "test"),
    ]
    reasons = {one.subject: one.reason for one in excluded}
    assert set(reasons) == {*REASONS, "absent"}
    for subject, pattern in (REASONS | {"absent": "no file was found"}).items():
        assert re.search(pattern, reasons[subject]), (subject, reasons[subject])
    case = cases[0]
    assert (case.shape, case.spacing, case.slice_axis, case.frames) == ((20, 20, 6), (1.0, 1.0, 3.0), 2, 1)


def test_bad_files_stop_the_run_and_all_are_named(tmp_path):
    broken_folder(tmp_path / "data")
    with pytest.raises(InputError, match="of split test cannot be used") as raised:
        run_index(tmp_path, dataset(tmp_path, splits=LISTED))
    for subject in [*REASONS, "absent"]:
        assert f"{subject}: " in str(raised.value)
    assert not (tmp_path / "index.csv").exists()


def test_a_bad_case_moves_nobody_to_another_split(tmp_path):
    for seed, name in enumerate("abcdef"):
        write_nifti(tmp_path / "data" / f"{name}.nii.gz", ellipsoids((6, 20, 20), seed), (1, 1, 3))
    settings = dataset(tmp_path, splits={"train": 2, "validation": 1, "test": 2}, on_bad_case="leave_out")
    before = {case.subject: case.split for case in run_index(tmp_path, settings)[0]}
    (tmp_path / "data" / "a.nii.gz").write_text("broken")
    after = {case.subject: case.split for case in run_index(tmp_path, settings)[0]}
    assert before == {"a": "train"} | after


def test_a_copy_of_a_training_volume_is_no_test_volume(tmp_path):
    for seed, name in enumerate("abc"):
        write_nifti(tmp_path / "data" / f"{name}.nii", ellipsoids((6, 20, 20), seed), (1, 1, 3))
    shutil.copy(tmp_path / "data" / "c.nii", tmp_path / "data" / "d.nii")
    settings = dataset(tmp_path, splits={"train": ["a"], "validation": ["b"], "test": ["c", "d"]})
    assert len(run_index(tmp_path, settings)[0]) == 4, "twice in one split is no leak"
    settings = dataset(tmp_path, splits={"train": ["c"], "validation": ["b"], "test": ["d"]})
    with pytest.raises(
        InputError, match=r"c.nii \(train\) and .*d.nii \(test\) are the same file byte by byte"
    ):
        run_index(tmp_path, settings)


def test_a_pair_of_files_is_told_from_another_with_the_same_header(tmp_path):
    for number in (1, 2, 3):
        data = np.round(1000 * ellipsoids((6, 20, 20), min(number, 2))).astype(np.int16)
        nib.save(nib.AnalyzeImage(data, np.eye(4)), tmp_path / f"{number}.hdr")
    headers = {(tmp_path / f"{number}.hdr").read_bytes() for number in (1, 2, 3)}
    one, two, copy = (sha256_of_image(tmp_path / f"{number}.hdr") for number in (1, 2, 3))
    assert len(headers) == 1
    assert one != two == copy


def test_a_split_without_any_usable_case_stops_the_run(tmp_path):
    broken_folder(tmp_path / "data")
    settings = dataset(
        tmp_path, splits={"train": ["a"], "validation": ["zero"], "test": ["c"]}, on_bad_case="leave_out"
    )
    with pytest.raises(InputError, match="found no usable case of split validation"):
        run_index(tmp_path, settings)


def test_a_bad_dicom_case_is_excluded_and_the_others_are_converted(tmp_path):
    write_sunnybrook(tmp_path / "data", ["SC-HF-I-01", "SC-HF-I-02", "SC-N-02"], shape=(4, 20, 24))
    next((tmp_path / "data" / "SC-HF-I-02" / "CINESAX_300").iterdir()).unlink()
    settings = published(tmp_path, "sunnybrook", on_bad_case="leave_out")
    convert_split(part_of(settings, "test"), "test", "", tmp_path / "converted", 2)
    cases, excluded = run_index(tmp_path, settings, tmp_path / "converted")
    assert [case.subject for case in cases] == ["SC-HF-I-01", "SC-N-02"]
    assert [one.subject for one in excluded] == ["SC-HF-I-02"]
    assert "images of the slice" in excluded[0].reason
    assert cases[0].frames == 2


def test_nothing_there_says_what_to_get(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError) as raised:
        run_index(tmp_path, published(tmp_path, "dhcp"))
    message = str(raised.value)
    for part in (
        "https://www.developingconnectome.org",
        "registration",
        "sub-CC*_ses-*_T2w.nii.gz",
        str(tmp_path / "data"),
    ):
        assert part in message


def test_idx_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    for name in ("train-images-idx3-ubyte.gz", "plain"):
        write_idx(tmp_path / name, images)
        np.testing.assert_array_equal(read_idx(tmp_path / name), images)
    write_idx(tmp_path / "labels", np.arange(7))
    np.testing.assert_array_equal(read_idx(tmp_path / "labels"), np.arange(7))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x08\x01\0\0\0\x05abc", r"found 3 values, the header says 5"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"found 3 values, the header says 2"),
        (b"\0\0\x0d\x01\0\0\0\x02abc", r"begins with 000008"),
        (b"\0\0\x08\x03\0\0", r"found 6 bytes, the header alone has 16"),
        (b"\x1f\x8bnonsense", r"not a readable IDX file"),
        (b"", r"found the first bytes"),
    ],
)
def test_bad_idx_files(tmp_path, content, message):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path / "bad")
