"""Studies on Ray: the same figures as without it, whatever is killed in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.small_study import experiment
from tests.study_fixtures import Watcher, figures

from hybridbatch.cluster.driver import run_on_ray
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.assignment import Counts
from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder
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


def test_on_ray_every_trial_gives_to_the_bit_what_it_gives_here(
    home: HomeFolder, small_data: Path, cluster: Path, tmp_path: Path
) -> None:
    changes = {"search.trials": 5, "training.early_stopping": {"patience": 2}, "resources": {"trials_per_group": 2}}
    watcher = Watcher()
    on_ray = run(run_on_ray, experiment(changes), home, small_data, watcher)
    assert on_ray.counts() == Counts(complete=6, pruned=0, failed=0, running=0, waiting=0)
    assert sorted(watcher.numbers("started")) == sorted(watcher.numbers("finished")) == list(range(6))
    assert watcher.events.index(("started", 1)) < watcher.events.index(("finished", 0)), "trials ran one by one"
    assert runs_by_trial(TrackingStore(home.tracking_url), "small") == {f"small/{number}": 1 for number in range(6)}
    # Fresh groups after two trials each: the first in cold workers, the second in warm ones. Here: one process for all.
    elsewhere = HomeFolder(tmp_path / "elsewhere")
    here = run(run_local, experiment({**changes, "stores": {"tracking": home.tracking_url}}), elsewhere, small_data)
    assert figures(on_ray.folder) == figures(here.folder)
    threads = {one.provenance["threads"] for one in on_ray.folder.results()}
    assert threads == {1}


def test_more_than_the_cluster_has_is_refused(home: HomeFolder, small_data: Path, cluster: Path) -> None:
    watcher = Watcher()
    with pytest.raises(UserError, match="no trial can ever be placed") as refused:
        run(run_on_ray, experiment({"resources": {"workers": 4}}), home, small_data, watcher)
    assert (refused.value.path, watcher.events) == ("resources", [])
    assert refused.value.seen == "4 workers of 1 CPUs and 0 GPUs"
    assert refused.value.allowed == (
        "what the cluster has: 2 CPUs and 0 GPUs on 1 nodes; the largest node: 2 CPUs and 0 GPUs"
    )
