"""A lock between processes: one holds it, others wait or stand in line, and a killed holder leaves none behind."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hybridbatch.foundation import file_lock
from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.file_lock import held

HOLDER = """
import sys, time
from pathlib import Path
from hybridbatch.foundation.file_lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("looks", [True, False])
def test_what_a_killed_process_held_is_free_again(tmp_path: Path, looks: bool):
    file, seen = tmp_path / "folder" / "lock", list[str]()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    def waiting() -> None:
        seen.append("waits")
        holder.kill()

    if not looks:
        holder.kill()
    with held(file, waiting if looks else None):
        seen.append("held")
    holder.wait()
    holder.stdout.close()
    assert seen[-1] == "held"
    assert ("waits" in seen) is looks
    assert file.exists(), "removing it would let two in"


def test_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file_lock, "_LOOK_AGAIN", 0.001)
    inside, most = list[int](), list[int]()

    def work(number: int) -> None:
        with held(tmp_path / "lock", (lambda: None) if number % 2 else None):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(40)))
    assert most == [1] * 40


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"), held(tmp_path / "file" / "lock"):
        pass
