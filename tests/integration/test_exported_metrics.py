"""A study on Ray under a real Prometheus: what it exports is scraped, and every query of the dashboards is answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import ray
from tests.dashboards import ALL
from tests.prometheus_server import PrometheusServer, prometheus
from tests.small_study import experiment
from tests.study_fixtures import Watcher

from hybridbatch.cluster.driver import run_on_ray
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.trial import Rung

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
STUDY = "exported"  # not the name of other tests: the figures of a process live as long as it
NEEDS_A_GPU = ("GPU use", "GPU memory in use")
PATIENCE = 180  # seconds; Ray hands its figures on every ten


def wait_until(there: Callable[[], object], what: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end, what()
        time.sleep(0.5)


@dataclass
class LooksAtTheDashboards(Watcher):
    """Holds the last rung of the last trial, and asks Prometheus meanwhile: a driver's figures go with it."""

    last: tuple[int, int] = (2, 6)
    rungs: dict[tuple[int, int], Rung] = field(default_factory=dict)
    look: Callable[[], None] = lambda: None
    looked: bool = False

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        super().reported(number, rung, goes_on)
        self.rungs[number, rung.step] = rung
        if (number, rung.step) == self.last:
            self.look()
            self.looked = True


def test_prometheus_scrapes_a_study_and_answers_every_query_of_the_dashboards(
    promtool: str, home: HomeFolder, small_data: Path, cluster: Path, tmp_path: Path
) -> None:
    changes = {"search.trials": 2, "resources": {"max_concurrent": 1}}
    watcher = LooksAtTheDashboards()
    session = StudySession(experiment(changes, STUDY), home, small_data, None, watcher)
    with prometheus(tmp_path / "prometheus", home.logs / "metrics" / "*.json") as server:

        def look() -> None:
            check_answers(server)
            check_figures(server, session, watcher)

        watcher.look = look
        run_on_ray(session)
    session.close()
    assert watcher.looked
    assert not list((home.logs / "metrics").iterdir()), "the list of nodes ends with the driver"


def check_answers(server: PrometheusServer) -> None:
    """Check that every query is answered with data, that of a GPU where there is one."""
    waiting = [query for query in ALL if query.panel not in NEEDS_A_GPU or ray.cluster_resources().get("GPU")]

    def answered() -> bool:
        waiting[:] = [query for query in waiting if not server.query(query.promql)]
        return not waiting

    wait_until(answered, lambda: f"nothing for {[query.panel for query in waiting]}; {server.targets()}")
    for query in ALL:
        server.query(query.promql)  # an error of Prometheus is one of the test


def check_figures(server: PrometheusServer, session: StudySession, watcher: LooksAtTheDashboards) -> None:
    """Check what Prometheus says against the ledger and the rungs."""
    last = {number: rung.summary for (number, step), rung in watcher.rungs.items() if step == 6}
    expected = {
        f'max by (state) (ray_hybridbatch_trials{{study="{STUDY}"}})': {
            state: float(count) for state, count in vars(session.counts()).items()
        },
        f'sum by (study) (ray_hybridbatch_steps_total{{study="{STUDY}"}})': {STUDY: 3 * 6.0},
        f'sum by (study) (ray_hybridbatch_pairs_total{{study="{STUDY}"}})': {STUDY: 3 * 6.0 * 8},
        f'sum by (call) (ray_hybridbatch_ledger_seconds_count{{study="{STUDY}", call=~"report|tell"}})': {
            "report": float(len(watcher.rungs)),
            "tell": 2.0,
        },
    } | {
        f'max by (trial) (ray_hybridbatch_selection_measure{{study="{STUDY}", measure="{measure}"}})': {
            str(number): summary[measure] for number, summary in last.items()
        }
        for measure in ("map_mono", "map_cross", "map_multi", "rank_distance")
    }
    assert session.experiment.batches.size == 8
    assert len(last) == 3
    for promql, figures in expected.items():
        wait_until(
            lambda promql=promql, figures=figures: server.values(promql) == pytest.approx(figures),
            lambda promql=promql, figures=figures: f"{promql}: {server.values(promql)} instead of {figures}",
        )
