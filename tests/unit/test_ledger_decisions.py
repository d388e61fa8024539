"""What the ledger decides: verdicts, draws, which experiment is the same, which store is refused."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from tests.ledger_fixtures import (
    ASHA,
    GENETIC,
    NO_BASELINES,
    TEMPERATURE,
    TPE,
    TWO_OBJECTIVES,
    TWO_PARAMS,
    take,
    trials_of,
)
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import StoreError, UserError
from hybridbatch.foundation.registries import PRUNERS
from hybridbatch.search.identity import identity
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.storage import close_storage, open_storage
from hybridbatch.spec.experiment import Experiment


def test_a_rung_reported_again_gets_the_same_answer(any_url: str) -> None:
    ledger = Ledger(experiment({"search.pruner": ASHA, **NO_BASELINES}), any_url)
    for _ in range(3):
        take(ledger)
    # Half of those that reached step 2 go on, at least one; the first always does.
    assert ledger.report(0, rung(2, 0.50)) is True
    assert ledger.report(1, rung(2, 0.40)) is False  # 2nd of 2, floor(2 / 2) = 1 goes on
    assert ledger.report(2, rung(2, 0.60)) is True
    # Were it decided anew, trial 0 would now be 2nd of 3 and end.
    for driver in (ledger, Ledger(experiment({"search.pruner": ASHA, **NO_BASELINES}), any_url)):
        assert driver.report(0, rung(2, 0.50)) is True
        assert driver.report(1, rung(2, 0.90)) is False
    assert trials_of(any_url)[1].intermediate_values == {2: 0.40}
    ledger.tell(result(0, values=(0.5,)))
    assert ledger.report(0, rung(2, 0.50)) is None, "a trial that is over is neither to go on nor to be pruned"


def test_baselines_are_never_pruned_but_raise_the_bar(url: str) -> None:
    baselines = {"mono": {"loss.temperature": 0.1}, "cross": {"loss.temperature": 0.2}}
    ledger = Ledger(experiment({"search.pruner": ASHA, "search.baselines": baselines}), url)
    for _ in range(4):
        take(ledger)
    assert ledger.report(0, rung(2, 0.9)) is True
    assert ledger.report(1, rung(2, 0.1)) is True, "the worse baseline was pruned"
    assert ledger.report(2, rung(2, 0.8)) is False  # 2nd of 3, floor(3 / 2) = 1 goes on
    assert ledger.report(3, rung(2, 0.95)) is True


def test_the_last_step_and_steps_between_rungs_end_nothing(url: str) -> None:
    ledger = Ledger(experiment({"search.pruner": {**ASHA, "minimum_steps": 4}, **NO_BASELINES}), url)
    for _ in range(2):
        take(ledger)
    assert [ledger.report(0, rung(step, 0.9)) for step in (2, 4, 6)] == [True, True, True]
    assert ledger.report(1, rung(2, 0.1)) is True  # before the first rung
    assert ledger.report(1, rung(6, 0.1)) is True  # training ends here anyway
    assert ledger.report(1, rung(4, 0.1)) is False


@pytest.mark.parametrize(("own_steps", "goes_on"), [(4, True), (12, False)])
def test_a_trial_is_pruned_by_its_own_number_of_steps(url: str, own_steps: int, goes_on: bool) -> None:
    space = {"training.steps": {"choice": [own_steps]}}
    ledger = Ledger(experiment({"training.steps": 24, "search.space": space, "search.pruner": ASHA}), url)
    for _ in range(3):
        take(ledger)
    assert ledger.report(1, rung(4, 0.9)) is True
    assert ledger.report(2, rung(4, 0.1)) is goes_on  # its last step, where nothing is left to save, or not


def test_a_measure_to_minimise_is_pruned_from_above(url: str) -> None:
    changes = {"search.objectives": [TWO_OBJECTIVES[1]], "search.pruner": ASHA, **NO_BASELINES}
    ledger = Ledger(experiment(changes), url)
    for _ in range(3):
        take(ledger)
    verdicts = [ledger.report(number, rung(2, value, "rank_distance")) for number, value in enumerate((30, 40, 20))]
    assert verdicts == [True, False, True]


@pytest.mark.parametrize("pruner", [ASHA, {"kind": "median", "minimum_steps": 2, "minimum_trials": 2}])
def test_a_measure_without_a_value_ends_its_own_trial_and_no_other(url: str, pruner: dict[str, Any]) -> None:
    ledger = Ledger(experiment({"search.pruner": pruner, "search.trials": 4, **NO_BASELINES}), url)
    for _ in range(4):
        take(ledger)
    assert [ledger.report(number, rung(2, math.nan)) for number in (0, 1)] == [False, False]
    assert [ledger.report(number, rung(2, value)) for number, value in ((2, 0.3), (3, 0.4))] == [True, True]
    ledger.tell(result(2, values=(math.nan,)))
    told = trials_of(url)[2]
    assert (told.state, told.user_attrs["reason"]) == (
        TrialState.FAIL,
        "an objective has no value on the selection set",
    )


@pytest.mark.parametrize("pruner", [ASHA, {"kind": "median", "minimum_steps": 2, "minimum_trials": 2}])
def test_with_several_objectives_whoever_is_best_in_one_goes_on(any_url: str, pruner: dict[str, Any]) -> None:
    changes = {"search.objectives": TWO_OBJECTIVES, "search.pruner": pruner, "search.trials": 6, **NO_BASELINES}
    ledger = Ledger(experiment(changes), any_url)
    for _ in range(6):
        take(ledger)
    # mAP is to be large, rank distance small: trials 0, 1 and 5 make the front, 2 and 3 are behind it.
    measured = [(0.9, 90.0), (0.1, 10.0), (0.8, 95.0), (0.05, 50.0), (0.5, math.nan), (0.2, 9.0)]
    verdicts = [
        ledger.report(number, rung(2, value, rank_distance=distance)) for number, (value, distance) in
        enumerate(measured)
    ]  # fmt: skip
    if pruner is ASHA:  # floor(reached / 2) go on; trial 1 is 2nd of 2, a trial without a value does not count
        assert verdicts == [True, False, False, False, False, True]
    else:  # trial 1 comes before there are two others; the best half goes on
        assert verdicts == [True, True, False, False, False, True]
    again = Ledger(experiment(changes), any_url)
    assert again.report(1, rung(2, 0.99, rank_distance=0.0)) is verdicts[1], "a verdict was given anew"
    assert trials_of(any_url)[0].user_attrs["rungs"] == {"2": [0.9, 90.0]}


def test_rungs_of_which_an_older_version_wrote_the_first_objective_alone_do_not_count(url: str) -> None:
    changes = {"search.objectives": TWO_OBJECTIVES, "search.pruner": ASHA, **NO_BASELINES}
    ledger = Ledger(experiment(changes), url)
    for _ in range(3):
        take(ledger)
    for number in (0, 1):
        ledger.storage.set_trial_user_attr(ledger._id(number), "rungs", {"2": 0.99})
    assert ledger.report(2, rung(2, 0.1, rank_distance=90.0)) is True  # the first at its rung


HYPERBAND = {"kind": "hyperband", "minimum_steps": 2, "reduction": 2, "brackets": 2}


def test_hyperband_compares_trials_of_one_bracket_and_the_same_after_a_restart(url: str) -> None:
    changes = {"search.pruner": HYPERBAND, "search.trials": 24, "training.steps": 12, **NO_BASELINES}
    ledger = Ledger(experiment(changes), url)
    pruner = PRUNERS.get("hyperband")(**HYPERBAND)
    brackets = [pruner.bracket(0, take(ledger).number) for _ in range(24)]
    early, late = (dict.fromkeys(number for number in range(24) if brackets[number] == one) for one in (0, 1))
    # From trial to trial worse. In each bracket only the first goes on at its first rung: 1st of 1, then 2nd of 2, ...
    for number in range(24):
        driver = Ledger(experiment(changes), url) if number % 5 == 0 else ledger
        early[number] = driver.report(number, rung(2, 0.9 - 0.01 * number))
        if number in late:
            assert early.pop(number) is True, "a trial of the late bracket was ended before its first rung"
            late[number] = ledger.report(number, rung(4, 0.9 - 0.01 * number))
    for verdicts in (early, late):
        assert list(verdicts.values()) == [True] + [False] * (len(verdicts) - 1)
    assert min(len(early), len(late)) > 2


def test_baselines_raise_the_bar_in_every_bracket(url: str) -> None:
    changes = {"search.pruner": HYPERBAND, "search.trials": 12, "training.steps": 12}
    ledger = Ledger(experiment(changes), url)
    pruner = PRUNERS.get("hyperband")(**HYPERBAND)
    brackets = [pruner.bracket(0, take(ledger).number) for _ in range(13)]
    assert ledger.report(0, rung(2, 0.9)) is ledger.report(0, rung(4, 0.9)) is True
    for bracket, step in ((0, 2), (1, 4)):
        assert ledger.report(brackets.index(bracket, 1), rung(step, 0.8)) is False  # 2nd of 2


# --- sampling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler",
    [
        {"kind": "random"},
        {"kind": "qmc"},
        {"kind": "cma-es", "population": 4},
        {"kind": "gp", "startup_trials": 3},
        TPE,
        GENETIC,
    ],
    ids=lambda sampler: sampler["kind"],
)
def test_a_restart_between_trials_changes_no_value(url: str, twin: str, sampler: dict[str, Any]) -> None:
    changes = {"search.space": TWO_PARAMS, "search.sampler": sampler, "search.trials": 7, **NO_BASELINES}
    steady, drawn = Ledger(experiment(changes), twin), []
    for number in range(7):
        restarted = Ledger(experiment(changes), url)
        given = [take(restarted).params, take(steady).params]
        assert given[0] == given[1]
        drawn.append(given[0])
        for ledger in (restarted, steady):
            ledger.tell(result(number, values=(-((given[0][TEMPERATURE] - 0.1) ** 2),)))
    # Crossover gives a child now and then that is one of its parents.
    assert len({json.dumps(one) for one in drawn}) >= (7 if sampler is not GENETIC else 4), "points were repeated"


def test_values_drawn_together_differ_from_those_drawn_each_on_its_own(url: str, twin: str) -> None:
    drawn = []
    for where, together in ((url, True), (twin, False)):
        sampler = {**TPE, "multivariate": together}
        changes = {"search.space": TWO_PARAMS, "search.sampler": sampler, "search.trials": 8, **NO_BASELINES}
        ledger, found = Ledger(experiment(changes), where), []
        for number in range(8):
            found.append(take(ledger).params)
            ledger.tell(result(number, values=(-((found[-1][TEMPERATURE] - 0.1) ** 2),)))
        drawn.append(found)
    assert drawn[0][:3] == drawn[1][:3], "the first trials are drawn at random either way"
    assert drawn[0][3:] != drawn[1][3:]


def test_another_seed_draws_other_values(url: str, twin: str) -> None:
    given = [take(Ledger(experiment({**NO_BASELINES, "search.seed": seed}), where)).params for seed, where in
             ((0, url), (1, twin))]  # fmt: skip
    assert given[0] != given[1]


def test_a_baseline_inside_the_search_space_teaches_the_sampler(url: str) -> None:
    baselines = {"inside": {"loss.temperature": 0.1}, "outside": {"loss.temperature": 0.9}}
    ledger = Ledger(experiment({"search.baselines": baselines}), url)
    for _ in range(2):
        assert take(ledger).params == {}
    assert [trial.params for trial in trials_of(url)] == [{TEMPERATURE: 0.1}, {}]


# --- one experiment per study --------------------------------------------------------------------------------------


def test_another_experiment_of_the_same_name_is_refused(url: str) -> None:
    Ledger(experiment(), url)
    with pytest.raises(UserError, match="exists with another experiment") as refused:
        Ledger(experiment({"training.learning_rate": 0.02}), url)
    assert (refused.value.path, refused.value.seen) == ("name", "small")


@pytest.mark.parametrize(
    "changes",
    [
        {"search.trials": 9},
        {"resources": {"workers": 2, "max_concurrent": 3}},
        {"stores": {"archive": "file:///somewhere"}},
    ],
)
def test_trials_resources_and_stores_may_change(url: str, changes: dict[str, Any]) -> None:
    Ledger(experiment(), url)
    ledger = Ledger(experiment(changes), url)
    assert ledger.counts().waiting == changes.get("search.trials", 3) + 1


def test_the_identity_of_an_experiment_is_what_would_be_run() -> None:
    def with_report(dataset: str) -> Experiment:
        return experiment({"data.report": [{"dataset": dataset}]})

    assert identity(experiment()) == identity(experiment({"training.weight_decay": 0.01}))  # the default, written out
    assert identity(with_report("xquad-r")) != identity(with_report("mlqa-r"))
    different = [{"search.seed": 1}, {"search.sampler": {"kind": "tpe"}}, {"backbone.width": 32}, {"question": "Else?"}]
    assert len({identity(experiment(one)) for one in different} | {identity(experiment())}) == 5


# --- stores that cannot be reached -----------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("dear diary, " * 400)
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        Ledger(experiment(), f"sqlite:///{tmp_path / 'ledger.db'}")
    assert str(tmp_path / "ledger.db") in str(refused.value.file)
    assert refused.value.path == "stores.ledger"


def test_drivers_that_start_at_once_make_one_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with ThreadPoolExecutor(4) as drivers:
        stores = list(drivers.map(open_storage, 4 * [url]))
    for store in stores:
        close_storage(store)
    assert Ledger(experiment(), url).counts().waiting == 4


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="cannot be reached"):
        Ledger(experiment(), f"sqlite:///{tmp_path / 'taken' / 'ledger.db'}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://somebody:s3cret@127.0.0.1:9/studies?connect_timeout=2",
        "postgresql://somebody:s3cret@127.0.0.1:9/studies",
        "mysql://somebody:s3cret@127.0.0.1:9/studies",
        "nosuchdatabase://somebody:s3cret@host/studies",
        "not a url at all s3cret",
    ],
)
def test_a_store_that_is_not_there_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        Ledger(experiment(), url)
    assert "s3cret" not in refused.value.render() or "://" not in url
    assert refused.value.remedy
