"""Studies on Ray: the same figures as without it, whatever is killed in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.small_study import LANGUAGES, experiment
from tests.study_fixtures import Watcher, figures

from hybridbatch.cluster.driver import run_on_ray
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.ledger import Counts
from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.trial import Rung, TrialSpec
from hybridbatch.tracking.store import TrackingStore, runs_by_trial

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
Runner = Callable[[StudySession], None]


def run(runner: Runner, made: Experiment, home: HomeFolder, data: Path, watcher: Watcher | None = None) -> StudySession:
    session = StudySession(made, home, data, None, watcher or Watcher())
    try:
        runner(session)
    finally:
        session.close()
    return session


def ray_processes(*titles: str) -> list[psutil.Process]:
    """Return the processes of this test's Ray instance whose title starts so."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "".join(process.cmdline()[:1]).startswith(titles):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill(*titles: str) -> None:
    """Kill one such process, at once and without notice."""
    process = ray_processes(*titles)[0]
    process.kill()
    process.wait(10)


def close(first: Any, second: Any) -> bool:
    """Return whether two nested values agree to 1e-5."""
    if isinstance(first, dict):
        return list(first) == list(second) and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(close, first, second))
    return bool(first == pytest.approx(second, abs=1e-5, nan_ok=True)) if isinstance(first, float) else first == second


def test_on_ray_every_trial_gives_to_the_bit_what_it_gives_here(
    home: HomeFolder, small_data: Path, cluster: Path, tmp_path: Path
) -> None:
    changes = {"search.trials": 5, "training.early_stopping": {"patience": 2}, "resources": {"trials_per_group": 4}}
    watcher = Watcher()
    on_ray = run(run_on_ray, experiment(changes), home, small_data, watcher)
    assert on_ray.counts() == Counts(complete=6, pruned=0, failed=0, running=0, waiting=0)
    assert sorted(watcher.numbers("started")) == sorted(watcher.numbers("finished")) == list(range(6))
    assert watcher.events.index(("started", 1)) < watcher.events.index(("finished", 0)), "trials ran one by one"
    assert runs_by_trial(TrackingStore(home.tracking_url), "small") == {f"small/{number}": 1 for number in range(6)}
    # Two groups: their first trials in fresh workers, the others in warm ones. Here: all in this one process.
    elsewhere = HomeFolder(tmp_path / "elsewhere")
    here = run(run_local, experiment({**changes, "stores": {"tracking": home.tracking_url}}), elsewhere, small_data)
    assert figures(on_ray.folder) == figures(here.folder)
    threads = {one.provenance["threads"] for one in on_ray.folder.results()}
    assert threads == {1}


class Havoc(Watcher):
    """Kills a worker in trial 1, the trial's own actor in trial 2, and damages a checkpoint before trial 3."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[int] = []
        self.damaged: Path | None = None

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        super().reported(number, rung, goes_on)
        if rung.step == 20 and number in (1, 2) and number not in self.killed:
            self.killed.append(number)
            kill("ray::RayTrainWorker") if number == 1 else kill("ray::WarmTrial", "ray::ResourceTrainable")

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        super().started(spec, folder)
        if spec.number == 3:
            self.damaged = folder.checkpoints / "step-00000010"
            self.damaged.mkdir(parents=True)
            (self.damaged / "state.json").write_text('{"step": 10, "fingerprints": {"model.safetensors": "0"}}')
            (self.damaged / "model.safetensors").write_bytes(b"half of a check")


def test_killed_processes_change_no_figure_and_a_damaged_checkpoint_stops_the_study(
    home: HomeFolder, small_data: Path, cluster: Path, tmp_path: Path
) -> None:
    # Four times the same trial, on two workers.
    changes = {
        "search.baselines": {name: {"training.seed": 0} for name in ("calm", "worker", "actor", "damaged")},
        "search.trials": 0,
        "training": {"steps": 50, "learning_rate": 0.001, "evaluate_every": 10},
    }
    two_workers = experiment({**changes, "resources": {"workers": 2}})
    havoc = Havoc()
    with pytest.raises(UserError, match="this checkpoint is damaged") as refused:
        run(run_on_ray, two_workers, home, small_data, havoc)
    assert Path(str(refused.value.file)) == havoc.damaged
    assert havoc.killed == [1, 2]
    ledger = StudySession(two_workers, home, small_data, None, Watcher())
    assert ledger.counts() == Counts(complete=3, pruned=0, failed=0, running=0, waiting=1)
    ledger.close()
    calm, worker, actor = (drop_name(one) for one in figures(home.study("small")).values())
    assert worker == calm, "a killed worker changed the figures"
    assert actor == calm, "a killed actor changed the figures"
    assert [step for step, _, _ in calm["rungs"]] == [10, 20, 30, 40, 50]

    one = {**changes, "search.baselines": {"calm": {"training.seed": 0}}}
    alone = run(run_local, experiment(one), HomeFolder(tmp_path / "alone"), small_data)
    assert close(drop_name(figures(alone.folder)[0]), calm), "one worker and two differ by more than 1e-5"
    assert list(calm["report"]["small_report"]["cells"]) == [f"{a}-{b}" for a in LANGUAGES for b in LANGUAGES]


def drop_name(trial: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in trial.items() if key != "baseline"}


def test_more_than_the_cluster_has_is_refused(home: HomeFolder, small_data: Path, cluster: Path) -> None:
    watcher = Watcher()
    with pytest.raises(UserError, match="no trial can ever be placed") as refused:
        run(run_on_ray, experiment({"resources": {"workers": 4}}), home, small_data, watcher)
    assert (refused.value.path, watcher.events) == ("resources", [])
    assert refused.value.seen == "4 workers of 1 CPUs and 0 GPUs"
    assert refused.value.allowed == "what the cluster has: 2 CPUs, 0 GPUs on 1 nodes"
