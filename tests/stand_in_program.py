"""A program as somebody else would write it: lines between slices, on the aligned grid. Its last option makes it misbehave."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

given, output, factor, *rest = sys.argv[1:]
behaviour = rest[0] if rest else ""
image = nib.load(given)
low = image.get_fdata(dtype=np.float32)
positions = np.arange((low.shape[2] - 1) * int(factor) + 1) / int(factor)
if behaviour == "half":  # of an input slice too late
    positions = np.clip(positions - 0.5, 0, low.shape[2] - 1)
if behaviour == "field":
    positions = np.clip(
        (np.arange(low.shape[2] * int(factor)) + 0.5) / int(factor) - 0.5, 0, low.shape[2] - 1
    )
before = np.minimum(positions.astype(int), low.shape[2] - 2)
share = (positions - before).astype(np.float32)
fine = (1 - share) * low[:, :, before] + share * low[:, :, before + 1]
if "TOLD" in os.environ:  # a file for what it was given
    told = {"affine": image.affine.tolist(), "low": float(low.min()), "high": float(low.max()), "rest": rest}
    Path(os.environ["TOLD"]).write_text(json.dumps(told | {"folder": os.getcwd(), "beside": os.listdir()}))
nib.save(nib.Nifti1Image(fine, image.affine), output)
if behaviour == "fail":  # with a result beside it, which must not be taken
    print("something long before", file=sys.stderr)
    sys.exit("no licence found")
if behaviour == "nothing":
    os.remove(output)
if behaviour == "slow":  # as is what it starts
    subprocess.Popen(["sleep", "61.5"])
    time.sleep(60)
if behaviour == "big":
    held = np.ones(2**25)
    time.sleep(60)
