"""What pruning by the order of Pareto fronts keeps of the front, and what it saves, on a made-up problem in one run.

    python experiments/benchmarks/pareto_pruning.py [--trials 60] [--seeds 10] [--at-once 4] [--sampler NAME] [--json]

Two objectives (mAP up, rank distance down) that nobody can have both of, with learning curves: how far a trial has
come after a step depends on its settings, some are slow beginners, and each evaluation is noisy. No model is trained;
all else is real: the experiment of the quickstart with four searched paths, the ledger on SQLite, its samplers and its
pruners, several trials at once that report in turns.

For each seed a study runs to its end without pruning, and with each pruner. *Hypervolume* is that of the values told
for complete trials, from the reference (0, 1000), divided by that of the study without pruning; *steps* are
those of all trials, divided likewise; both are medians over seeds (with the lower quartile of the hypervolume). *True*
is the hypervolume of the same trials by their values without noise: more complete trials have more luck, too. *Fewer
trials* is what the study without pruning had after as many steps: pruning is to be better than simply stopping earlier.
The row *first* prunes by the first objective alone.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from optuna._hypervolume import compute_hypervolume

from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.verdicts import RungRecord
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import read_content, validate
from hybridbatch.spec.trial import Mixture, Rung, TrialResult

QUICKSTART = Path(__file__).parents[1] / "quickstart" / "experiment.yaml"
STEPS, EVERY = 1600, 100
REFERENCE = 1000.0  # the largest rank distance that counts
KEPT, SPENT = 0.95, 0.5  # required: at least this share of the hypervolume, at most this share of the steps
FIRST = "first"  # begins the names of what prunes by the first objective alone
SPACE = {
    "batches.mix.monolingual": {"uniform": [0.02, 0.98], "complement": "batches.mix.crosslingual"},
    "loss.temperature": {"log_uniform": [0.01, 0.2]},
    "training.learning_rate": {"log_uniform": [1e-5, 1e-2]},
    "training.warmup": {"uniform": [0.0, 0.5]},
}
SAMPLERS = {"random": {"kind": "random"}, "tpe": {"kind": "tpe", "startup_trials": 10}}
PRUNERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "asha 100, 3": {"kind": "asha", "minimum_steps": 100, "reduction": 3},
    "asha 200, 3": {"kind": "asha", "minimum_steps": 200, "reduction": 3},
    "asha 200, 2": {"kind": "asha", "minimum_steps": 200, "reduction": 2},
    "median 200, 8": {"kind": "median", "minimum_steps": 200, "minimum_trials": 8},
}
PRUNERS |= {f"{FIRST} {name}": PRUNERS[name] for name in ("asha 200, 3",)}


def experiment(sampler: str, pruner: str, trials: int, seed: int) -> Experiment:
    """Return the quickstart with the problem's space, without baselines."""
    content = read_content(QUICKSTART)
    content["name"] = "pareto"
    content["training"] |= {"steps": STEPS, "evaluate_every": EVERY}
    content["search"] |= {
        "trials": trials,
        "baselines": {},
        "space": SPACE,
        "sampler": SAMPLERS[sampler],
        "pruner": PRUNERS[pruner],
        "seed": seed,
        "objectives": [{"metric": "map_multi"}, {"metric": "rank_distance"}],
    }
    return validate(content)


class Problem:
    """What a trial would measure at each step.

    Args:
        params: What the search chose.
        seed: Seed of the noise, which differs between trials.
    """

    def __init__(self, params: dict[str, Any], seed: int) -> None:
        mono = params["batches.mix.monolingual"]
        rate = math.log10(params["training.learning_rate"] / 1e-3) / 2  # 0 is best, -1 far too low
        heat = math.log10(params["loss.temperature"] / 0.04)
        # How well a trial is set up: 1 at best, near 0 for most of the space.
        fit = math.exp(-2.5 * rate**2 - 3.0 * heat**2 - 1.0 * (params["training.warmup"] - 0.1) ** 2)
        self._best = 0.15 + 0.7 * fit * (0.55 + 0.45 * math.sin(mono * math.pi / 2))
        self._distance = 900.0 - 850.0 * fit * (0.35 + 0.65 * math.cos(mono * math.pi / 2))
        # Low rates, long warm-up and monolingual batches begin slowly, so that curves cross.
        self._pace = 150.0 * (1.0 + max(0.0, -2.0 * rate) + 1.5 * params["training.warmup"] + 0.5 * mono)
        self._noise = np.random.default_rng(seed).normal(size=(STEPS // EVERY + 1, 2))

    def true(self, step: int) -> tuple[float, float]:
        """Return mAP and rank distance at ``step`` without noise."""
        learnt = 1.0 - math.exp(-step / self._pace)
        return 0.05 + (self._best - 0.05) * learnt, 950.0 + (self._distance - 950.0) * learnt

    def measured(self, step: int) -> tuple[float, float]:
        """Return mAP and rank distance at ``step``, as an evaluation would."""
        value, distance = self.true(step)
        noise = self._noise[step // EVERY]
        return float(value + 0.01 * noise[0]), float(distance + 12.0 * noise[1])


@dataclass(frozen=True)
class Outcome:
    """A finished trial: its steps, and its final values if it is complete."""

    steps: int
    told: tuple[float, float] | None
    true: tuple[float, float]


class FirstAlone(RungRecord):
    """Verdicts by the first objective, for comparison."""

    def _scores(self, values: list[list[float]]) -> list[float]:
        return [one[0] for one in values]


def study(made: Experiment, url: str, at_once: int, seed: int, first_alone: bool) -> list[Outcome]:
    """Run a study through the ledger, ``at_once`` trials in turns; return its trials in the order of their ends."""
    ledger, running, ended = Ledger(made, url), [], []
    if first_alone:
        ledger._rungs = FirstAlone(made, ledger.plan, ledger.storage, ledger._trials)
    while True:
        while len(running) < at_once and (given := ledger.next_assignment()) is not None:
            running.append((given, turn(ledger, given.number, given.params, seed)))
        if not running:
            break
        for entry in list(running):
            given, turns = entry
            done = next(turns)
            if done is not None:
                ledger.tell(result(made, given.number, given.params, done))
                ended.append(done)
                running.remove(entry)
    ledger.close()
    return ended


def turn(ledger: Ledger, number: int, params: dict[str, Any], seed: int) -> Iterator[Outcome | None]:
    """Train from one evaluation to the next; yield None until the trial is over."""
    problem = Problem(params, derive_seed(seed, "noise", number))
    for step in range(EVERY, STEPS + 1, EVERY):
        value, distance = problem.measured(step)
        summary = {"map_multi": value, "rank_distance": distance}
        goes_on = ledger.report(number, Rung(step=step, seconds=0.0, train_loss=1.0, summary=summary))
        if step == STEPS:
            yield Outcome(step, (value, distance), problem.true(step))
        yield None if goes_on else Outcome(step, None, problem.true(step))


def result(made: Experiment, number: int, params: dict[str, Any], done: Outcome) -> TrialResult:
    """Return the result of a trial that trained nothing."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return TrialResult(
        study=made.name,
        number=number,
        baseline=None,
        params=params,
        state="complete" if done.told else "pruned",
        reason=None,
        values=done.told,
        seed=0,
        steps=done.steps,
        best_step=done.steps,
        rungs=(),
        report={},
        mixture=Mixture(batches={}, datasets={}, pairs={}),
        seconds={"train": 0.0, "evaluate": 0.0, "total": 0.0},
        provenance={},
        leakage=(),
        started=now,
        finished=now,
    )


def hypervolume(values: list[tuple[float, float]]) -> float:
    """Return the share of the box between (0, REFERENCE) and (1, 0) that is dominated."""
    losses = np.array([(-value, distance / REFERENCE) for value, distance in values]).reshape(-1, 2)
    reference = np.array([0.0, 1.0])
    inside = losses[(losses < reference).all(axis=1)]
    return float(compute_hypervolume(inside, reference)) if len(inside) else 0.0


def within(ended: list[Outcome], steps: int) -> list[tuple[float, float]]:
    """Return the values told for the first trials, which took ``steps`` at most."""
    found, spent = [], 0
    for one in ended:
        spent += one.steps
        if spent <= steps and one.told:
            found.append(one.told)
    return found


def compared(sampler: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one sampler's table."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in PRUNERS if PRUNERS[name]}
    for seed in range(options.seeds):
        ended = {}
        for pruner in PRUNERS:
            with tempfile.TemporaryDirectory(prefix="pareto-") as folder:
                made = experiment(sampler, pruner, options.trials, seed)
                alone = pruner.startswith(FIRST)
                ended[pruner] = study(made, f"sqlite:///{folder}/ledger.db", options.at_once, seed, alone)
        whole = ended["none"]
        told = hypervolume([one.told for one in whole if one.told])
        true = hypervolume([one.true for one in whole if one.told])
        for pruner, found in rows.items():
            mine = ended[pruner]
            steps = sum(one.steps for one in mine)
            found.append(
                {
                    "hypervolume": hypervolume([one.told for one in mine if one.told]) / told,
                    "true": hypervolume([one.true for one in mine if one.told]) / true,
                    "steps": steps / sum(one.steps for one in whole),
                    "complete": sum(one.told is not None for one in mine),
                    "fewer": hypervolume(within(whole, steps)) / told,
                }
            )
        print(f"  {sampler}: seed {seed} done", flush=True)
    return [{"sampler": sampler, "pruner": name, **medians(found)} for name, found in rows.items()]


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians over seeds, and the lower quartile of the hypervolume."""
    middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
    volumes = [one["hypervolume"] for one in found]
    low = statistics.quantiles(volumes, n=4, method="inclusive")[0] if len(volumes) > 1 else volumes[0]
    return {**middle, "low": low}


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--sampler", choices=sorted(SAMPLERS), help="one sampler alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for name in SAMPLERS if options.sampler in (None, name) for row in compared(name, options)]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{options.trials} trials of {STEPS} steps, {options.at_once} at once; medians of {options.seeds} seeds")
    print("sampler  pruner              steps  complete  hypervolume (quartile)   true  fewer trials  required")
    for row in rows:
        passed = "yes" if row["hypervolume"] >= KEPT and row["steps"] <= SPENT else "no"
        print(
            f"{row['sampler']:8s} {row['pruner']:18s} {row['steps']:6.1%} {row['complete']:9.0f} "
            f"{row['hypervolume']:12.1%} ({row['low']:.1%}) {row['true']:10.1%} {row['fewer']:13.1%}  {passed}"
        )
    print(f"required: at least {KEPT:.0%} of the hypervolume with at most {SPENT:.0%} of the steps")


if __name__ == "__main__":
    main()
