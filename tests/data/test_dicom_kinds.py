"""Multi-frame objects, mosaics, tilted gantries, phase images, b-values: what one series may be besides slices in files."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from dicom_files import edit_each, enhanced, mosaic
from generators import SHORT_AXIS, cine, edit_dicom, write_dicom_series
from interslice.common.errors import InputError
from interslice.data.dicom import read_own_series, read_stack
from interslice.data.dicom_series import described, list_series, only_series
from interslice.scan.acquired import with_thickness
from interslice.scan.scans import read_scan

NORMAL = np.cross(*SHORT_AXIS)


def numbers(slices: int = 5, echoes: int = 1, seed: int = 0) -> np.ndarray:
    return np.round(1000 * cine((slices, 12, 16), echoes, seed=seed)).astype(np.uint16)


@pytest.mark.parametrize("shared", [True, False])
def test_an_enhanced_object_is_sorted_by_its_frames(tmp_path, shared):
    """Frames in any order, two echoes, spacing once or with each: values rescaled, places those of single images."""
    volume = numbers(5, 2)
    order = np.random.default_rng(1).permutation(10)
    path = enhanced(tmp_path / "XA", volume, order=order, shared=shared)
    stack = read_own_series(path)
    np.testing.assert_array_equal(stack.data, 2.0 * volume.transpose(2, 1, 0, 3) - 7)
    np.testing.assert_allclose(nib.affines.voxel_sizes(stack.affine), [1.25, 1.5, 6])
    last = nib.affines.apply_affine(stack.affine, [0, 0, 4]) * [-1, -1, 1]
    np.testing.assert_allclose(last, np.array([10.0, -20.0, 30.0]) + 24 * NORMAL, atol=1e-4)
    assert stack.thickness_mm == 5
    assert any("EchoTime (20, 80)" in remark for remark in stack.remarks)


def test_itk_places_an_enhanced_object_alike(tmp_path):
    path = enhanced(tmp_path / "XA.dcm", numbers())
    image, stack = sitk.ReadImage(str(path)), read_own_series(path)
    for index in ((0, 0, 0), (15, 11, 4), (3, 7, 2)):
        world = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        np.testing.assert_allclose(nib.affines.apply_affine(stack.affine, index), world, atol=1e-3)
        assert stack.data[(*index, 0)] == image[index]


def test_a_multi_frame_file_without_places_is_refused_with_a_way_out(tmp_path):
    path = enhanced(tmp_path / "XA", numbers())
    edit_dicom(path, PerFrameFunctionalGroupsSequence=None)
    with pytest.raises(InputError, match="does not say where its frames lie; convert it to NIfTI"):
        read_own_series(path)


def test_frames_without_a_place_are_not_left_out_silently(tmp_path):
    path = enhanced(tmp_path / "a.dcm", np.zeros((5, 8, 8, 1)))
    edit_dicom(path, NumberOfFrames=6)
    with pytest.raises(InputError, match="a.dcm: found 6 frames and places of 5"):
        read_own_series(tmp_path)


@pytest.mark.parametrize("slices", [5, 9])
def test_a_mosaic_is_its_slices(tmp_path, slices):
    """Two time points: each file is a volume; the corner is that of the first tile, not of the mosaic."""
    volume = numbers(slices, 2)
    for time in range(2):
        path = mosaic(tmp_path / f"{time}.dcm", volume[..., time])
        edit_dicom(path, SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2", AcquisitionNumber=2 - time)
        edit_dicom(path, FrameOfReferenceUID="1.2.9")
    stack = read_own_series(tmp_path)
    np.testing.assert_array_equal(stack.data, volume[..., ::-1].transpose(2, 1, 0, 3))
    np.testing.assert_allclose(nib.affines.voxel_sizes(stack.affine), [1.25, 1.5, 4])
    corner = np.array([10.0, -20.0, 30.0]) * [-1, -1, 1]
    np.testing.assert_allclose(stack.affine[:3, 3], corner, atol=1e-3)


def test_a_mosaic_without_its_private_header_is_named(tmp_path):
    path = mosaic(tmp_path / "m.dcm", numbers()[..., 0], private=False)
    with pytest.raises(InputError, match="Siemens mosaic without the private header.*dcm2niix"):
        read_own_series(path)


def test_a_tilted_gantry_is_a_sheared_affine(tmp_path):
    """Slices one above another along z, planes tilted: values stay, and no qform pretends to hold the shear."""
    volume = cine((5, 12, 16), 1, seed=1)
    paths = write_dicom_series(tmp_path / "ct", volume, trigger=False)

    def tilt(image, index):
        shifted = np.array(image.ImagePositionPatient) + 1.7 * index * SHORT_AXIS[1]
        image.ImagePositionPatient = [round(float(value), 6) for value in shifted]

    edit_each(paths, tilt)
    stack = read_own_series(tmp_path / "ct")
    for index, path in enumerate(paths):
        corner = np.array(pydicom.dcmread(path).ImagePositionPatient, dtype=float) * [-1, -1, 1]
        np.testing.assert_allclose(nib.affines.apply_affine(stack.affine, [0, 0, index]), corner, atol=1e-4)
    assert any("gantry tilt: every slice is shifted in plane by 1.70 mm" in text for text in stack.remarks)
    image = stack.to_scanner()
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 1)
    np.testing.assert_allclose(image.affine, stack.affine, atol=1e-5)
    scan = with_thickness(read_scan(tmp_path / "ct"), 8)
    assert scan.slice_spacing_mm == pytest.approx(np.hypot(8, 1.7))
    assert scan.normal_spacing_mm == pytest.approx(8)
    assert scan.remarks[0] == "slices 8 mm thick, without gaps"


def test_monochrome1_is_turned_as_itk_does(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 1, seed=1))
    for path in paths:
        edit_dicom(path, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    data = read_own_series(tmp_path / "a").data[..., 0]
    for index, path in enumerate(paths):
        np.testing.assert_array_equal(
            data[..., index].T, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
        )
    assert data.max() == 4095
    assert (data > 2048).mean() > 0.5  # the background is the brightest


def test_phase_beside_magnitude_is_a_series_of_its_own(tmp_path):
    """One SeriesInstanceUID: the magnitude is taken and the phase named; either can be asked for."""
    paths = write_dicom_series(tmp_path / "a", cine((5, 12, 16), 2, seed=1), trigger=False)
    edit_each(
        paths, lambda image, index: setattr(image, "ImageType", ["ORIGINAL", "PRIMARY", "MP"[index % 2]])
    )
    whole = np.round(1000 * cine((5, 12, 16), 2, seed=1)).transpose(2, 1, 0, 3)
    assert described(list_series(tmp_path)) == [
        "1: CINESAX magnitude, 5 images", "2: CINESAX phase, 5 images",
    ]  # fmt: skip
    chosen = only_series(tmp_path)
    (remark,) = chosen.remarks
    assert remark.startswith(
        "taken is 1: CINESAX magnitude, 5 images; left out, --series takes them: 2: CINESAX phase"
    )
    np.testing.assert_array_equal(read_stack(chosen).data[..., 0], whole[..., 0])
    phase = read_stack(only_series(tmp_path, "CINESAX phase"))
    np.testing.assert_array_equal(phase.data[..., 0], whole[..., 1])


def test_magnitude_and_phase_of_other_places_are_no_volume_together(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((6, 12, 16), 1, seed=1), trigger=False)
    edit_each(
        paths, lambda image, index: setattr(image, "ImageType", ["ORIGINAL", "PRIMARY", "MP"[index % 2]])
    )
    assert described(list_series(tmp_path)) == [
        "1: CINESAX magnitude, 3 images",
        "2: CINESAX phase, 3 images",
    ]


def test_kinds_that_only_their_image_type_sets_apart_can_be_chosen(tmp_path):
    """Water and fat of one Dixon series; neither is the main one."""
    paths = write_dicom_series(tmp_path / "a", cine((5, 12, 16), 2, seed=1), trigger=False)
    edit_each(
        paths, lambda image, index: setattr(image, "ImageType", ["ORIGINAL", "PRIMARY", "WF"[index % 2]])
    )
    with pytest.raises(InputError, match=r"1: CINESAX [FW], 5 images; 2: CINESAX [FW], 5 images"):
        only_series(tmp_path)
    fat = read_stack(only_series(tmp_path, "CINESAX F")).data[..., 0]
    np.testing.assert_array_equal(
        fat, np.round(1000 * cine((5, 12, 16), 2, seed=1))[..., 1].transpose(2, 1, 0)
    )


def test_a_private_element_says_what_is_phase(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 2, seed=1), trigger=False)

    def mark(image, index):
        image.Manufacturer = "GE MEDICAL SYSTEMS"
        image.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", index % 2)

    edit_each(paths, mark)
    assert [one.part for one in list_series(tmp_path)] == ["magnitude", "phase"]


def test_a_localizer_within_the_series_is_left_out(tmp_path):
    """By its ImageType, although it lies as the slices do; and a slice across them by its orientation."""
    paths = write_dicom_series(tmp_path / "a", cine((5, 12, 16), 1, seed=1))
    whole = read_own_series(tmp_path / "a").data
    for name, changes in {
        "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "across": {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
    }.items():
        extra = pydicom.dcmread(paths[0])
        extra.SOPInstanceUID = extra.file_meta.MediaStorageSOPInstanceUID = f"1.2.{len(name)}"
        for key, value in changes.items():
            setattr(extra, key, value)
        extra.save_as(tmp_path / "a" / f"{name}.dcm")
    stack = read_own_series(tmp_path / "a")
    np.testing.assert_array_equal(stack.data, whole)
    assert "localizer, 1 images" in " ".join(stack.remarks)


@pytest.mark.parametrize("tag", ["standard", "siemens"])
def test_b_values_stay_apart_and_in_the_order_taken(tmp_path, tag):
    """Three directions of b 1000 between two of b 0: as the scanner took them, for every slice the same."""
    values, volume = [0, 1000, 1000, 0, 1000], cine((3, 12, 16), 5, seed=2)
    paths = write_dicom_series(tmp_path / "a", volume, trigger=False)

    def set_b(image, index):
        image.InstanceNumber = 1 + index // 5 + 3 * (index % 5)
        if tag == "standard":
            image.DiffusionBValue = float(values[index % 5])
        else:
            image.Manufacturer = "SIEMENS"
            image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(
                0x0C, "IS", values[index % 5]
            )

    edit_each(paths, set_b)
    stack = read_own_series(tmp_path / "a")
    np.testing.assert_array_equal(stack.data, np.round(1000 * volume).transpose(2, 1, 0, 3))
    assert [image.contrast[1] for image in stack.places[0]] == values
    edit_dicom(paths[1], InstanceNumber=100)  # the order of one slice is another
    assert [image.contrast[1] for image in read_own_series(tmp_path / "a").places[0]] == sorted(values)


def test_echoes_without_times_are_told_by_their_numbers(tmp_path):
    volume = cine((4, 12, 16), 2, seed=2)
    paths = write_dicom_series(tmp_path / "a", volume, trigger=False)
    edit_each(paths, lambda image, index: setattr(image, "EchoNumbers", index % 2 + 1))
    stack = read_own_series(tmp_path / "a")
    np.testing.assert_array_equal(stack.data, np.round(1000 * volume).transpose(2, 1, 0, 3))
    assert any("EchoNumbers (1, 2)" in remark for remark in stack.remarks)


def test_a_segmentation_beside_the_series_is_left_out(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 1, seed=1))
    whole = read_own_series(tmp_path / "a").data
    labels = enhanced(tmp_path / "a" / "SEG", numbers())
    edit_dicom(labels, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", SeriesDescription="liver")
    stack = read_own_series(tmp_path / "a")
    np.testing.assert_array_equal(stack.data, whole)
    assert any("liver, 1 image(s): found a segmentation" in remark for remark in stack.remarks)
    assert len(paths) == 4


def test_an_echo_in_some_slices_only_is_refused(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 1, seed=1))
    edit_each(paths, lambda image, index: setattr(image, "EchoTime", 20.0 if index < 3 else 90.0))
    with pytest.raises(InputError, match=r"found EchoTime \[20.0\] of one slice and \[90.0\] of another"):
        read_own_series(tmp_path / "a")


def test_every_image_twice_under_new_numbers_is_one_volume(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 1, seed=1), trigger=False)
    whole = read_own_series(tmp_path / "a").data
    for path in paths:
        copy = pydicom.dcmread(path)
        copy.InstanceNumber += 100
        copy.save_as(path.with_suffix(".again"))
    stack = read_own_series(tmp_path / "a")
    np.testing.assert_array_equal(stack.data, whole)
    assert any("1 of 2 volumes, whose images are all the same" in remark for remark in stack.remarks)


def test_trigger_times_become_the_time_of_a_frame(tmp_path):
    write_dicom_series(tmp_path / "a", cine((3, 12, 16), 4, seed=1))
    header = read_own_series(tmp_path / "a").to_scanner().header
    assert header.get_zooms()[3] == pytest.approx(0.030)
    paths = write_dicom_series(tmp_path / "b", cine((3, 12, 16), 4, seed=1), trigger=False)
    edit_each(paths, lambda image, index: setattr(image, "RepetitionTime", 2500.0))
    edit_each(paths, lambda image, index: setattr(image, "AcquisitionNumber", index % 4 + 1))
    assert read_own_series(tmp_path / "b").volume_seconds == 2.5


def test_one_series_in_several_folders_is_one_volume_and_another_patient_is_not(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((6, 12, 16), 1, seed=1))
    whole = read_own_series(tmp_path / "a").data
    (tmp_path / "a" / "more").mkdir()
    for path in paths[::2]:
        path.rename(tmp_path / "a" / "more" / path.name)
    np.testing.assert_array_equal(read_own_series(tmp_path / "a").data, whole)
    for path in (tmp_path / "a" / "more").iterdir():
        edit_dicom(path, PatientID="another")
    assert [len(one.slices) for one in list_series(tmp_path / "a")] == [3, 3]


def test_what_headers_say_of_thickness_and_gap(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine((4, 12, 16), 1, seed=1))
    edit_each(paths, lambda image, index: setattr(image, "SliceThickness", 5))
    edit_each(paths, lambda image, index: setattr(image, "SpacingBetweenSlices", 2))
    stack = read_own_series(tmp_path / "a")
    assert (stack.thickness_mm, nib.affines.voxel_sizes(stack.affine)[2]) == (5, pytest.approx(8))
    assert any("SpacingBetweenSlices says 2 mm, the positions 8 mm" in text for text in stack.remarks)


@pytest.mark.parametrize("compressed", [False, True])
def test_frames_of_an_enhanced_object_have_a_scale_each(tmp_path, compressed):
    """ITK, which decodes compressed pixels, would rescale all frames as the first."""
    volume = numbers(5)
    path = enhanced(tmp_path / "XA", volume)
    image = pydicom.dcmread(path)
    del image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for index, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        scale = Dataset()
        scale.RescaleSlope, scale.RescaleIntercept = 1 + 0.5 * index, -3.0 * index
        frame.PixelValueTransformationSequence = [scale]
    if compressed:
        image.compress(RLELossless)
    image.save_as(path)
    index = np.arange(5)
    expected = volume[..., 0].transpose(2, 1, 0) * (1 + 0.5 * index) - 3 * index
    np.testing.assert_array_equal(read_own_series(path).data[..., 0], expected)
