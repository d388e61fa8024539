"""What the ledger costs a trial, from the first to the ten-thousandth, on SQLite and PostgreSQL, in one run.

    python experiments/benchmarks/ledger_overhead.py [--trials 10000] [--postgresql URL] [--json]

One driver asks and tells trials that do nothing; values are drawn at random, so that no sampler's time is in the
figures. *ask* is :meth:`hybridbatch.search.ledger.Ledger.next_assignment` (the lock, the trial, its lease and
attempt, its values), *report* one rung with its verdict (asynchronous successive halving over all trials that reached
it), *tell* the outcome. The table has the medians, and the 95th percentiles of their sum, of the last hundred trials
before each mark. A row that only calls Optuna's own ``study.ask`` and ``study.tell`` on the same kind of store stands
beside them: what the ledger adds.

``--postgresql`` names an empty database, such as ``postgresql+psycopg://user@127.0.0.1/studies``; without it there
are no rows of PostgreSQL.
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


def of_ledger(url: str, trials: int) -> Iterator[dict[str, float]]:
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
    ledger.close()


def of_optuna(url: str, trials: int) -> Iterator[dict[str, float]]:
    """Run as many trials with Optuna alone; yield the seconds of each."""
    import optuna

    from hybridbatch.search.distributions import space_to_optuna
    from hybridbatch.search.storage import open_storage

    space = space_to_optuna(experiment(trials, "optuna").search.space)
    study = optuna.create_study(
        study_name="optuna", storage=open_storage(url), sampler=optuna.samplers.RandomSampler(0)
    )
    for number in range(trials):
        start = time.perf_counter()
        trial = study.ask(space)
        asked = time.perf_counter()
        trial.report(0.5, 1)
        reported = time.perf_counter()
        study.tell(trial, (number * 7919 % 1009) / 1009)
        told = time.perf_counter()
        yield {"ask": asked - start, "report": reported - asked, "tell": told - reported}


def measured(trials: Iterator[dict[str, float]], progress: str) -> list[dict[str, Any]]:
    """Return the medians of the last trials before each mark."""
    rows, window = [], []
    for number, seconds in enumerate(trials, start=1):
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
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, run in (("ledger", of_ledger), ("Optuna alone", of_optuna)):
        with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
            found[f"SQLite, {name}"] = measured(run(f"sqlite:///{folder}/ledger.db", options.trials), f"SQLite, {name}")
    if options.postgresql:
        for name, run in (("ledger", of_ledger), ("Optuna alone", of_optuna)):
            found[f"PostgreSQL, {name}"] = measured(run(options.postgresql, options.trials), f"PostgreSQL, {name}")
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
