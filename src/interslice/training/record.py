"""What a training says of itself: how long it was and how it ended. Read without torch, for tables and figures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interslice.common.errors import InputError


@dataclass(frozen=True)
class Record:
    """Of one finished training. seconds: wall clock; compute_seconds: CPU seconds, on a GPU wall clock.

    ended: "plateau" (the validation score no longer rose) or "budget" (its steps or seconds were used up).
    """

    updates: int
    best_step: int
    seconds: float
    compute_seconds: float
    ended: str

    @property
    def marked(self) -> bool:
        """Whether tables and figures must mark the method's row: its score says what its budget allowed."""
        return self.ended != "plateau"

    def sentence(self, examples: str) -> str:
        """Updates, seconds and the end, for a caption. examples: what an update sees, "12 triplets"."""
        end = "a plateau" if self.ended == "plateau" else "its budget, not a plateau"
        return f"{self.updates:,} updates of {examples} in {self.compute_seconds:,.0f} s, ended at {end}"


def training_record(state: Mapping[str, Any]) -> dict[str, Any]:
    """updates, seconds (CPU seconds, on a GPU wall clock) and ended, "plateau" or "budget", of a checkpoint.

    slice_profile: of the slices that it was trained on, None where only the study knows it, whose own training it is.
    Files of versions that had no plateau say only how long they took on the clock; they ended at their budget.
    """
    return {
        "updates": int(state["updates"] if "updates" in state else state["history"][-1]["step"]),
        "seconds": float(state.get("compute_seconds", state["seconds"])),
        "ended": str(state.get("ended", "budget")),
        "slice_profile": state.get("slice_profile"),
    }


def read_record(provenance: Path) -> Record:
    """The record in a training's provenance.json; InputError for a file without one."""
    content = json.loads(provenance.read_text())
    keys = Record.__dataclass_fields__
    missing = [key for key in keys if key not in content]
    if missing:
        raise InputError(
            f"{provenance}: found no {missing[0]}, allowed is the record of a training of this version"
        )
    return Record(**{key: content[key] for key in keys})
