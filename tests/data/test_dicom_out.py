"""A derived series: other programs read it back to the same volume, and its headers say what it is and came from."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from dicom_files import edit_each, enhanced, mosaic
from generators import SHORT_AXIS, cine, edit_dicom, write_dicom_series
from interslice.common.errors import InputError
from interslice.data import dicom_out
from interslice.data.dicom import Stack, read_own_series
from interslice.data.dicom_out import check_folder, series_header, write_series


def finer(stack: Stack, factor: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Linear interpolation of a stack, whole values, and its affine."""
    data = stack.data
    between = [data[:, :, :-1] * (1 - j / factor) + data[:, :, 1:] * (j / factor) for j in range(factor)]
    count = (data.shape[2] - 1) * factor + 1
    made = np.empty((*data.shape[:2], count, data.shape[3]), dtype=np.int16)
    for j, part in enumerate(between):
        made[:, :, j:-1:factor] = np.rint(part)
    made[:, :, -1] = data[:, :, -1]
    affine = stack.affine.copy()
    affine[:3, 2] /= factor
    return made, affine


def written(stack: Stack, folder, **options):
    values, affine = finer(stack)
    write_series(values, affine, stack.places, folder, "doubled for a test", **options)
    return values, affine, [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.fixture
def source(tmp_path):
    paths = write_dicom_series(
        tmp_path / "in", cine((4, 12, 16), 1, seed=1), trigger=False, spacing=(1.5, 1.25)
    )
    for path in paths:
        edit_dicom(path, SeriesNumber=3, WindowCenter=300, SliceThickness=5)
    return tmp_path / "in"


def test_our_reader_and_itk_read_the_same_volume(tmp_path, source):
    values, affine, images = written(read_own_series(source), tmp_path / "out")
    again = read_own_series(tmp_path / "out")
    np.testing.assert_array_equal(again.data, values)
    np.testing.assert_allclose(again.affine, affine, atol=1e-5)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, values[..., 0])
    for index in ((0, 0, 0), (15, 11, 6), (3, 7, 2)):
        world = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        np.testing.assert_allclose(nib.affines.apply_affine(affine, index), world, atol=1e-3)
    assert len(images) == 7


def test_headers_say_what_it_is(tmp_path, source):
    before = pydicom.dcmread(sorted(source.iterdir())[0])
    stack = read_own_series(source)
    _, _, images = written(stack, tmp_path / "out", thickness_mm=stack.thickness_mm)
    assert len({image.SOPInstanceUID for image in images}) == 7
    (series,) = {image.SeriesInstanceUID for image in images}
    assert series != before.SeriesInstanceUID
    for image in images:
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        for key in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "Modality", "WindowCenter"):
            assert image[key].value == before[key].value
        assert list(image.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert (image.SpacingBetweenSlices, image.SliceThickness) == (4, 5)
        assert image.DerivationDescription == "doubled for a test"
        assert image.DerivationCodeSequence[0].CodeMeaning == "Spatial resampling"
    assert [image.InstanceNumber for image in images] == list(range(1, 8))
    uids = [pydicom.dcmread(place[0].path).SOPInstanceUID for place in stack.places]
    assert [one.ReferencedSOPInstanceUID for one in images[2].SourceImageSequence] == [uids[1]]
    assert {one.ReferencedSOPInstanceUID for one in images[3].SourceImageSequence} == set(uids[1:3])


@pytest.mark.parametrize("scale", [(1, -1024), (0.25, 3), (2.5, 0)])
def test_rescaled_values_come_back(tmp_path, source, scale):
    """The source's slope and intercept hold what was there exactly, and what is new to half a step."""
    paths = sorted(source.iterdir())
    for path in paths:
        edit_dicom(path, RescaleSlope=str(scale[0]), RescaleIntercept=str(scale[1]), Modality="CT")
    stack = read_own_series(source)
    data = np.repeat(stack.data, 2, axis=2)[:, :, :-1].copy()
    data[:, :, 1::2] += 0.4 * scale[0]
    affine = stack.affine @ np.diag([1, 1, 0.5, 1])
    write_series(data, affine, stack.places, tmp_path / "out", "test")
    again = read_own_series(tmp_path / "out").data
    np.testing.assert_array_equal(again[:, :, ::2], stack.data)
    assert np.abs(again - data).max() <= 0.5 * scale[0]


def test_a_range_beyond_16_bits_is_spread_over_them(tmp_path, source):
    stack = read_own_series(source)
    data = stack.data * 1e4
    write_series(data, stack.affine, stack.places, tmp_path / "out", "test")
    assert np.abs(read_own_series(tmp_path / "out").data - data).max() <= np.ptp(data) / 2**16


def test_voxels_without_a_value_are_refused(tmp_path, source):
    values, places = np.full((4, 3, 5), np.nan, np.float32), read_own_series(source).places
    with pytest.raises(InputError, match="out: DICOM holds no NaN; --nan zero"):
        write_series(values, np.eye(4), places, tmp_path / "out", "tried")
    assert not (tmp_path / "out").exists()


def test_a_tilted_and_a_cine_series_stay_so(tmp_path):
    paths = write_dicom_series(tmp_path / "in", cine((4, 12, 16), 3, seed=1))

    def tilt(image, index):
        shifted = np.array(image.ImagePositionPatient) + 1.7 * (index // 3) * SHORT_AXIS[1]
        image.ImagePositionPatient = [round(float(value), 6) for value in shifted]

    edit_each(paths, tilt)
    values, affine, images = written(read_own_series(tmp_path / "in"), tmp_path / "out")
    again = read_own_series(tmp_path / "out")
    np.testing.assert_array_equal(again.data, values)
    np.testing.assert_allclose(again.affine, affine, atol=1e-5)
    assert [image.TriggerTime for image in images[::7]] == [0, 30, 60]


def test_enhanced_objects_and_mosaics_become_single_images(tmp_path):
    whole = np.round(1000 * cine((4, 12, 16), 2, seed=1)).astype(np.uint16)
    enhanced(tmp_path / "enhanced" / "XA", whole)
    mosaic(tmp_path / "mosaic" / "m", whole[..., 0])
    for kind in ("enhanced", "mosaic"):
        values, affine, images = written(read_own_series(tmp_path / kind), tmp_path / f"{kind}_out")
        again = read_own_series(tmp_path / f"{kind}_out")
        np.testing.assert_allclose(again.data, values, atol=1 if kind == "enhanced" else 0)  # its slope is 2
        np.testing.assert_array_equal(again.data[:, :, ::2], values[:, :, ::2])
        np.testing.assert_allclose(again.affine, affine, atol=1e-5)
        for image in images:
            assert image.SOPClassUID == pydicom.uid.MRImageStorage
            assert "PerFrameFunctionalGroupsSequence" not in image
            assert not any(element.tag.is_private for element in image)
    frames = [
        pydicom.dcmread(path).SourceImageSequence[0] for path in sorted((tmp_path / "enhanced_out").iterdir())
    ]
    assert frames[0].ReferencedFrameNumber == 1


def test_a_big_endian_series_becomes_a_little_endian_one(tmp_path, source):
    plain = read_own_series(source)
    for path in source.iterdir():
        image = pydicom.dcmread(path)
        image.PixelData = image.pixel_array.astype(">u2").tobytes()
        image.ReferencedImageSequence = [pydicom.Dataset()]
        image.ReferencedImageSequence[0].ReferencedFrameNumber = 3
        image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        pydicom.dcmwrite(path, image, implicit_vr=False, little_endian=False, force_encoding=True)
    stack = read_own_series(source)
    np.testing.assert_array_equal(stack.data, plain.data)
    values, _, images = written(stack, tmp_path / "out")
    np.testing.assert_array_equal(read_own_series(tmp_path / "out").data, values)
    assert images[0].WindowCenter == 300
    assert images[0].ReferencedImageSequence[0].ReferencedFrameNumber == 3


def test_a_folder_with_other_files_is_refused(tmp_path):
    check_folder(tmp_path / "new", force=False)
    (tmp_path / "out").mkdir()
    check_folder(tmp_path / "out", force=False)
    (tmp_path / "out" / "interslice-00001.dcm").touch()
    check_folder(tmp_path / "out", force=True)
    with pytest.raises(InputError, match="holds a series already; --force overwrites it"):
        check_folder(tmp_path / "out", force=False)
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds thesis.tex, allowed is a new or an empty folder"):
        check_folder(tmp_path / "out", force=True)


def test_a_series_without_identities_is_derived_all_the_same(tmp_path, source):
    """An anonymiser took SOP class and instance, so that there is nothing to refer to, and wrote over the series' number."""
    for path in source.iterdir():
        image = pydicom.dcmread(path)
        del image.SOPClassUID, image.SOPInstanceUID
        image.SeriesNumber = 77777
        image.save_as(path)
        path.write_bytes(path.read_bytes().replace(b"77777", b"XXXXX"))
    values, _, images = written(read_own_series(source), tmp_path / "out")
    np.testing.assert_array_equal(read_own_series(tmp_path / "out").data, values)
    assert images[0].SOPClassUID == pydicom.uid.MRImageStorage
    assert len(images[0].SourceImageSequence) == 0


def test_what_another_run_wrote_meanwhile_is_not_replaced(tmp_path, source, monkeypatch):
    stack, of_another = read_own_series(source), tmp_path / "out" / "interslice-00001.dcm"

    def header(*arguments):
        of_another.parent.mkdir(exist_ok=True)
        of_another.write_text("of another run")
        return series_header(*arguments)

    monkeypatch.setattr(dicom_out, "series_header", header)
    with pytest.raises(InputError, match="holds a series already; --force overwrites it"):
        written(stack, tmp_path / "out")
    assert of_another.read_text() == "of another run"
    written(stack, tmp_path / "out", overwrite=True)
