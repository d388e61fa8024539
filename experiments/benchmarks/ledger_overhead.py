"""What the ledger costs a trial, from the first to the ten-thousandth, on SQLite and PostgreSQL, in one run.

    python experiments/benchmarks/ledger_overhead.py [--trials 10000] [--filled 9900] [--postgresql URL] [--json]

One driver asks and tells trials that do nothing; values are drawn at random, so that no sampler's time is in the
figures. *ask* is :meth:`hybridbatch.search.ledger.Ledger.next_assignment` (the lock, the trial, its lease and
attempt, its values), *report* one rung with its verdict (asynchronous successive halving over all trials that reached
it), *tell* the outcome. The table has the medians, and the 95th percentiles of their sum, of the last hundred trials
before each mark. A row that only calls Optuna's own ``study.ask`` and ``study.tell`` on the same kind of store stands
beside them: what the ledger adds.

``--postgresql`` names an empty database, such as ``postgresql+psycopg://user@127.0.0.1/studies``; without it there
are no rows of PostgreSQL. With ``--filled`` that many finished trials are put into each ledger first, with all that the
ledger keeps of a trial and without being asked for: the costs at ten thousand trials in minutes, not hours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import read_content, validate
from hybridbatch.spec.trial import Mixture, Rung, TrialResult

QUICKSTART = Path(__file__).parents[1] / "quickstart" / "experiment.yaml"
MARKS = (100, 1_000, 3_000, 10_000)
WINDOW = 100
REQUIRED = 0.1  # seconds for ask and tell together, median at the last mark


def experiment(trials: int, name: str) -> Experiment:
    """Return the quickstart with its search alone: values drawn at random, trials pruned at one rung."""
    content = read_content(QUICKSTART)
    content["name"] = name
    search = content["search"]
    search |= {"trials": trials, "baselines": {}, "sampler": {"kind": "random"}}
    search["objectives"] = [{"metric": "map_multi"}]
    search["pruner"] = {"kind": "asha", "minimum_steps": content["training"]["evaluate_every"]}
    return validate(content)


def outcome(made: Experiment, number: int, params: dict[str, Any], rung: Rung, goes_on: bool) -> TrialResult:
    """Return the result of a trial that did nothing."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return TrialResult(
        study=made.name,
        number=number,
        baseline=None,
        params=params,
        state="complete" if goes_on else "pruned",
        reason=None,
        values=(rung.summary["map_multi"],) if goes_on else None,
        seed=0,
        steps=rung.step,
        best_step=rung.step,
        rungs=(rung,),
        report={},
        mixture=Mixture(batches={}, datasets={}, pairs={}),
        seconds={"train": 0.0, "evaluate": 0.0, "total": 0.0},
        provenance={},
        leakage=(),
        started=now,
        finished=now,
    )


def fill(ledger: Ledger, made: Experiment, count: int) -> None:
    """Put finished trials into a ledger: copies of its first one, with values of their own."""
    import optuna

    from hybridbatch.search.distributions import space_to_optuna

    (first,) = ledger.study.get_trials(deepcopy=False)
    space, step = space_to_optuna(made.search.space), made.training.evaluate_every
    for number in range(1, count):
        value = (number * 7919 % 1009) / 1009
        attributes = {**first.user_attrs, "rungs": {str(step): value}}
        template = optuna.trial.create_trial(
            values=[value],
            params=first.params,
            distributions=space,
            user_attrs=attributes,
            intermediate_values={step: value},
        )
        ledger.storage.create_new_trial(ledger.study._study_id, template)


def of_ledger(url: str, trials: int, filled: int) -> Iterator[dict[str, float]]:
    """Run a study through the ledger; yield the seconds of each trial."""
    made = experiment(trials, "overhead")
    ledger = Ledger(made, url)
    step = made.training.evaluate_every
    while True:
        start = time.perf_counter()
        given = ledger.next_assignment()
        asked = time.perf_counter()
        if given is None:
            break
        rung = Rung(step=step, seconds=0.0, train_loss=1.0, summary={"map_multi": (given.number * 7919 % 1009) / 1009})
        goes_on = ledger.report(given.number, rung)
        reported = time.perf_counter()
        ledger.tell(outcome(made, given.number, given.params, rung, bool(goes_on)))
        told = time.perf_counter()
        yield {"ask": asked - start, "report": reported - asked, "tell": told - reported}
        if filled and given.number == 0:
            fill(ledger, made, filled)
    ledger.close()


def of_optuna(url: str, trials: int, filled: int) -> Iterator[dict[str, float]]:
    """Run as many trials with Optuna alone; yield the seconds of each."""
    import optuna

    from hybridbatch.search.distributions import space_to_optuna
    from hybridbatch.search.storage import open_storage

    space = space_to_optuna(experiment(trials, "optuna").search.space)
    study = optuna.create_study(
        study_name="optuna", storage=open_storage(url), sampler=optuna.samplers.RandomSampler(0)
    )
    params: dict[str, Any] = {}
    for number in range(trials):
        if 0 < number < filled:
            template: dict[str, Any] = {
                "values": [0.5],
                "intermediate_values": {1: 0.5},
                "params": params,
                "distributions": space,
            }
            study.add_trial(optuna.trial.create_trial(**template))
            continue
        start = time.perf_counter()
        trial = study.ask(space)
        asked = time.perf_counter()
        trial.report(0.5, 1)
        reported = time.perf_counter()
        study.tell(trial, (number * 7919 % 1009) / 1009)
        told = time.perf_counter()
        params = trial.params
        yield {"ask": asked - start, "report": reported - asked, "tell": told - reported}


def measured(trials: Iterator[dict[str, float]], progress: str, filled: int) -> list[dict[str, Any]]:
    """Return the medians of the last trials before each mark."""
    rows: list[dict[str, Any]] = []
    window: list[dict[str, float]] = []
    for place, seconds in enumerate(trials, start=1):
        number = place if place == 1 else place + max(0, filled - 1)
        window = [*window[-WINDOW + 1 :], seconds]
        if number in MARKS:
            sums = [one["ask"] + one["tell"] for one in window]
            medians = {part: statistics.median(one[part] for one in window) for part in ("ask", "report", "tell")}
            slow = statistics.quantiles(sums, n=20)[-1]
            rows.append({"trials": number, **medians, "both": statistics.median(sums), "slow": slow})
            print(f"  {progress}: {number} trials", flush=True)
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=MARKS[-1])
    parser.add_argument("--filled", type=int, default=0)
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, run in (("ledger", of_ledger), ("Optuna alone", of_optuna)):
        with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
            trials = run(f"sqlite:///{folder}/ledger.db", options.trials, options.filled)
            found[f"SQLite, {name}"] = measured(trials, f"SQLite, {name}", options.filled)
    if options.postgresql:
        for name, run in (("ledger", of_ledger), ("Optuna alone", of_optuna)):
            trials = run(options.postgresql, options.trials, options.filled)
            found[f"PostgreSQL, {name}"] = measured(trials, f"PostgreSQL, {name}", options.filled)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    print("milliseconds, medians of the hundred trials before the mark")
    print(f"{'store':26s} {'trials':>7s} {'ask':>7s} {'report':>7s} {'tell':>7s} {'ask + tell':>11s} {'95%':>7s}")
    for store, rows in found.items():
        for row in rows:
            parts = " ".join(f"{1000 * row[part]:7.1f}" for part in ("ask", "report", "tell"))
            print(f"{store:26s} {row['trials']:7,d} {parts} {1000 * row['both']:11.1f} {1000 * row['slow']:7.1f}")
    last = [rows[-1]["both"] for store, rows in found.items() if store.endswith("ledger")]
    print(f"at the last mark, at most: {1000 * max(last):.1f} ms (required: under {1000 * REQUIRED:.0f} ms)")


if __name__ == "__main__":
    main()
