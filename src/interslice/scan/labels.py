"""Label maps and masks: recognised, and interpolated by the shape of every label, so that no value is invented.

Between two slices the signed distances to the edge of each label are interpolated linearly, and a voxel gets the label that it
is deepest in (Raya and Udupa, IEEE Transactions on Medical Imaging 9, 1990, for one label; the maximum decides among several).
"""

from pathlib import Path

import numpy as np
import scipy

from interslice.scan.scans import Scan

SUFFIXES = ("dseg", "mask")  # of BIDS names, for discrete segmentations and for masks
LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
MOST_LABELS = 500  # of a map that is recognised by its values; in one slice
FLAT = (
    0.6  # share of labelled voxels whose neighbour has the same label: about .05 in a scan, above .8 in a map
)


def why_labels(scan: Scan) -> str:
    """Why a scan is taken for a label map, in words: its header, its name or its values; nothing where it is not."""
    if not holds_whole_values(scan):
        return ""
    if int(scan.header["intent_code"]) == LABEL_INTENT:
        return "its header says so"
    stem = Path(scan.name).name.split(".")[0]
    if stem.rpartition("_")[2] in SUFFIXES:
        return f"its name ends in {stem.rpartition('_')[2]}"
    return "it has few values, in flat areas" if has_label_values(scan) else ""


def holds_whole_values(scan: Scan) -> bool:
    """Whether all intensities are whole numbers as they are stored."""
    if scan.stored.dtype.kind not in "iufb" or (scan.slope, scan.inter) != (1, 0):
        return False
    return scan.stored.dtype.kind != "f" or all(
        bool(((part == np.rint(part)) | np.isnan(part)).all())
        for part in np.moveaxis(scan.stored, scan.axis, 0)
    )


def has_label_values(scan: Scan) -> bool:
    """Whether every slice of the middle frame has few values, which lie in areas; two values in all are always a mask."""
    frame = scan.stored_frame(scan.frames // 2)
    found: set[float] = set()
    same = labelled = 0
    for part in frame:
        part = np.nan_to_num(part)
        values = np.unique(part)
        if len(values) > MOST_LABELS:
            return False
        found.update(values.tolist())
        inside = part[:, :-1] != 0
        labelled += int(inside.sum())
        same += int((inside & (part[:, 1:] == part[:, :-1])).sum())
        if len(found) > 2 and same < FLAT * labelled and labelled > part.size // 10:
            return False
    return len(found) == 2 or (2 < len(found) <= MOST_LABELS and 0 < FLAT * labelled <= same)


def interpolate_labels(frame: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Labels (n, rows, columns) at increasing `positions`, in units of slices; at whole ones they are those of `frame`.

    Every new voxel has a label of one of the two slices around it. A label that the other slice lacks ends half-way. NaN is a
    label like others.
    """
    if absent := bool(frame.dtype.kind == "f" and np.isnan(frame).any()):
        frame = np.where(np.isnan(frame), -np.inf, frame)  # which equals itself
    result = np.empty((len(positions), *frame.shape[1:]), dtype=frame.dtype)
    around = -1  # the slice before the gap whose distances are at hand
    for number, position in enumerate(positions):
        index = int(position)
        part = position - index
        if part == 0:
            result[number] = frame[index]
            continue
        if index != around:
            below, above = distances(frame[index]), distances(frame[index + 1])
            ends = [
                (label, ending(below, above, label), ending(above, below, label))
                for label in np.union1d(frame[index], frame[index + 1])
            ]
            around = index
        best = np.full(frame.shape[1:], -np.inf, dtype=np.float32)
        for label, start, stop in ends:
            depth = (1 - part) * start + part * stop
            deeper = depth > best
            result[number][deeper] = label
            best = np.where(deeper, depth, best)
    if absent:
        result[np.isneginf(result)] = np.nan
    return result


def distances(labels: np.ndarray) -> dict[float, np.ndarray]:
    """Label to `signed_distance`, of every label of a slice."""
    return {label: signed_distance(labels == label) for label in np.unique(labels)}


def ending(here: dict[float, np.ndarray], there: dict[float, np.ndarray], label: float) -> np.ndarray:
    """The distances of a label in one slice; one that is not there, and one that fills it, meet the other slice's half-way."""
    if label not in here:
        return np.full_like(there[label], -there[label].max())
    others = [depth.max() for other, depth in there.items() if other != label]
    if len(here) == 1 and others:
        return np.full_like(here[label], max(others))
    return here[label]


def signed_distance(inside: np.ndarray) -> np.ndarray:
    """Pixels to the edge of a mask (rows, columns), float32, positive inside."""
    if inside.all():
        return np.full(inside.shape, np.hypot(*inside.shape), dtype=np.float32)
    depth = scipy.ndimage.distance_transform_edt(inside) - scipy.ndimage.distance_transform_edt(~inside)
    return (depth - 0.5 * np.sign(depth)).astype(np.float32)
