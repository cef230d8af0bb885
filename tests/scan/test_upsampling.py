import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import interslice
from finished_models import random_model
from generators import write_dicom_series
from interslice.common.errors import InputError
from interslice.methods.base import Method
from interslice.scan.formats import write_scan
from interslice.scan.grid import Grid, grid_for
from interslice.scan.models import conventional, load_model
from interslice.scan.scans import read_scan
from interslice.scan.upsampling import interpolate_frame, upsample_scan
from phantoms import ellipsoids
from scan_files import FILES, LEFT_HANDED, OBLIQUE, PLAIN, nifti, saved

FACTOR = 3
NIFTI = [name for name in FILES if not name.startswith(("dicom", "analyze", "mgh"))]


def upsampled(source, target, method="bspline", factor=FACTOR, axis=None, **options):
    scan = read_scan(source, axis)
    write_scan(upsample_scan(scan, grid_for(scan, factor), conventional(method).method, **options), target)
    return scan


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("method", ["bspline", "nearest"])
def test_original_slices_stay_in_place_bit_by_bit(tmp_path, name, method):
    source = FILES[name](tmp_path)
    scan = upsampled(source, tmp_path / "fine.nii.gz", method)
    fine = nib.load(tmp_path / "fine.nii.gz")
    kept = np.moveaxis(fine.dataobj.get_unscaled(), scan.axis, 0)[::FACTOR]
    stored = np.moveaxis(scan.stored, scan.axis, 0)
    assert kept.shape == stored.shape
    native = kept.dtype.newbyteorder("=")
    assert native == stored.dtype.newbyteorder("=")
    assert kept.astype(native).tobytes() == stored.astype(native).tobytes()
    assert (fine.dataobj.slope, fine.dataobj.inter) == (scan.slope, scan.inter)
    corners = np.array([[i, j, k] for i in (0, 5) for j in (0, 6) for k in (0, 3)], dtype=float)
    scale = np.ones(3)
    scale[scan.axis] = FACTOR
    np.testing.assert_allclose(
        nib.affines.apply_affine(fine.affine, corners * scale),
        nib.affines.apply_affine(scan.affine, corners),
        atol=1e-4,
    )
    assert nib.aff2axcodes(fine.affine) == nib.aff2axcodes(scan.affine)
    assert fine.shape[scan.axis] == (scan.stored.shape[scan.axis] - 1) * FACTOR + 1
    assert len(fine.shape) == scan.stored.ndim


@pytest.mark.parametrize("name", NIFTI)
def test_what_interpolation_does_not_change_is_as_it_was(tmp_path, name):
    """Field by field, as the file has it: nibabel's own view of a header hides the scaling."""
    source = FILES[name](tmp_path)
    axis = upsampled(source, tmp_path / "fine.nii").axis
    before, after = nib.load(source), nib.load(tmp_path / "fine.nii")
    assert isinstance(after, nib.Nifti2Image) == isinstance(before, nib.Nifti2Image)
    assert after.header.endianness == before.header.endianness
    assert after.get_data_dtype() == before.get_data_dtype()
    changes = {"dim", "pixdim", "srow_x", "srow_y", "srow_z", "magic", "vox_offset"}
    changes |= {"slice_code", "slice_end", "slice_duration"}
    for field in set(before.header.keys()) - changes:
        np.testing.assert_array_equal(after.header[field], before.header[field], err_msg=field)
    assert after.header.get_xyzt_units() == before.header.get_xyzt_units()
    for transform in ("get_qform", "get_sform"):
        expected, code = getattr(before, transform)(coded=True)
        found, found_code = getattr(after, transform)(coded=True)
        assert found_code == code
        if code:
            expected = expected.copy()
            expected[:, axis] /= FACTOR
            np.testing.assert_allclose(found, expected, atol=1e-5)
    expected_zooms = [z / FACTOR if i == axis else z for i, z in enumerate(before.header.get_zooms())]
    assert after.header.get_zooms() == pytest.approx(expected_zooms)


@pytest.mark.parametrize(
    "name",
    ["oblique", "left_handed", "flipped", "flipped_slices", "big_endian", "nifti_pair", "dicom", "sagittal"],
)
def test_a_different_program_sees_the_original_voxels_in_place(tmp_path, name):
    """SimpleITK, which reads the files itself: the same value at the same place in the world."""
    source = FILES[name](tmp_path)
    axis = upsampled(source, tmp_path / "fine.nii.gz").axis
    if source.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))
        before = reader.Execute()
    else:
        before = sitk.ReadImage(str(source.with_suffix(".hdr") if source.suffix == ".img" else source))
    after = sitk.ReadImage(str(tmp_path / "fine.nii.gz"))
    for voxel in [(3, 8, 2), (10, 9, 5), (6, 4, 3)]:
        place = before.TransformIndexToPhysicalPoint(voxel)
        found = after.TransformPhysicalPointToContinuousIndex(place)
        np.testing.assert_allclose(np.mod(np.array(found) + 0.5, 1) - 0.5, 0, atol=1e-3)
        index = tuple(round(value) for value in found)
        assert index[axis] % FACTOR == 0
        assert after[index] == before[voxel]


@pytest.mark.parametrize(("order", "method"), [(3, "bspline"), (1, "linear")])
@pytest.mark.parametrize("name", ["int32", "scaled", "scaled_negative", "float64", "series_4d", "uint8"])
def test_new_slices_are_the_interpolation_of_the_real_intensities(tmp_path, name, method, order):
    """Against scipy on float64 intensities, clipped to the range of the frame, to half a stored unit."""
    source = FILES[name](tmp_path)
    upsampled(source, tmp_path / "fine.nii", method)
    before, after = nib.load(source), nib.load(tmp_path / "fine.nii")
    frames = before.get_fdata().reshape(*before.shape[:3], -1)
    result = after.get_fdata().reshape(*after.shape[:3], -1)
    whole = before.get_data_dtype().kind in "iu"
    unit = abs(before.dataobj.slope) * 0.5 if whole else 0
    for frame in range(frames.shape[3]):
        data = frames[..., frame]
        at = np.meshgrid(*map(np.arange, data.shape[:2]), np.arange(after.shape[2]) / FACTOR, indexing="ij")
        expected = np.clip(
            ndimage.map_coordinates(data, at, order=order, mode="mirror"), data.min(), data.max()
        )
        np.testing.assert_allclose(result[..., frame], expected, atol=unit + 2e-6 * np.ptp(data))


def test_overshoot_does_not_leave_the_range_of_the_scan(tmp_path):
    """A step between slices: cubic and Lanczos kernels overshoot; unsigned values must not wrap around."""
    data = np.zeros((8, 8, 8), np.uint16)
    data[..., 4:] = 60000
    data[0, 0] = 100
    nib.save(nib.Nifti1Image(data, PLAIN), tmp_path / "scan.nii")
    for method in ("bspline", "lanczos"):
        upsampled(tmp_path / "scan.nii", tmp_path / f"{method}.nii", method, 4)
        profile = np.asarray(nib.load(tmp_path / f"{method}.nii").dataobj)[3, 3].astype(int)
        assert profile.min() == 0
        assert profile.max() == 60000
        assert (np.diff(profile[12:17]) > 0).all()
        assert (profile[:9] < 6000).all()


def test_the_slice_axis_is_that_of_the_largest_spacing_or_the_given_one(tmp_path):
    source = saved(nifti(LEFT_HANDED), tmp_path / "scan.nii")
    assert [read_scan(source, name).axis for name in (None, "i", "j", "k")] == [2, 0, 1, 2]
    sagittal = FILES["sagittal"](tmp_path)
    assert [read_scan(sagittal, name).axis for name in ("sagittal", "coronal", "axial", None)] == [2, 0, 1, 2]
    assert read_scan(FILES["first_axis"](tmp_path)).axis == 0
    isotropic = nifti(np.eye(4)[[1, 2, 0, 3]], shape=(9, 9, 9))
    assert read_scan(saved(isotropic, tmp_path / "cube.nii")).axis == 0  # axial, where nothing else decides
    isotropic.header.set_dim_info(slice=1)
    assert read_scan(saved(isotropic, tmp_path / "cube.nii")).axis == 1
    with pytest.raises(InputError, match=r"axis: found 'z', allowed are i, j, k"):
        read_scan(source, "z")


def test_acquisition_times_of_slices_are_not_claimed_for_new_ones(tmp_path):
    upsampled(FILES["extended"](tmp_path), tmp_path / "fine.nii")
    header = nib.load(tmp_path / "fine.nii").header
    assert (header["slice_code"], header["slice_end"], header["slice_duration"]) == (0, 0, 0)
    assert header.get_dim_info() == (0, 1, 2)
    assert [extension.get_content() for extension in header.extensions] == [b"kept"]


def test_without_keeping_a_trained_method_redraws_the_original_slices(tmp_path):
    source = saved(nifti(kind=np.float32), tmp_path / "scan.nii")
    model = load_model(random_model(tmp_path / "model.pt"))
    scan = read_scan(source)
    kept = upsample_scan(scan, grid_for(scan, 2), model.method)
    redrawn = upsample_scan(scan, grid_for(scan, 2), model.method, keep_original=False)
    np.testing.assert_array_equal(kept.stored[..., ::2], scan.stored)
    assert not np.array_equal(redrawn.stored[..., ::2], scan.stored)
    assert not np.array_equal(redrawn.stored[..., 1::2], kept.stored[..., 1::2])


class Blurred(Method):
    """A trained method that averages and loses contrast, as an autoencoder does at its bottleneck."""

    trained = True

    def _interpolate(self, volume, factor):
        assert volume.min() >= 0
        assert volume.max() <= 1
        return 0.25 + 0.5 * conventional("linear").method.interpolate(volume, factor)


def bright_frame():
    frame = 300 * ellipsoids((6, 30, 30)).astype(np.float64) - 40
    frame[2:4, 15, 15] = 5000
    return frame


def test_a_trained_method_is_corrected_by_its_error_at_the_original_slices():
    """An error that is linear in the intensity is then gone; 5000 is out of the network's range."""
    frame = bright_frame()
    result = interpolate_frame(Blurred({}), frame, Grid(6, 2), keep_original=True)
    np.testing.assert_allclose(result[::2], frame, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(result[1::2], (frame[:-1] + frame[1:]) / 2, rtol=1e-5, atol=1e-3)


def test_without_keeping_only_what_the_percentiles_cut_off_is_added():
    frame = bright_frame()
    low, high = np.percentile(frame, (1, 99.8))
    result = interpolate_frame(Blurred({}), frame, Grid(6, 2), keep_original=False)
    seen = np.clip((frame - low) / (high - low), 0, 1)
    expected = low + (high - low) * (0.25 + 0.5 * seen) + (frame - (low + (high - low) * seen))
    np.testing.assert_allclose(result[::2], np.clip(expected, frame.min(), frame.max()), atol=0.01)
    assert result[5, 15, 15] > 4500


def test_python_api_takes_and_returns_images(tmp_path):
    image = nifti(OBLIQUE)
    fine = interslice.upsample(image, factor=4, method="lanczos")
    assert fine.shape == (20, 18, 25)
    assert fine.get_data_dtype() == image.get_data_dtype()
    np.testing.assert_array_equal(fine.get_fdata()[..., ::4], image.get_fdata())
    scaled = nib.load(FILES["scaled"](tmp_path))
    fine = interslice.upsample(scaled, factor=2)
    np.testing.assert_array_equal(fine.get_fdata()[..., ::2], scaled.get_fdata())
    np.testing.assert_array_equal(fine.dataobj.get_unscaled()[..., ::2], scaled.dataobj.get_unscaled())
    model = random_model(tmp_path / "model.pt")
    fine = interslice.upsample(image, factor=2, model=model, keep_original=False, axis="k")
    assert fine.shape == (20, 18, 13)
    assert np.ptp(fine.get_fdata()[..., 1]) > 0


def test_in_memory_types_that_nifti_lacks():
    for kind, written in ((np.float16, np.float32), (bool, np.uint8)):
        data = nib.Nifti1Image(np.zeros((6, 6, 4), np.float32), PLAIN)
        data._dataobj = (ellipsoids((6, 6, 4)) > 0.2).astype(kind)
        assert interslice.upsample(data, factor=2, method="nearest").get_data_dtype() == written


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_the_largest_whole_numbers_do_not_wrap(kind):
    """They are no multiples of what float64 holds near them."""
    limits = np.iinfo(kind)
    stored = np.full((6, 6, 4), limits.max, kind)
    stored[:3, :3, 1] = limits.max // 2
    image = nib.Nifti1Image(stored, PLAIN, dtype=kind)
    fine = np.asarray(interslice.upsample(image, 4, "bspline", label=False).dataobj)
    assert fine.min() >= limits.max // 2
    np.testing.assert_array_equal(fine[..., ::4], stored)


def test_python_api_refuses_with_the_same_sentences():
    with pytest.raises(InputError, match="found ndarray, allowed is a nibabel or SimpleITK image"):
        interslice.upsample(np.zeros((3, 3, 3)), factor=2)
    with pytest.raises(InputError, match="found 2-D data"):
        interslice.upsample(nib.Nifti1Image(np.zeros((3, 3), np.float32), np.eye(4)), factor=2)
    with pytest.raises(InputError, match=r"factor: found 2\.5"):
        interslice.upsample(nifti(), factor=2.5)
    with pytest.raises(InputError, match="is a trained method"):
        interslice.upsample(nifti(), factor=2, method="cae")


def test_python_api_refuses_what_only_memory_can_hold(tmp_path):
    image = nib.load(saved(nifti(), tmp_path / "gone.nii.gz"))
    (tmp_path / "gone.nii.gz").unlink()
    with pytest.raises(InputError, match="gone.nii.gz: the voxels cannot be read"):
        interslice.upsample(image, factor=2)
    wide = nib.spatialimages.SpatialImage(np.zeros((6, 6, 4), np.longdouble), PLAIN)
    with pytest.raises(InputError, match="image: found voxels of type .*, allowed are those of NIfTI"):
        interslice.upsample(wide, factor=2)


def test_the_documented_example_runs():
    import doctest

    results = doctest.testmod(interslice)
    assert results.attempted >= 5
    assert results.failed == 0


def test_dicom_values_and_scanner_coordinates(tmp_path):
    """Whole numbers stay whole numbers; fractions (a rescale slope) stay what they are."""
    from generators import edit_dicom

    paths = write_dicom_series(tmp_path / "series", ellipsoids((4, 20, 18))[..., None], trigger=False)
    scan = read_scan(tmp_path / "series")
    assert scan.stored.dtype == np.int16
    assert scan.slice_spacing_mm == pytest.approx(8)
    assert scan.header["qform_code"] == scan.header["sform_code"] == 1
    for image in (interslice.read_dicom(tmp_path / "series"), interslice.read(tmp_path / "series")):
        np.testing.assert_array_equal(image.dataobj, scan.stored)
        np.testing.assert_allclose(image.affine, scan.affine)
    assert interslice.upsample(tmp_path / "series", 2, "linear").shape == (18, 20, 7)
    for path in paths:
        edit_dicom(path, RescaleSlope="0.5", RescaleIntercept="-3")
    halved = read_scan(tmp_path / "series")
    assert halved.stored.dtype == np.float32
    np.testing.assert_allclose(halved.stored, scan.stored * 0.5 - 3)
