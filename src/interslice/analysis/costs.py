"""Quality against cost: the means of frames and what each method took, in one table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from interslice.analysis.results import results_table
from interslice.common.errors import InputError

KEYS = ["dataset", "K", "method"]


def cost_table(means: pd.DataFrame, costs: pd.DataFrame, *, display: Mapping[str, Any]) -> pd.DataFrame:
    """`results.results_table` (synthesised slices, whole image) with seconds and peak_mib of one whole volume.

    costs: a row per dataset, K and method. display: labels, controls and supervised methods. Controls are left
    out: they are no rivals. Raises InputError for a method without cost.
    """
    table = results_table(means, **display)
    table = table[~table["control"]].merge(costs, on=KEYS, how="left", validate="one_to_one")
    if table["seconds"].isna().any():
        missing = sorted(table.loc[table["seconds"].isna(), "method"].unique())
        raise InputError(f"costs: no measurement of {', '.join(missing)}, needed is one per dataset and K")
    return table
