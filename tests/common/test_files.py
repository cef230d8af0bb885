"""Files are whole or not there: on a full disk, and after a killed writer."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from interslice.common.checkpoints import write_checkpoint
from interslice.common.errors import InputError
from interslice.common.files import link_folder, replacing


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB with a good file on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system of its own needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def checkpoint(path):
    write_checkpoint({"weights": torch.zeros(10**6)}, path)


def table(path):
    with replacing(path) as temporary:
        pd.DataFrame({"value": np.random.default_rng(0).random(10**6)}).to_parquet(temporary)


def volume(path):
    with replacing(path) as temporary:
        nib.save(nib.Nifti1Image(np.zeros((100, 100, 100), np.float32), np.eye(4)), temporary)


def folder(path):
    with replacing(path) as temporary:
        temporary.mkdir()
        for number in range(100):
            (temporary / str(number)).write_bytes(b"x" * 10_000)


@pytest.mark.parametrize(
    ("write", "name"),
    [(checkpoint, "model.pt"), (table, "scores.parquet"), (volume, "a.nii"), (folder, "shard")],
)
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(small_disk, write, name):
    with replacing(small_disk / "other") as temporary:
        temporary.write_text("whole")
    if write is not folder:
        (small_disk / name).write_text("the file of before")
    with pytest.raises(InputError, match=rf"{name}: not written, its file system is full"):
        write(small_disk / name)
    left = {path.name: path.read_text() for path in small_disk.iterdir()}
    assert left == {"other": "whole"} | ({} if write is folder else {name: "the file of before"})


def test_other_failures_are_not_called_a_full_disk(tmp_path):
    with pytest.raises(PermissionError), replacing(tmp_path / "a"):
        raise PermissionError("no")
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "a") as temporary:
        temporary.read_text()
    assert caught.value.filename == str(tmp_path / "a"), "not the temporary name"
    assert not list(tmp_path.iterdir())


WRITER = """
import sys, time
from interslice.common.files import replacing
with replacing(sys.argv[1]) as temporary:
    {make}
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("make", ["temporary.write_text('half')", "(temporary / 'a').mkdir(parents=True)"])
def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path, make):
    target = tmp_path / "a.nii"
    neighbour = tmp_path / f".partial-00000000-{os.getpid()}-a.nii"  # of another machine
    neighbour.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER.format(make=make), str(target)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"writing\n"
    with replacing(target) as temporary:  # the other writer lives: its file stays
        temporary.write_text("first")
    assert len(partial(tmp_path)) == 2
    process.kill()
    process.wait()
    with replacing(target) as temporary:
        temporary.write_text("second")
    assert partial(tmp_path) == [neighbour]
    assert target.read_text() == "second"


@pytest.mark.parametrize("letter", ["x", "\N{HIRAGANA LETTER A}"])
def test_the_longest_name_that_a_file_system_takes_is_written(tmp_path, letter):
    target = tmp_path / (letter * ((255 - 7) // len(letter.encode())) + ".nii.gz")
    with replacing(target) as temporary:
        assert temporary.name.endswith(letter + ".nii.gz")
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "whole"


def partial(folder: Path) -> list[Path]:
    return sorted(folder.glob(".partial-*"))


def test_a_folder_in_the_place_of_a_link_is_named_and_stays(tmp_path):
    (tmp_path / "link").mkdir()
    with pytest.raises(InputError, match="link: found a folder, allowed is a link to"):
        link_folder(tmp_path / "target", tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
