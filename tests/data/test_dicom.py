import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import RLELossless

from generators import cine, edit_dicom, write_dicom_series
from interslice.common.errors import InputError
from interslice.data.dicom import read_own_series, read_stack
from interslice.data.dicom_headers import read_header
from interslice.data.dicom_series import list_series, only_series
from interslice.scan.scans import read_scan

SHAPE = (5, 12, 16)


def read_series(folder):
    """Every series of a folder."""
    return [read_stack(series) for series in list_series(folder)]


@pytest.fixture
def still(tmp_path):
    volume = cine(SHAPE, 1, seed=1)
    return volume, write_dicom_series(tmp_path / "series", volume)


def test_a_series_is_sorted_by_geometry_not_by_name(tmp_path):
    """File names and instance numbers are random; slices and phases come back in order."""
    volume = cine(SHAPE, 4, seed=2)
    write_dicom_series(tmp_path, volume, seed=3)
    (stack,) = read_series(tmp_path)
    np.testing.assert_allclose(stack.data, np.round(1000 * volume).transpose(2, 1, 0, 3))


def test_another_program_places_the_voxels_alike(tmp_path, still):
    """SimpleITK reads the same files, sorted by position here, as LPS."""
    _, paths = still
    (stack,) = read_series(tmp_path / "series")
    image = sitk.ReadImage([str(path) for path in paths])
    for index in ((0, 0, 0), (15, 11, 4), (3, 7, 2)):
        world = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        np.testing.assert_allclose(nib.affines.apply_affine(stack.affine, index), world, atol=1e-3)
        assert stack.data[(*index, 0)] == image[index]
    assert nib.affines.voxel_sizes(stack.affine) == pytest.approx([1.25, 1.25, 8.0])


def test_the_order_of_phases_falls_back_to_instance_numbers(tmp_path):
    volume = cine((3, 12, 16), 3, seed=4)
    paths = write_dicom_series(tmp_path, volume, trigger=False)
    for index, path in enumerate(paths):
        edit_dicom(path, InstanceNumber=100 - index)
    (stack,) = read_series(tmp_path)
    np.testing.assert_allclose(stack.data[..., ::-1], np.round(1000 * volume).transpose(2, 1, 0, 3))


def test_rescale_and_compression(tmp_path, still):
    _, paths = still
    plain = read_series(paths)[0].data
    for path in paths:
        edit_dicom(path, RescaleSlope=2, RescaleIntercept=-5)
    np.testing.assert_allclose(read_series(paths)[0].data, 2 * plain - 5)
    for path in paths:
        image = pydicom.dcmread(path)
        image.compress(RLELossless)
        image.save_as(path)
    np.testing.assert_allclose(read_series(paths)[0].data, 2 * plain - 5)


def test_each_series_is_a_stack_and_other_files_are_skipped(tmp_path):
    write_dicom_series(tmp_path / "a", cine((3, 12, 16), 1, seed=1), description="LOCALIZER")
    write_dicom_series(tmp_path / "b", cine(SHAPE, 1, seed=2), description="T2")
    (tmp_path / "notes.txt").write_text("no DICOM")
    stacks = read_series(tmp_path)
    assert [stack.data.shape[2] for stack in stacks] == [5, 3]
    assert "T2" in stacks[0].name
    with pytest.raises(
        InputError, match=r"found 2 mixed series \(1: T2, 5 images; 2: LOCALIZER, 3 images\), allowed is one"
    ):
        only_series(tmp_path)
    assert only_series(tmp_path / "a").slices[0].description == "LOCALIZER"
    for wanted in ("2", "LOCALIZER", stacks_uid(tmp_path / "a")):
        assert only_series(tmp_path, wanted).slices[0].description == "LOCALIZER"
    with pytest.raises(InputError, match="found 2 mixed series, 0 of them for 'T3'"):
        only_series(tmp_path, "T3")


def stacks_uid(folder):
    return str(pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID)


def test_one_slice_or_the_discs_directory_stands_for_the_series(tmp_path):
    paths = write_dicom_series(tmp_path / "disc", cine(SHAPE, 1, seed=1))
    whole = read_own_series(tmp_path / "disc").to_scanner()
    (tmp_path / "disc" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    for source in (paths[2], tmp_path / "disc" / "DICOMDIR"):
        np.testing.assert_array_equal(read_own_series(source).to_scanner().get_fdata(), whole.get_fdata())
        assert read_scan(source).stored.shape == whole.shape


def test_an_image_that_is_there_twice_is_taken_once(tmp_path):
    """Exported twice, under another name and UID; another image of the same place and phase is no copy."""
    paths = write_dicom_series(tmp_path / "a", cine(SHAPE, 1, seed=1))
    whole = read_series(tmp_path / "a")[0].data
    copy = pydicom.dcmread(paths[3])
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    copy.save_as(tmp_path / "a" / "copy.dcm")
    np.testing.assert_array_equal(read_series(tmp_path / "a")[0].data, whole)
    copy.PixelData = bytes(len(copy.PixelData))
    copy.save_as(tmp_path / "a" / "copy.dcm")
    with pytest.raises(InputError, match="an image is missing or is there twice"):
        read_series(tmp_path / "a")


@pytest.mark.parametrize("left", [140, 300, 700])
def test_a_file_that_is_cut_is_named(tmp_path, left):
    """The last slice would be missed by nobody; cut in its header, where it says of which series it is or before."""
    paths = write_dicom_series(tmp_path, cine(SHAPE, 1, seed=1))
    paths[-1].write_bytes(paths[-1].read_bytes()[:left])
    try:
        said = read_own_series(tmp_path).remarks
    except InputError as error:
        said = [str(error)]
    assert any(paths[-1].name in one for one in said)


def test_pixels_that_are_more_than_the_header_says_are_refused(tmp_path):
    """Of two bytes, where the header says one: the upper half of the image would be taken for it."""
    paths = write_dicom_series(tmp_path, cine(SHAPE, 1, seed=1))
    edit_dicom(paths[1], BitsAllocated=8, BitsStored=8, HighBit=7)
    with pytest.raises(InputError, match=r"the pixels cannot be read \(\d+ bytes, the header says \d+\)"):
        read_own_series(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("HighBit", 15, "the pixels cannot be read .HighBit 15 of 12 bits stored, allowed is 11"),
        ("PixelData", b"", "the pixels cannot be read"),
    ],
)
def test_pixels_that_pydicom_takes_for_others_or_cannot_take_are_refused(tmp_path, key, value, said):
    """It would take the lower 12 of the 16 bits where the upper ones hold the value."""
    paths = write_dicom_series(tmp_path, cine(SHAPE, 1, seed=1))
    edit_dicom(paths[1], **{"BitsStored": 12, "HighBit": 11, key: value})
    with pytest.raises(InputError, match=f"{paths[1].name}: {said}"):
        read_own_series(tmp_path)


def test_a_header_of_the_wrong_length_is_one_line(tmp_path):
    """pydicom's error is none of Python's kinds and quotes the bytes of the file."""
    paths = write_dicom_series(tmp_path, cine(SHAPE, 1, seed=1))
    whole = paths[-1].read_bytes()
    length = b"\2\0\0\0UL\4\0"  # of the first element: the length of its group
    assert whole.count(length) == 1
    paths[-1].write_bytes(whole.replace(length, b"\2\0\0\0UL\7\0"))
    with pytest.raises(InputError, match=f"{paths[-1].name}: the DICOM header cannot be read") as caught:
        read_header(paths[-1])
    assert len(str(caught.value).replace(str(tmp_path), "")) < 250


def test_a_series_that_does_not_fit_into_memory_is_named(tmp_path):
    for path in write_dicom_series(tmp_path, cine(SHAPE, 1, seed=1)):
        edit_dicom(path, Rows=60000, Columns=60000, InstanceNumber=1)
    with pytest.raises(InputError, match=f"{tmp_path}: .* GiB of memory are needed"):
        read_own_series(tmp_path)


def test_a_screenshot_beside_the_series_is_skipped(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine(SHAPE, 1, seed=1))
    shot = pydicom.dcmread(paths[0])
    shot.SOPClassUID = shot.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    shot.SeriesInstanceUID = "1.2.3"
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(shot, key)
    shot.save_as(tmp_path / "a" / "shot.dcm")
    assert len(list_series(tmp_path / "a")) == 1


@pytest.mark.parametrize("numbers", ["mixed", "equal"])
def test_two_echoes_are_two_volumes_by_their_echo_times(tmp_path, numbers):
    """Whatever the order of the instance numbers, which may also be those of the slices."""
    volume = cine(SHAPE, 2, seed=1)
    paths = write_dicom_series(tmp_path / "a", volume, trigger=False)
    for index, path in enumerate(paths):
        place, echo = divmod(index, 2)
        number = place + 1 if numbers == "equal" else 2 * place + (echo + place) % 2 + 1
        edit_dicom(path, EchoTime=20.0 + 70.0 * echo, InstanceNumber=number)
    (stack,) = read_series(tmp_path / "a")
    for echo in (0, 1):
        expected = np.round(1000 * volume[..., echo])
        np.testing.assert_array_equal(stack.data[..., echo], np.moveaxis(expected, (0, 1, 2), (2, 1, 0)))


def test_a_file_without_preamble_is_dicom(tmp_path):
    paths = write_dicom_series(tmp_path / "a", cine(SHAPE, 1, seed=1))
    whole = read_series(tmp_path / "a")[0].data
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.preamble = None
        path.unlink()
        bare = path.with_suffix("")
        pydicom.dcmwrite(bare, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert bare.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_series(tmp_path / "a")[0].data, whole)


def broken(paths, what):
    """Break a regular series of 5 slices in a named way."""
    if what == "missing":
        paths[2].unlink()
    elif what == "unequal":
        position = pydicom.dcmread(paths[4]).ImagePositionPatient
        normal = np.cross([0.8, 0.6, 0.0], [0.0, 0.0, -1.0])
        edit_dicom(
            paths[4], ImagePositionPatient=[float(p + 3 * n) for p, n in zip(position, normal, strict=True)]
        )
    elif what == "shifted":
        position = pydicom.dcmread(paths[2]).ImagePositionPatient
        edit_dicom(paths[2], ImagePositionPatient=[position[0], position[1], position[2] + 2])
    elif what == "orientation":
        edit_dicom(paths[1], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    elif what == "spacing":
        edit_dicom(paths[1], PixelSpacing=[1.25, 1.5])
    elif what == "no geometry":
        edit_dicom(paths[1], ImagePositionPatient=None)
    elif what == "twice":
        edit_dicom(paths[1], ImagePositionPatient=list(pydicom.dcmread(paths[0]).ImagePositionPatient))
    elif what == "cut":
        edit_dicom(paths[1], PixelData=b"\0" * 20)
    elif what == "colour":
        edit_dicom(paths[1], SamplesPerPixel=3)
    elif what == "palette":
        edit_dicom(paths[1], PhotometricInterpretation="PALETTE COLOR")
    elif what == "no spacing":
        edit_dicom(paths[1], PixelSpacing=[0, 0])
    elif what == "one":
        for path in paths[1:]:
            path.unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", r"found 1 missing slice\(s\): 16.00 mm between the slices at .*, elsewhere 8.00 mm"),
        ("unequal", r"found unequal slice gaps: 11.00 mm between the slices"),
        ("shifted", r"found slices shifted in plane by up to 2.00 mm, allowed is a stack along one line"),
        ("orientation", r"found 1 missing slice.*left out, --series takes them: 2: CINESAX, 1 images"),
        ("spacing", r"found 1 missing slice.*left out, --series takes them: 2: CINESAX, 1 images"),
        ("no geometry", r"IM-0001-\d+.dcm: ImagePositionPatient: found None, needed are 3 numbers"),
        (
            "twice",
            r"found (2|1) images of the slice at .* and (2|1) of others",
        ),
        ("cut", r"IM-0001-\d+.dcm: the pixels cannot be read"),
        ("colour", r"found a colour image"),
        ("palette", r"found a colour image"),
        ("no spacing", r"PixelSpacing: found \[0.0, 0.0\]"),
        ("one", r"found 1 slice, a stack needs at least 2"),
    ],
)
def test_a_series_that_is_no_regular_stack_is_one_sentence(tmp_path, still, what, message):
    broken(still[1], what)
    with pytest.raises(InputError, match=message) as raised:
        read_own_series(tmp_path / "series")
    assert "\n" not in str(raised.value)
    assert "series" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "allowed"), [("RescaleSlope", "a number other than 0"), ("RescaleIntercept", "a number")]
)
def test_a_rescale_that_is_no_number_is_refused(still, key, allowed):
    """Taken for 1 or 0 it would give other intensities than the scanner's, without a word."""
    path = still[1][1]
    edit_dicom(path, **{key: "123456"})
    whole = path.read_bytes()
    for found in ("none", "nan", "inf", "1,25", "1\\2", *(["0"] if key == "RescaleSlope" else [])):
        path.write_bytes(whole.replace(b"123456", found.encode().ljust(6)))
        with pytest.raises(InputError, match=rf"{path.name}: {key}: found .*, allowed is {allowed}$"):
            read_series(still[1])


def test_an_empty_rescale_is_none(still):
    plain = read_series(still[1])[0].data
    for path in still[1]:
        edit_dicom(path, RescaleSlope="", RescaleIntercept="")
    np.testing.assert_array_equal(read_series(still[1])[0].data, plain)


def test_a_missing_phase_is_named(tmp_path):
    paths = write_dicom_series(tmp_path, cine((3, 12, 16), 4, seed=4))
    paths[5].unlink()
    with pytest.raises(InputError, match=r"found 3 images of the slice at .* and 4 of others"):
        read_series(tmp_path)


def test_phases_that_nothing_orders_are_refused(tmp_path):
    paths = write_dicom_series(tmp_path, cine((3, 12, 16), 2, seed=4), trigger=False)
    for path in paths:
        edit_dicom(path, InstanceNumber=1)
    with pytest.raises(
        InputError,
        match=r"none of EchoTime, .*, InstanceNumber orders them",
    ):
        read_series(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(InputError, match="found no DICOM image among 1 files"):
        list_series(tmp_path)


def test_a_nifti_of_a_stack_keeps_the_geometry(tmp_path, still):
    stack = read_stack(only_series(tmp_path / "series"))
    nib.save(stack.to_nifti(), tmp_path / "stack.nii.gz")
    image = nib.load(tmp_path / "stack.nii.gz")
    assert image.shape == (16, 12, 5)
    assert image.header.get_dim_info()[2] == 2
    np.testing.assert_allclose(image.affine, stack.affine, atol=1e-4)
