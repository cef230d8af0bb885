"""Source `oasis`: OASIS-1, cross-sectional T1-weighted brain MRI of adults, Analyze pairs in tar.gz discs.

Layout: discN/OAS1_NNNN_MRn/PROCESSED/MPRAGE/T88_111/OAS1_NNNN_MRn_mpr_n*_anon_111_t88_gfc.hdr and .img, at
any depth; n* counts the acquisitions that were averaged, mostly 4.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interslice.data.sources import Found, files_below

NAME = re.compile(r"(OAS1_\d{4})_MR(\d)_mpr_n\d_anon_111_t88_gfc\.hdr")
COMPANIONS = ("*.img", "*.xml", "*.txt", "*.gif", "*.csv")


def find(folder: Path, dataset: Mapping[str, Any]) -> list[Found]:
    """Every subject's first session; MR2, the repeat session of the reliability set, is left out."""
    found = []
    for path in files_below(folder, "**/PROCESSED/MPRAGE/T88_111/*_t88_gfc.hdr"):
        match = NAME.fullmatch(path.name)
        if match and match[2] == "1":
            voxels = path.with_suffix(".img")
            problem = "" if voxels.exists() else f"no {voxels.name} beside the header"
            found.append(Found(match[1], (path,), problem=problem))
    return found
