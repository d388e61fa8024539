"""Who looks at a trial from elsewhere learns of a new phase at once, and of steps now and then."""

from __future__ import annotations

from pathlib import Path

from hybridbatch.training.progress import ProgressFile, read_progress


def test_a_new_phase_is_written_at_once_and_steps_are_not(tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    progress = ProgressFile(file, 100, active=True)
    progress.update(force=True)
    seen = []
    for phase, step in (("adapting", 0), ("adapting", 1), ("training", 1), ("training", 2)):
        progress.update(phase=phase, step=step)
        now = read_progress(file)
        assert now is not None
        seen.append((now.phase, now.step))
    assert seen == [("adapting", 0), ("adapting", 0), ("training", 1), ("training", 1)]
    assert (progress.now.phase, progress.now.step) == ("training", 2)


def test_other_workers_write_nothing(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.json", 100, active=False)
    progress.update(force=True, phase="training")
    assert read_progress(tmp_path / "progress.json") is None
