"""The frames of an enhanced multi-frame DICOM object as headers of single images (DICOM PS3.3, C.7.6.16)."""

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

# Of an enhanced object's frames: the names that single images have for the same thing.
CLASSIC_NAMES = {
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameType": "ImageType",
}


def frame_headers(header: Dataset) -> Iterator[Dataset]:
    """A header for each frame of an enhanced object, with the names of single images."""
    common = Dataset()
    common.update({element.tag: element for element in header if element.VR != "SQ"})
    flatten(header.get("SharedFunctionalGroupsSequence") or [], common)
    for index, frame in enumerate(header.PerFrameFunctionalGroupsSequence):
        flat = Dataset()
        flat.update(common)
        flat.InstanceNumber = index + 1
        flatten([frame], flat)
        yield flat


def flatten(groups: Any, into: Dataset) -> None:
    """Set what the macros of functional groups say."""
    for macro in (element for item in groups for element in item if element.VR == "SQ" and element.value):
        for element in macro.value[0]:
            name = CLASSIC_NAMES.get(element.keyword)
            if name:
                setattr(into, name, element.value)
            else:
                into[element.tag] = element
            if element.keyword == "ComplexImageComponent":
                into.ImageType = [*image_type(into)[:2], str(element.value)]


def image_type(header: Dataset) -> tuple[str, ...]:
    value = header.get("ImageType") or ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))
