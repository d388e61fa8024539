"""How long a worker group stands idle between two trials, in warm groups and in the stock pattern, in one run.

    python experiments/benchmarks/hand_over.py [--trials 12] [--stock-trials 5] [--json] [--keep FOLDER]

A hand-over is the time from the last report of one trial to the first optimizer step of the next. Both sides run the
quickstart's data and backbone for a few steps, one trial at a time, through the same
:func:`hybridbatch.training.trial.run_trial`, each in a process and on a Ray instance of its own:

- warm: a study as ``hybridbatch run`` runs it: ledger and MLflow on SQLite, trials handed to a warm worker group;
- stock: what Ray's documentation shows: Tune calls a function that calls ``TorchTrainer.fit()`` for each trial, with
  OptunaSearch (its storage on SQLite) and MLflowLoggerCallback (on SQLite).

There is no report set, since measuring it is a trial's work and not its hand-over. A trial writes down when it measured
its last rung and when it began its first step, so the figures come from the trial folders of both sides alike. Part by
part: *ending* (after the last rung: checkpoint, report, verdict, model), *between* (result written and told, next trial
asked and handed out; in the stock pattern also new processes), *starting* (encoder and optimizer, to the first step).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hybridbatch.search.session import StudySession
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import HomeFolder, TrialFolder
from hybridbatch.spec.reader import read_content, validate
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung, TrialResult, TrialSpec

QUICKSTART = Path(__file__).parents[1] / "quickstart" / "experiment.yaml"
SEARCHED = "training.learning_rate"
LOWEST, HIGHEST = 1e-4, 1e-3
PARTS = ("hand-over", "ending", "between", "starting")
REQUIRED_SECONDS, REQUIRED_RATIO = 0.5, 50


def experiment(trials: int) -> Experiment:
    """Return the quickstart cut down to a few steps a trial, with nothing after the last report."""
    content = read_content(QUICKSTART)
    content["name"] = "hand-over"
    content["data"]["report"] = []
    content["training"] |= {"steps": 10, "evaluate_every": 5}
    content["search"] = {"trials": trials, "space": {SEARCHED: {"log_uniform": [LOWEST, HIGHEST]}}}
    content["resources"] = {"max_concurrent": 1}
    return validate(content)


class Silent:
    """Watches a study and says nothing."""

    def started(self, spec: TrialSpec, folder: TrialFolder) -> None:
        """Say nothing."""

    def reported(self, number: int, rung: Rung, goes_on: bool) -> None:
        """Say nothing."""

    def finished(self, result: TrialResult) -> None:
        """Say nothing."""


def run_warm(home: HomeFolder, trials: int) -> None:
    """Run the study as ``hybridbatch run`` does."""
    from hybridbatch.cluster.driver import run_on_ray

    session = StudySession(experiment(trials), home, home.path, None, Silent())
    try:
        run_on_ray(session)
    finally:
        problems = session.close().problems
    if problems:
        raise RuntimeError(f"MLflow: {problems}")


def run_stock(home: HomeFolder, trials: int) -> None:
    """Run the same trials in the stock pattern."""
    import ray
    from optuna.storages import RDBStorage
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    home.path.mkdir(parents=True, exist_ok=True)
    ray.init(include_dashboard=False)
    tuner = tune.Tuner(
        stock_driver,
        param_space={SEARCHED: tune.loguniform(LOWEST, HIGHEST), "home": str(home.path), "trials": trials},
        tune_config=tune.TuneConfig(
            num_samples=trials,
            max_concurrent_trials=1,
            search_alg=OptunaSearch(metric="map_multi", mode="max", storage=RDBStorage(home.ledger_url)),
        ),
        run_config=tune.RunConfig(
            name="stock",
            storage_path=str(home.path / "ray"),
            callbacks=[MLflowLoggerCallback(tracking_uri=home.tracking_url, experiment_name="stock")],
        ),
    )
    errors = tuner.fit().errors
    ray.shutdown()
    if errors:
        raise errors[0]


def stock_driver(config: dict[str, Any]) -> None:
    """Train one trial: the function that Tune calls."""
    from ray import tune
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        stock_worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(
            name=f"train-{tune.get_context().get_trial_id()}",
            storage_path=f"{config['home']}/ray",
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def stock_worker(config: dict[str, Any]) -> None:
    """Train one trial: what the Ray Train worker does, in the same code as a warm one."""
    import ray.train

    from hybridbatch.training.trial import run_trial
    from hybridbatch.training.workshop import Workshop

    class Verdicts:
        def notice(self) -> bool:
            return False

        def report(self, step: int, rung: Rung | None) -> bool:
            ray.train.report({"step": step, **(rung.summary if rung else {})})
            return True

    home = HomeFolder(Path(config["home"]))
    study = home.study("hand-over")
    number = len(list(study.trials()))  # one trial at a time
    params = {SEARCHED: config[SEARCHED]}
    spec = TrialSpec(
        study=study.name,
        number=number,
        params=params,
        baseline=None,
        experiment=overrides.apply(experiment(config["trials"]), params),
    )
    run_trial(spec, study.trial(number), Workshop(DataLocation(home.path, home.cache)), Verdicts())


def hand_overs(home: HomeFolder) -> dict[str, list[float]]:
    """Return the seconds of every hand-over of a side, whole and part by part."""
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    results = sorted(home.study("hand-over").results(), key=lambda result: result.started)
    for before, after in pairwise(results):
        if after.first_step is None or not before.rungs or before.rungs[-1].measured is None:
            raise RuntimeError(f"trial {before.number} or {after.number} did not run to its end: {after.reason}")
        moments = [before.rungs[-1].measured, before.finished, after.started, after.first_step]
        times = [datetime.fromisoformat(moment).timestamp() for moment in moments]
        for part, (start, end) in zip(PARTS, [(0, 3), (0, 1), (1, 2), (2, 3)], strict=True):
            seconds[part].append(times[end] - times[start])
    return seconds


def measure(folder: Path, warm: int, stock: int) -> dict[str, Any]:
    """Run both sides and return their figures."""
    sides: dict[str, dict[str, list[float]]] = {}
    for side, trials in (("warm", warm), ("stock", stock)):
        home = HomeFolder(folder / side)
        log = folder / f"{side}.log"
        with log.open("w", encoding="utf-8") as output:
            command = [sys.executable, __file__, "--side", side, "--keep", str(folder), "--trials", str(trials)]
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
                raise SystemExit(f"{side}: failed; the end of {log}:\n{log.read_text(encoding='utf-8')[-3000:]}")
        sides[side] = hand_overs(home)
        if len(sides[side]["hand-over"]) != trials - 1:
            raise SystemExit(f"{side}: {len(sides[side]['hand-over'])} hand-overs of {trials} trials")
    ratio = statistics.median(sides["stock"]["hand-over"]) / statistics.median(sides["warm"]["hand-over"])
    return {"seconds": sides, "ratio": ratio}


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="seconds from the last report of a trial to the first step of the next", box=None)
    for column in ("", "", "n", "median", "min", "max"):
        table.add_column(column, justify="right" if column else "left")
    for side, parts in figures["seconds"].items():
        for part, values in parts.items():
            statistic = (statistics.median(values), min(values), max(values))
            heading = (side, part) if part == PARTS[0] else ("", f"  {part}")
            style = "bold" if part == PARTS[0] else "dim"
            table.add_row(*heading, str(len(values)), *(f"{value:.3f}" for value in statistic), style=style)
    console = Console()
    console.print(table)
    console.print(
        f"stock / warm: {figures['ratio']:.0f}  "
        f"(required: warm at most {REQUIRED_SECONDS} s, ratio at least {REQUIRED_RATIO})",
        highlight=False,
    )


def main() -> None:
    """Read the options, measure, print; exit code 1 when what is required is not reached."""
    parser = argparse.ArgumentParser(description="time the hand-over between two trials")
    parser.add_argument("--trials", type=int, default=12, help="trials in the warm group")
    parser.add_argument("--stock-trials", type=int, default=5, help="trials in the stock pattern")
    parser.add_argument("--keep", type=Path, help="a new folder to keep studies, stores and logs in")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("warm", "stock"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run = run_warm if arguments.side == "warm" else run_stock
        run(HomeFolder(arguments.keep / arguments.side), arguments.trials)
        return
    with tempfile.TemporaryDirectory(prefix="hand-over-") as temporary:
        folder = (arguments.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(folder, arguments.trials, arguments.stock_trials)
    if arguments.json:
        print(json.dumps(figures, indent=1))
    else:
        show(figures)
    reached = statistics.median(figures["seconds"]["warm"]["hand-over"]) <= REQUIRED_SECONDS
    sys.exit(not (reached and figures["ratio"] >= REQUIRED_RATIO))


if __name__ == "__main__":
    main()
