"""The images of a series by slice, and within a slice by volume: echo, b-value and their like, and time."""

from collections.abc import Sequence

from interslice.common.errors import InputError
from interslice.data.dicom_headers import CONTRAST, TIME_ORDER, Slice
from interslice.data.dicom_series import Series

SAME_PLACE_MM = 0.02  # positions are decimal text: the same slice may differ in the last digits
ECHOES = ("EchoTime", "EchoNumbers")
SAME_FOR_ALL = (*ECHOES, "DiffusionBValue")  # an inversion time, say, may be another for every slice


def sort_slices(series: Series) -> tuple[list[list[Slice]], tuple[str, ...]]:
    """Images by slice, along the normal, and within a slice by volume; and the keys that order the volumes."""
    places: list[list[Slice]] = []
    for image in sorted(series.slices, key=lambda image: image.depth):
        if places and image.depth - places[-1][0].depth < SAME_PLACE_MM:
            places[-1].append(image)
        else:
            places.append([image])
    if len(places) < 2:
        raise InputError(f"{series.name}: found {len(places)} slice, a stack needs at least 2")
    counts = {len(place) for place in places}
    if len(counts) > 1:
        usual = max(counts)
        odd = next(place for place in places if len(place) != usual)
        raise InputError(
            f"{series.name}: found {len(odd)} images of the slice at {odd[0].depth:.2f} mm "
            f"and {usual} of others, allowed is the same number of every slice; an image is missing or is there twice"
        )
    return order_volumes(series, places)


def order_volumes(series: Series, places: list[list[Slice]]) -> tuple[list[list[Slice]], tuple[str, ...]]:
    """The images of every place by echo time, then as they were taken, or where that mixes contrasts by contrast first."""
    varying = [key for key in range(len(CONTRAST)) if contrast_levels(places, key) > 1]
    for key in varying:
        if CONTRAST[key] in SAME_FOR_ALL and not same_everywhere(places, [key]):
            found = [sorted({image.contrast[key] or 0.0 for image in place}) for place in places]
            other = next(values for values in found if values != found[0])
            raise InputError(
                f"{series.name}: found {CONTRAST[key]} {found[0]} of one slice and {other} of another, allowed is one set"
            )
    varying = [key for key in varying if same_everywhere(places, [key])]
    for first in ([key for key in varying if CONTRAST[key] in ECHOES], varying):
        for second in (None, *range(len(TIME_ORDER))):
            ordered = [sorted(place, key=lambda image: order_key(image, first, second)) for place in places]
            if all(is_ordered(place, first, second) for place in ordered) and same_everywhere(
                ordered, varying, sort=False
            ):
                used = [f"{CONTRAST[key]} {values_of(ordered[0], key)}" for key in first]
                return ordered, (*used, *([TIME_ORDER[second]] if second is not None else []))
    raise InputError(
        f"{series.name}: found {len(places[0])} images of every slice, "
        f"and none of {', '.join((*CONTRAST, *TIME_ORDER))} orders them"
    )


def order_key(image: Slice, first: Sequence[int], second: int | None) -> tuple[float, ...]:
    """Contrasts, rounded so that the last digits do not count, then a time; what is absent comes first."""
    keys = [-1.0 if image.contrast[key] is None else float(f"{image.contrast[key]:.3g}") for key in first]
    return (*keys, (image.time[second] or 0.0) if second is not None else 0.0)


def is_ordered(place: Sequence[Slice], first: Sequence[int], second: int | None) -> bool:
    """Whether the keys set all images of a place apart, and are there."""
    if len(place) > 1 and second is not None and any(image.time[second] is None for image in place):
        return False
    return len({order_key(image, first, second) for image in place}) == len(place)


def contrast_levels(places: Sequence[Sequence[Slice]], key: int) -> int:
    return len({order_key(image, [key], None) for place in places for image in place})


def same_everywhere(places: Sequence[Sequence[Slice]], keys: Sequence[int], sort: bool = True) -> bool:
    """Whether all places have images of the same contrasts, in any order or in the one that they have."""
    found = [[order_key(image, keys, None) for image in place] for place in places]
    return all((sorted(one) if sort else one) == (sorted(found[0]) if sort else found[0]) for one in found)


def values_of(place: Sequence[Slice], key: int) -> str:
    return f"({', '.join(f'{image.contrast[key]:g}' for image in place if image.contrast[key] is not None)})"
