"""Which precision a setting means."""

import pytest
import torch

from interslice.common import devices
from interslice.common.devices import cpu_has_bfloat16, select_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fma avx avx2", False),
        ("avx2 avx512f avx512bw", False),  # without its own instructions bfloat16 is the slower one
        ("avx2 avx512f avx512_bf16", True),
        ("avx512f amx_bf16 amx_tile", True),
        ("avx512_bf16x", False),
    ],
)
def test_the_processors_flags_decide(tmp_path, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu sse {flags} smep\nbugs\t\t: none\n")
    assert cpu_has_bfloat16(tmp_path / "cpuinfo") == expected


def test_a_system_that_does_not_say_has_none(tmp_path):
    assert not cpu_has_bfloat16(tmp_path / "absent")


@pytest.mark.parametrize("has", [False, True])
def test_auto_takes_what_is_there_and_a_named_precision_is_kept(monkeypatch, has):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: has)
    assert select_precision("auto", CPU) == ("bfloat16" if has else "float32")
    assert select_precision("bfloat16", CPU) == "bfloat16"
    assert select_precision("float32", CPU) == "float32"
