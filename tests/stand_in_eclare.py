"""A stand-in for the command line of ECLARE 1.0.1: the same options, the same output name and grid, no learning.

Fine slices keep the field of view, so slice k lies at (k + 1/2) / K - 1/2 and the origin moves. In place of a network it draws
lines between slices, continued beyond the ends. The first word of the environment variable STAND_IN makes it misbehave.
"""

import argparse
import os
import random
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--in-fpath", type=Path, required=True)
parser.add_argument("--out-dir", type=Path, required=True)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--n-patches", type=int)
parser.add_argument("--relative-slice-thickness", type=float)
parser.add_argument("--gpu-id", type=int)
options = parser.parse_args()

behaviour = os.environ.get("STAND_IN", "")
if behaviour == "fail":
    print("Traceback of many lines", file=sys.stderr)
    sys.exit("AssertionError: image is isotropic")
if behaviour == "silent":
    sys.exit(0)

image = nib.load(options.in_fpath)
low = image.get_fdata(dtype=np.float32)
factor = round(image.affine[2, 2])
positions = (np.arange(low.shape[2] * factor) + 0.5) / factor - 0.5
before = np.clip(np.floor(positions).astype(int), 0, low.shape[2] - 2)
share = (positions - before).astype(np.float32)
fine = (1 - share) * low[:, :, before] + share * low[:, :, before + 1]
if behaviour == "noise":
    fine = fine + np.float32(random.random() + np.random.random())  # noqa: NPY002, the global draw is the point
if behaviour == "odd":
    fine = fine[:, :-1]
if behaviour == "precision":
    fine[:] = "torch" in sys.modules and sys.modules["torch"].get_autocast_dtype("cpu").itemsize / 4
    assert not fine.any() or sys.modules["torch"].is_autocast_enabled("cpu")
if behaviour == "options":
    fine[:] = [options.relative_slice_thickness or 0] * fine.shape[2]
affine = image.affine @ np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1 / factor, positions[0]], [0, 0, 0, 1.0]]
)
name = options.in_fpath.name.replace(".nii", "_eclare.nii")
nib.save(nib.Nifti1Image(fine, affine), options.out_dir / name)
