"""Whatever is killed on Ray, a trial goes on under its number with the same figures; a user's fault stops the study."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file
from tests.small_study import experiment
from tests.study_fixtures import Watcher, figures

from hybridbatch.cluster.driver import run_on_ray
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.assignment import Counts
from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.attempts import repeated_steps
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.trial import Rung, TrialSpec

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
# Four times the same trial.
CHANGES = {
    "search.baselines": {name: {"training.seed": 0} for name in ("calm", "worker", "actor", "damaged")},
    "search.trials": 0,
    "training": {"steps": 50, "learning_rate": 0.001, "evaluate_every": 10},
}


def kill(*titles: str) -> None:
    """Kill a process of this test's Ray instance whose title starts so, without notice."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ended by itself meanwhile
            if "".join(process.cmdline()[:1]).startswith(titles):
                process.kill()
                process.wait(10)
                return
    raise AssertionError(f"no process is called {titles}")


WORKER, ACTOR = ("ray::RayTrainWorker",), ("ray::WarmTrial", "ray::ResourceTrainable")


class Havoc(Watcher):
    """Kills a worker in trial 1, twice, and the trial's own actor in trial 2; damages a checkpoint before trial 3."""

    def __init__(self) -> None:
        super().__init__()
        self.to_kill = {(1, 20): WORKER, (1, 30): WORKER, (2, 20): ACTOR}  # by trial and step
        self.damaged: Path | None = None

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        super().reported(number, rung, goes_on)
        if titles := self.to_kill.pop((number, rung.step), None):
            kill(*titles)

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        super().started(spec, folder)
        if spec.number == 3:
            self.damaged = folder.checkpoints / "step-00000010"
            self.damaged.mkdir(parents=True)
            (self.damaged / "state.json").write_text('{"step": 10, "fingerprints": {"model.safetensors": "0"}}')
            (self.damaged / "model.safetensors").write_bytes(b"half of a check")


@pytest.mark.timeout(900)  # four groups are started one after the other: minutes where others use the machine
def test_killed_processes_change_no_figure_and_a_damaged_checkpoint_stops_the_study(
    home: HomeFolder, small_data: Path, cluster: Path, tmp_path: Path
) -> None:
    two_workers, havoc = experiment({**CHANGES, "resources": {"workers": 2}}), Havoc()
    session = StudySession(two_workers, home, small_data, None, havoc)
    with pytest.raises(UserError, match="this checkpoint is damaged") as refused:
        run_on_ray(session)
    session.close()
    assert Path(str(refused.value.file)) == havoc.damaged
    assert havoc.to_kill == {}
    # The workers that Ray Train starts again take their trial by themselves, a fresh group gets it from the driver.
    assert havoc.numbers("started") == [0, 1, 2, 2, 3]
    assert havoc.numbers("finished") == [0, 1, 2]
    assert session.counts() == Counts(complete=3, pruned=0, failed=0, running=0, waiting=1)
    check_attempts(session)
    calm, worker, actor = ({**one, "baseline": None} for one in figures(session.folder).values())
    assert worker == calm, "a killed worker changed the figures"
    assert actor == calm, "a killed actor changed the figures"
    assert [step for step, _, _ in calm["rungs"]] == [10, 20, 30, 40, 50]
    check_one_worker_gives_the_same(session, small_data, tmp_path)


def check_attempts(session: StudySession) -> None:
    """Check that each interruption stands in the ledger and in the folder, with its cause and its steps."""
    worker = session.ledger.attempts_at(1)
    assert [one.cause for one in worker] == ["worker_lost", "worker_lost", "finished"]
    assert [one.first_step for one in worker] == [0, 20, 30], "each goes on from the checkpoint before the verdict"
    assert all((one.last_step or 0) >= 20 and one.detail for one in worker[:2])
    assert repeated_steps(worker) <= 2 * 10, "at most from one checkpoint to the next"
    actor = session.ledger.attempts_at(2)
    assert [one.cause for one in actor] == ["worker_lost", "finished"]
    assert session.folder.trial(1).read_attempts() == worker
    assert [one.cause for one in session.ledger.attempts_at(3)] == ["stopped"], "the user mends it and resumes"


def check_one_worker_gives_the_same(two: StudySession, data: Path, folder: Path) -> None:
    """Check losses and weights; measures follow, but for questions whose ranks hang on the last bit."""
    made = experiment({**CHANGES, "search.baselines": {"calm": {"training.seed": 0}}})
    one = StudySession(made, HomeFolder(folder / "alone"), data, None, Watcher())
    run_local(one)
    one.close()
    losses = [[loss for _, loss, _ in figures(session.folder)[0]["rungs"]] for session in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    mine, theirs = (load_file(session.folder.trial(0).model / "model.safetensors") for session in (one, two))
    assert list(mine) == list(theirs)
    for name in mine:
        if not name.endswith("attention.self.key.bias"):  # no score depends on it: its gradient is rounding alone
            assert abs(mine[name] - theirs[name]).max() < 1e-5, name
