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
        ({"memory.max": "600", "memory.current": "500", "memory.stat": "anon 9\ninactive_file 90\n"}, 190),
        ({"slurm/job/memory.max": "500", "slurm/job/memory.current": "200"}, 300),
        ({"slurm/memory.max": "400", "slurm/memory.current": "300"}, 100),
        ({"memory/batch/memory.limit_in_bytes": "80", "memory/batch/memory.usage_in_bytes": "10"}, 70),
        ({"other/memory.max": "5", "other/memory.current": "1"}, 1000),
    ],
)
def test_the_smallest_of_machine_container_and_job_counts(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text("1:cpu:/other\n4:memory:/batch\n0::/slurm/job\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    assert memory.available_bytes() == expected
