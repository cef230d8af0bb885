import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from interslice.common.errors import InputError
from interslice.data.archives import unpack

LIMIT = 10_000


def member(name, content=b"scan", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, link
    return info, content


def make_tar(path, *members):
    with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "")) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def make_zip(path, *members):
    """Members are (name, content) or (name, content, mode)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            zipped.writestr(info, content)
    return path


@pytest.mark.parametrize("name", ["disc.tar.gz", "disc.tar", "disc.zip"])
def test_what_matches_is_unpacked_and_nothing_else(tmp_path, name):
    files = {"disc/a/T88/one.hdr": b"1", "disc/a/T88/one.img": b"22", "disc/a/RAW/one.img": b"333"}
    make = make_zip if name.endswith("zip") else make_tar
    make(tmp_path / name, *(item if make is make_zip else member(*item) for item in files.items()))
    unpack(tmp_path / name, tmp_path / "out", limit=LIMIT, members=["*/T88/*.hdr", "*/T88/*.img"])
    found = {
        str(p.relative_to(tmp_path / "out")): p.read_bytes()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    }
    assert found == {"disc/a/T88/one.hdr": b"1", "disc/a/T88/one.img": b"22"}


def test_no_member_is_written_through_nested_links(tmp_path):
    """CVE-2025-4517: sixteen nested links of 247 characters make a path that os.path.realpath gives up on, so that tarfile's
    "data" filter takes a link out of the folder for one inside it; the last member was then written above the target.
    """
    long, letters = "d" * 247, "abcdefghijklmnop"
    deep = ["/".join([long] * depth) for depth in range(len(letters) + 1)]
    links = [
        member(f"{place}/{letter}".lstrip("/"), kind=tarfile.SYMTYPE, link=long)
        for place, letter in zip(deep, letters, strict=False)
    ]
    up = "/".join(letters) + "/" + "l" * 254
    make_tar(
        tmp_path / "nested.tar",
        *links,
        member(f"{deep[-1]}/x"),
        member(up, kind=tarfile.SYMTYPE, link="../" * len(letters)),
        member("escape", kind=tarfile.SYMTYPE, link=f"{up}/.."),
        member("escape/evil"),
    )
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(InputError, match="nested.tar: member 'a' is a link, refused"):
        unpack(tmp_path / "nested.tar", place / "out", limit=LIMIT)
    assert [path for path in tmp_path.rglob("*") if path.name in ("evil", "out")] == []
    # The links do not match here, so they are passed over: the member lands in the folder that its path names.
    unpack(tmp_path / "nested.tar", place / "out", limit=LIMIT, members=["escape/evil"])
    assert (place / "out" / "escape" / "evil").read_bytes() == b"scan"
    assert not (place / "out" / "escape").is_symlink()
    assert [path.name for path in place.iterdir()] == ["out"]


def test_a_link_that_no_pattern_asks_for_is_passed_over(tmp_path):
    make_tar(tmp_path / "a.tar", member("scan.img"), member("latest", kind=tarfile.SYMTYPE, link="scan.img"))
    unpack(tmp_path / "a.tar", tmp_path / "out", limit=LIMIT, members=["*.img"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scan.img"]


@pytest.mark.parametrize("name", ["disc.tar", "disc.zip"])
def test_a_folder_that_is_listed_twice_passes(tmp_path, name):
    if name == "disc.tar":
        folder = member("disc/", b"", kind=tarfile.DIRTYPE)
        make_tar(tmp_path / name, folder, member("disc/a"), folder, member("disc/b"))
    else:
        folder = ("disc/", b"", stat.S_IFDIR | 0o755)
        make_zip(tmp_path / name, folder, ("disc/a", b"scan"), folder, ("disc/b", b"scan"))
    unpack(tmp_path / name, tmp_path / "out", limit=LIMIT)
    assert sorted(path.name for path in (tmp_path / "out" / "disc").iterdir()) == ["a", "b"]


@pytest.mark.parametrize("name", ["disc.tar.gz", "disc.zip"])
@pytest.mark.parametrize("content", [bytes(5_000), bytes(range(250)) * 20], ids=["label maps", "scans"])
def test_the_limit_is_one_of_bytes_written_and_of_nothing_else(tmp_path, name, content):
    """However well it packs, and whatever else the archive holds: ordinary images up to the limit are no bomb."""
    files = {f"disc/{i}.img": content for i in range(2)} | {"disc/raw.dat": bytes(3 * LIMIT)}
    make = make_zip if name.endswith("zip") else make_tar
    make(tmp_path / name, *(item if make is make_zip else member(*item) for item in files.items()))
    unpack(tmp_path / name, tmp_path / "out", limit=LIMIT, members=["*.img"])
    assert sum(path.stat().st_size for path in (tmp_path / "out" / "disc").iterdir()) == LIMIT
    with pytest.raises(InputError, match=f"unpacks to more than {LIMIT - 1} bytes, refused"):
        unpack(tmp_path / name, tmp_path / "less", limit=LIMIT - 1, members=["*.img"])
    assert not (tmp_path / "less").exists()


BAD_TARS = {
    "traversal": ([member("ok"), member("../evil")], "leaves the folder"),
    "hidden traversal": ([member("a/../../evil")], "leaves the folder"),
    "absolute": ([member("/tmp/evil")], "leaves the folder"),
    "link out": ([member("soft", kind=tarfile.SYMTYPE, link="../../etc/passwd")], "is a link"),
    "absolute link": ([member("soft", kind=tarfile.SYMTYPE, link="/etc/passwd")], "is a link"),
    "hard link out": ([member("hard", kind=tarfile.LNKTYPE, link="../evil")], "is a link"),
    "through a link": (
        [member("d", kind=tarfile.SYMTYPE, link=".."), member("d/evil")],
        "is a link",
    ),
    "device": ([member("null", kind=tarfile.CHRTYPE)], "a device or a pipe"),
    "pipe": ([member("pipe", kind=tarfile.FIFOTYPE)], "a device or a pipe"),
    "twice": ([member("a"), member("b"), member("./a", b"other")], "is there twice"),
    "bomb": ([member("a", bytes(LIMIT)), member("b", b"1")], "unpacks to more than 10000 bytes"),
    "link inside": ([member("real"), member("soft", kind=tarfile.SYMTYPE, link="real")], "is a link"),
    "hard link inside": ([member("real"), member("hard", kind=tarfile.LNKTYPE, link="real")], "is a link"),
    "file and folder": ([member("a"), member("a/b")], "a file where the archive has a folder"),
    "folder and file": ([member("a/b"), member("a")], "a file where the archive has a folder"),
    "long name": ([member("a" * 300)], "longer than a path may be"),
    "link to nothing": ([member("hard", kind=tarfile.LNKTYPE, link="absent")], "is a link"),
}
BAD_ZIPS = {
    "traversal": ([("ok", b"1"), ("../evil", b"1")], "leaves the folder"),
    "backslash": ([("..\\evil", b"1")], "leaves the folder"),
    "absolute": ([("/tmp/evil", b"1")], "leaves the folder"),
    "drive": ([("C:/evil", b"1")], "leaves the folder"),
    "link": ([("soft", b"/etc/passwd", stat.S_IFLNK | 0o777)], "is a link"),
    "pipe": ([("pipe", b"", stat.S_IFIFO | 0o644)], "a device or a pipe"),
    "file and folder": ([("a", b"1"), ("a/b", b"2")], "a file where the archive has a folder"),
    "twice": ([("a", b"1"), ("./a", b"2")], "is there twice"),
    "bomb": ([("zeros", bytes(1_000_000))], "unpacks to more than 10000 bytes"),
}
CASES = [("bad.tar.gz", *case) for case in BAD_TARS.values()] + [
    ("bad.zip", *case) for case in BAD_ZIPS.values()
]


@pytest.mark.parametrize(("name", "members", "message"), CASES)
def test_dangerous_archives_are_refused_and_leave_nothing(tmp_path, name, members, message):
    place = tmp_path / "place"
    place.mkdir()
    archive = (make_zip if name.endswith("zip") else make_tar)(tmp_path / name, *members)
    with pytest.raises(InputError, match=message) as raised:
        unpack(archive, place / "out", limit=LIMIT)
    assert name in str(raised.value)
    assert list(place.iterdir()) == [], "nothing is left, neither the target nor a temporary folder"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "place"])


@pytest.mark.parametrize("name", ["cut.tar.gz", "cut.zip", "text.tar.gz", "text.zip"])
def test_corrupt_archives_are_refused(tmp_path, name):
    content = bytes(range(256)) * 30
    (make_zip if name.endswith("zip") else make_tar)(
        tmp_path / name, ("a", content) if name.endswith("zip") else member("a", content)
    )
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(
        whole[: len(whole) // 2] if name.startswith("cut") else b"<html>please log in</html>"
    )
    with pytest.raises(InputError, match=f"{name}: corrupt archive"):
        unpack(tmp_path / name, tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()


NOISE = np.random.default_rng(0).bytes(40_000)  # of which a compressed archive is as long


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_is_whole_or_refused(tmp_path, ending):
    """Cut anywhere, also between two members where it looks whole, or with one bit of another value, wherever that is."""
    make_tar(tmp_path / f"whole.{ending}", *(member(name, NOISE) for name in "ab"))
    whole = (tmp_path / f"whole.{ending}").read_bytes()
    second = 512 + 40_448  # the header of the second member
    lengths = (
        [second, second + 100, second + 512, second + 5000]
        if ending == "tar"
        else [len(whole) - n for n in (1, 8, 500)]
    )
    bits = [100, second + 100] if ending == "tar" else [len(whole) // 3, len(whole) // 2, len(whole) - 6]
    damaged = {f"cut{length}": whole[:length] for length in lengths}
    damaged |= {f"bit{at}": whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in bits}
    for name, content in damaged.items():
        (tmp_path / f"{name}.{ending}").write_bytes(content)
        with pytest.raises(
            InputError, match=f"{name}.{ending}: corrupt archive.*; delete .*{name}.{ending}, and it is"
        ):
            unpack(tmp_path / f"{name}.{ending}", tmp_path / "out", limit=10 * LIMIT)
        assert not (tmp_path / "out").exists(), name
    unpack(tmp_path / f"whole.{ending}", tmp_path / "out", limit=10 * LIMIT)
    assert [path.read_bytes() for path in sorted((tmp_path / "out").iterdir())] == [NOISE, NOISE]


def test_no_match_is_an_error(tmp_path):
    make_tar(tmp_path / "a.tar", member("a.txt"))
    with pytest.raises(InputError, match=r"found no member that matches \*.nii"):
        unpack(tmp_path / "a.tar", tmp_path / "out", limit=LIMIT, members=["*.nii"])


def test_a_single_file_is_taken_as_it_is_and_an_archive_is_known_by_its_content(tmp_path):
    """A table or a packed file of open data is no archive; a zip may come under any name."""
    for name in ("patients.csv", "train-images-idx3-ubyte.gz"):
        (tmp_path / name).write_bytes(b"a,b\n1,2\n")
        unpack(tmp_path / name, tmp_path / "out" / name, limit=LIMIT, members=["*.hdr"])
        assert (tmp_path / "out" / name / name).read_bytes() == b"a,b\n1,2\n"
        with pytest.raises(InputError, match="unpacks to more than 3 bytes"):
            unpack(tmp_path / name, tmp_path / "small" / name, limit=3)
    make_zip(tmp_path / "images.tar", ("a.hdr", b"1"))
    assert (unpack(tmp_path / "images.tar", tmp_path / "zip", limit=LIMIT) / "a.hdr").read_bytes() == b"1"
