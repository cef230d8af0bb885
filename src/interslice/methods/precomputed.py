"""Results that were made elsewhere from a study's exported inputs (`interslice export-inputs`), one file per test subject."""

from collections.abc import Collection
from pathlib import Path

import nibabel as nib
import numpy as np

from interslice.common.errors import InputError
from interslice.data.alignment import check_aligned
from interslice.data.images import open_image, readable
from interslice.methods.base import Method, Scan


class Precomputed(Method):
    """Settings: `results`, the path of a subject's file with {dataset}, {K} and {subject} in it; and `dataset`, whose it is.

    A file has the frames of the input and its axes, in any order that its header says; intensities in [0, 1] as the input's.
    """

    needs_scan = True

    def prepare(self, subjects: Collection[str], factor: int) -> None:
        """InputError that names every subject without a file."""
        missing = [subject for subject in sorted(subjects) if not self.file_of(subject, factor).is_file()]
        if missing:
            raise InputError(
                f"method {self.settings['label']}: found no file of {len(missing)} of {len(subjects)} subjects "
                f"({', '.join(missing)}), needed is {self.file_of(missing[0], factor)} and so on"
            )

    def file_of(self, subject: str, factor: int) -> Path:
        return Path(
            self.settings["results"].format(dataset=self.settings["dataset"], K=factor, subject=subject)
        )

    def _interpolate(self, volume: np.ndarray, factor: int) -> np.ndarray:
        assert self.scan is not None, "the caller says whose volume it is"
        path = self.file_of(self.scan.subject, factor)
        fine = read_frame(path, self.scan)
        check_aligned(fine, volume, factor, str(path))
        return fine


def read_frame(path: Path, scan: Scan) -> np.ndarray:
    """A frame of a result as (slices, rows, columns) float32, its axes in the order and direction of the scan's."""
    image = open_image(path)
    with readable(path, "the voxels cannot be read"):
        data = np.asarray(image.dataobj, dtype=np.float32)
    frames = data.shape[3] if data.ndim == 4 else 1
    if frames != scan.frames:
        raise InputError(f"{path}: found {frames} frames, the input has {scan.frames}")
    data = data.reshape(*data.shape[:3], frames)[..., scan.frame]
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.io_orientation(scan.affine))
    return np.ascontiguousarray(np.moveaxis(nib.apply_orientation(data, turn), 2, 0))


CLASSES = {"precomputed": Precomputed}
