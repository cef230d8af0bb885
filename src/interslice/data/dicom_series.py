"""Which series there are among DICOM files, kept apart by what their headers say, and which one is wanted."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from interslice.common.errors import InputError
from interslice.common.files import walk
from interslice.data.dicom_headers import Slice, Unusable, read_header

SAME_DIRECTION = 1e-3  # of direction cosines
LOCALIZER = "LOCALIZER"
# ImageType's third value, of a volume that is no picture of the tissue: phase, real and imaginary part.
PARTS = {
    "P": "phase",
    "PHASE": "phase",
    "R": "real",
    "REAL": "real",
    "I": "imaginary",
    "IMAGINARY": "imaginary",
}
MAGNITUDE = {"M": "magnitude", "MAGNITUDE": "magnitude"}


@dataclass(frozen=True)
class Series:
    """Images that make one volume, or several of the same grid.

    name: for messages; remarks: what a person should know; problem: an image of the series that is no slice of a volume.
    """

    name: str
    slices: tuple[Slice, ...]
    remarks: tuple[str, ...] = ()
    problem: Unusable | None = None

    @property
    def description(self) -> str:
        return self.slices[0].description

    @property
    def uid(self) -> str:
        return self.slices[0].group[2]

    @property
    def part(self) -> str:
        """magnitude, phase, real, imaginary or localizer; nothing where the header says none of them."""
        return part_of(self.slices[0])

    @property
    def places(self) -> int:
        return len({round(image.depth, 1) for image in self.slices})


def part_of(image: Slice) -> str:
    """magnitude, phase, real, imaginary or localizer; nothing where the header says none of them."""
    kind = [value.upper().split("_")[0].split(" ")[0] for value in image.kind]
    if LOCALIZER in kind:
        return LOCALIZER.lower()
    return next((name for value in kind for key, name in (PARTS | MAGNITUDE).items() if value == key), "")


def list_series(source: str | Path | Iterable[str | Path]) -> list[Series]:
    """The series of a folder, searched to any depth, or of files, from their headers alone; largest first.

    A series is split where its images differ in orientation, size, pixel spacing or frame of reference, or in what part of
    complex values they show, and where images of one place differ in ImageType. Files that are not DICOM are skipped; images
    that are no slices are named in `remarks`. Raises InputError where there is no DICOM image that is a slice of a volume.
    """
    if isinstance(source, str | Path):
        place = str(source)
        folder = Path(source)
        if not (folder.is_dir() or folder.is_file()):
            raise InputError(f"{place}: found neither a file nor a folder")
        paths = (
            [path for path in walk(folder) if path.is_file() or path.is_dir()]
            if folder.is_dir()
            else [folder]
        )
    else:
        paths = [Path(path) for path in source]
        place = f"{len(paths)} files" if len(paths) != 1 else str(paths[0])
    groups: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    unusable: dict[tuple[str, ...], list[Unusable]] = defaultdict(list)
    for path in paths:
        try:
            for image in read_header(path):
                groups[image.group].append(image)
        except Unusable as error:
            unusable[error.group].append(error)
    if unusable and not groups:
        raise next(iter(unusable.values()))[0]
    if not groups:
        raise InputError(
            f"{place}: found no DICOM image among {len(paths)} files, at least 2 slices are needed"
        )
    remarks = tuple(
        f"left out: {errors[0].description}, {len(errors)} image(s): {errors[0].reason} ({errors[0].path.name})"
        for group, errors in unusable.items()
        if group not in groups
    )
    problems = {group: errors[0] for group, errors in unusable.items()}
    series = [
        Series(f"{part[0].path.parent} ({part[0].description})", tuple(part), remarks, problems.get(group))
        for group, images in groups.items()
        for part in parts_of(images)
    ]
    return sorted(series, key=lambda one: (-len(one.slices), one.name, one.part))


def parts_of(images: Sequence[Slice]) -> list[list[Slice]]:
    """The images of a series in groups of one grid and one kind."""
    found = []
    for grid in grouped(images, same_grid):
        scouts = [image for image in grid if LOCALIZER in image.kind]
        rest = [image for image in grid if LOCALIZER not in image.kind]
        kinds = grouped(rest, lambda one, other: one.kind == other.kind)
        places = [{round(image.depth, 1) for image in kind} for kind in kinds]
        apart = any(one & other for index, one in enumerate(places) for other in places[:index])
        apart = apart or len({part_of(kind[0]).replace("magnitude", "") for kind in kinds}) > 1
        found += [part for part in (scouts, *(kinds if apart else [rest])) if part]
    return found


def same_grid(one: Slice, other: Slice) -> bool:
    return (
        one.size == other.size
        and one.frame_of_reference == other.frame_of_reference
        and np.allclose(one.orientation, other.orientation, atol=SAME_DIRECTION)
        and np.allclose(one.spacing, other.spacing, rtol=1e-3)
    )


def grouped(images: Iterable[Slice], same: Callable[[Slice, Slice], bool]) -> list[list[Slice]]:
    """Images in groups of those that are the same as the first of the group."""
    groups: list[list[Slice]] = []
    for image in images:
        for group in groups:
            if same(group[0], image):
                group.append(image)
                break
        else:
            groups.append([image])
    return groups


def only_series(source: str | Path | Iterable[str | Path], wanted: str | None = None) -> Series:
    """The one series of a folder or of files, or the wanted one; see `choose`."""
    return choose(list_series(source), wanted)


def series_of_slice(path: Path, wanted: str | None = None) -> Series:
    """The series that an image file belongs to, of those in its folder; see `choose` for a file that holds several."""
    if not read_header(path):
        raise InputError(f"{path}: holds no DICOM image; give the folder of the series")
    beside = list_series(file for file in sorted(path.parent.iterdir()) if file.is_file())
    own = [one for one in beside if any(image.path == path for image in one.slices)]
    return own[0] if len(own) == 1 and wanted is None else choose(own, wanted)


def choose(series: Sequence[Series], wanted: str | None = None) -> Series:
    """The one series, or the wanted one: its number or label in `described`, description or UID.

    Where none is wanted, localizers, single slices beside a stack, and phase, real and imaginary images beside their
    magnitude are left out, and named in `remarks`. InputError names what there is where several remain.
    """
    lines = described(series)
    if wanted is None:
        chosen = [one for one in series if is_main(one, series)]
        if len(chosen) == 1 and len(series) > 1:
            taken = lines.pop(next(index for index, one in enumerate(series) if one is chosen[0]))
            remark = f"taken is {taken}; left out, --series takes them: {'; '.join(lines)}"
            return replace(chosen[0], remarks=(*chosen[0].remarks, remark))
    else:
        chosen = [
            one
            for number, (one, label) in enumerate(zip(series, labels(series), strict=True), 1)
            if wanted in (str(number), one.description, one.uid, label)
        ]
    if len(chosen) == 1:
        return chosen[0]
    mixed = "mixed " if len(series) > 1 else ""
    asked = f", {len(chosen)} of them for {wanted!r}" if wanted else ""
    raise InputError(
        f"{series[0].name}: found {len(series)} {mixed}series{asked} ({'; '.join(lines)}), allowed is one; "
        "--series takes a number, a description or a UID, an output folder gets all of a folder"
    )


def is_main(one: Series, series: Sequence[Series]) -> bool:
    """Whether a series is what a person means who names none of them."""
    beside = [other for other in series if other is not one]
    if one.part == LOCALIZER.lower():
        return False
    if one.places < 2:
        return not any(other.places > 1 for other in beside)
    return one.part not in PARTS.values() or not any(
        other.uid == one.uid and other.part not in PARTS.values() for other in beside
    )


def described(series: Sequence[Series]) -> list[str]:
    """A line for each series: its number for --series, its label, and number of images."""
    lines = zip(labels(series), series, strict=True)
    return [f"{number}: {label}, {len(one.slices)} images" for number, (label, one) in enumerate(lines, 1)]


def labels(series: Sequence[Series]) -> list[str]:
    """The description of each series, with its part where it has one, and its ImageType where that alone sets it apart."""
    names = [f"{one.description} {one.part}".strip() for one in series]
    return [
        name if names.count(name) == 1 else f"{name} {'/'.join(one.slices[0].kind)}".strip()
        for name, one in zip(names, series, strict=True)
    ]
