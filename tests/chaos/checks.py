"""What must hold after a storm: every planned trial once, everywhere, and nothing left behind."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import optuna
from optuna.trial import TrialState
from tests.chaos.world import RUNGS, World
from tests.study_fixtures import figures

from hybridbatch.search import attempts
from hybridbatch.spec.attempts import interruptions, repeated_steps
from hybridbatch.tracking.records import record_of
from hybridbatch.tracking.store import StudyRuns, runs_by_trial

_RELEASED = 120.0  # seconds for Ray to take back what a driver that ended had reserved


def check_everything(world: World) -> None:
    """Check all that the issue asks for, by any reader's own means: plain Optuna, MLflow's client, Ray's state."""
    check_ledger(world)
    check_runs(world)
    check_slots(world)
    check_figures(world)


def check_ledger(world: World) -> None:
    """Check that plain Optuna sees every planned trial complete, once, with the figures of its folder."""
    study = optuna.load_study(study_name="small", storage=world.ledger_url)
    trials, interval = study.get_trials(deepcopy=False), world.steps // RUNGS
    assert [trial.number for trial in trials] == list(range(world.trials))
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: world.trials}
    results = {result.number: result for result in world.home.study("small").results()}
    assert sorted(results) == list(range(world.trials))
    for trial in trials:
        result = results[trial.number]
        assert (result.state, result.steps, tuple(trial.values)) == ("complete", world.steps, result.values)
        assert trial.params == result.params
        assert trial.intermediate_values == {rung.step: rung.summary["map_multi"] for rung in result.rungs}
        assert [rung.step for rung in result.rungs] == list(range(interval, world.steps + 1, interval))
        assert sum(result.mixture.batches.values()) == world.steps
        made = attempts.read(trial.user_attrs)
        assert made == world.home.study("small").trial(trial.number).read_attempts()
        assert [one.cause for one in made].count("finished") == 1
        assert made[-1].cause == "finished"
        for before, after in pairwise(made):
            repeated = (before.last_step or 0) - after.first_step
            assert repeated <= interval, f"trial {trial.number} repeated {repeated} steps after one interruption"


def check_runs(world: World) -> None:
    """Check that MLflow holds one run a trial, with what lies in its folder, and none besides."""
    store = world.tracking()
    assert runs_by_trial(store, "small") == {f"small/{number}": 1 for number in range(world.trials)}
    folder = world.home.study("small")
    runs = StudyRuns(store, "small")
    assert len(list(runs.parents())) == 1
    for number in range(world.trials):
        run = runs.of_trial(f"small/{number}")
        assert run is not None
        record = record_of(folder.trial(number), "small")
        newest = {point.key: point.value for point in sorted(record.metrics, key=lambda point: point.step)}
        assert run.data.metrics == newest, f"trial {number}"
        assert run.data.params.items() >= record.params.items()
        assert run.info.status == "FINISHED"


def check_slots(world: World) -> None:
    """Check that the cluster has everything back: CPUs, memory and placement groups."""
    world.cluster.wait_for_nodes()
    end = time.monotonic() + _RELEASED
    while True:
        state = world.cluster.view.state()
        if state["groups"] == 0 and _slots(state["free"]) == _slots(state["total"]):
            return
        assert time.monotonic() < end, f"{state['groups']} placement groups are left, {state['free']} is free"
        time.sleep(1)


def _slots(resources: object) -> dict[str, float]:
    assert isinstance(resources, dict)
    return {name: amount for name, amount in resources.items() if name in ("CPU", "GPU", "memory")}


def check_figures(world: World) -> None:
    """Check that every figure is the one of the same study on a quiet machine."""
    assert figures(world.home.study("small")) == figures(world.quiet_home().study("small"))


def report(world: World) -> dict[str, int]:
    """Return what the storm cost: interruptions by cause, drivers, and steps done again."""
    study = optuna.load_study(study_name="small", storage=world.ledger_url)
    made = [attempts.read(trial.user_attrs) for trial in study.get_trials(deepcopy=False)]
    causes = sum((interruptions(one) for one in made), Counter())
    again = sum(map(repeated_steps, made))
    return {**causes, "drivers": len(world.drivers), "steps repeated": again, "steps": world.steps * world.trials}
