from types import SimpleNamespace

import pytest

from interslice.common import memory


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 1000),
        ({"memory.max": "max\n", "memory.current": "5\n"}, 1000),
        ({"memory.max": "600\n", "memory.current": "200\n"}, 400),
        ({"memory.max": "9000\n", "memory.current": "200\n"}, 1000),
        ({"memory.max": "100\n", "memory.current": "200\n"}, 0),
        ({"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "100"}, 600),
    ],
)
def test_the_smaller_of_machine_and_container_counts(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    assert memory.available_bytes() == expected
