"""Generated digits and the dataset file that reads them."""

import functools

import numpy as np
import pandas as pd
import yaml

from interslice.common.schemas import read_yaml
from interslice.config import load_dataset
from settings import ROOT

SPLITS = {"train": 8, "validation": 2, "test": 3}


@functools.cache
def images(count=30):
    """Blobs off the centre, all different."""
    rows, columns = np.mgrid[:28, :28]
    places = np.random.default_rng(0).uniform(7, 20, (count, 2))
    blobs = [np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12) for row, column in places]
    return np.round(255 * np.array(blobs)).astype(np.uint8)


def write_csv(folder, digits):
    folder.mkdir(parents=True, exist_ok=True)
    table = np.hstack([digits.reshape(len(digits), -1), np.arange(len(digits))[:, None] % 10])
    pd.DataFrame(table).to_csv(folder / "digits.csv.gz", header=False, index=False)


def dataset(tmp_path, **changes):
    """config/datasets/mnist.yaml on a folder of generated digits."""
    content = read_yaml(ROOT / "config" / "datasets" / "mnist.yaml") | {"packages": {}, "subjects": {}}
    content |= {"folder": str(tmp_path / "digits"), "splits": SPLITS, "shards": 1, **changes}
    (tmp_path / "mnist.yaml").write_text(yaml.safe_dump(content))
    schema = read_yaml(ROOT / "workflow" / "schemas" / "dataset.schema.yaml")
    return load_dataset(str(tmp_path / "mnist.yaml"), schema, ROOT)
