"""Adapter between `method: external` and ECLARE (S. W. Remedios et al.), the successor of SMORE, a program under the GPL-3.0.

Run by ECLARE's own Python (`make eclare`), where nothing of this package is installed: it seeds what the program does not,
starts it as its command line does, and gives its result the name that was asked for.
"""

import argparse
import os
import random
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """The options of eclare.yaml; every other one goes to the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--program", type=Path, default=Path(sys.executable).with_name("run-eclare"))
    parser.add_argument("--seed", type=int, required=True)
    # A fixed number, because the patches drawn depend on it.
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cpu-precision", choices=("float32", "bfloat16"), default="float32")
    options, others = parser.parse_known_args()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "MPLBACKEND": "agg"}
    # It seeds torch alone.
    random.seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002, the global generator is what the program draws from
    if options.cpu_precision == "bfloat16":
        # Mixed precision, which the program turns on for a GPU alone. It holds for the patches that it prepares, too.
        import torch

        torch.set_autocast_dtype("cpu", torch.bfloat16)
        torch.set_autocast_enabled("cpu", True)
    folder = options.output.parent
    sys.argv = [str(options.program), "--in-fpath", str(options.input), "--out-dir", str(folder), *others]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as leaving:  # how a console script ends, well or not
        if leaving.code:
            raise
    (folder / f"{options.input.stem}_eclare.nii").replace(options.output)


if __name__ == "__main__":
    main()
