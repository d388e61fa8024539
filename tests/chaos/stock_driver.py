"""The same study as people glue it together: Ray Tune's `Tuner`, `OptunaSearch` and `MLflowLoggerCallback`.

    python -m tests.chaos.stock_driver FILE DATA SCRATCH STORAGE CLUSTER

It is written as the three libraries' own guides advise: a checkpoint with every report, as many retries as it takes,
and `Tuner.restore` for whatever is unfinished or has failed when the driver is started again. Training and evaluation
are hybridbatch's, so that only who keeps the books differs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.folders import TrialFolder
from hybridbatch.spec.reader import read_experiment
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import Rung, TrialSpec
from hybridbatch.training.progress import read_progress

SEARCHED = "loss.temperature"


LOST = "lost.jsonl"  # where every attempt says which steps of the one before it are lost, for the figures alone


class _Reports:
    def __init__(self, folder: TrialFolder) -> None:
        self._folder = folder

    def notice(self) -> bool:
        return False

    def report(self, step: int, rung: Rung | None) -> bool:
        assert rung is not None
        tune.report({"step": step, **rung.summary}, checkpoint=tune.Checkpoint.from_directory(self._folder.path))
        return True


def train(config: dict[str, Any], experiment: Experiment, location: DataLocation, scratch: Path) -> None:
    """Train one trial in a folder of its own below ``scratch``; go on from Tune's checkpoint where there is one."""
    from hybridbatch.training.trial import run_trial
    from hybridbatch.training.workshop import Workshop

    name = tune.get_context().get_trial_id()
    folder = TrialFolder(scratch / name)
    before = read_progress(folder.progress)
    shutil.rmtree(folder.path, ignore_errors=True)
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        checkpoint.to_directory(str(folder.path))
    folder.path.mkdir(parents=True, exist_ok=True)
    if before is not None:
        lost = {"trial": name, "steps": before.step - folder.newest_step()}
        with (scratch / LOST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(lost) + "\n")
    spec = TrialSpec(
        study="small", number=0, params=config, baseline=None, experiment=overrides.apply(experiment, config)
    )
    result = run_trial(spec, folder, Workshop(location), _Reports(folder))
    assert result is not None
    assert result.state == "complete", result.reason
    # Tune tells the search algorithm of what came last.
    tune.report({"step": result.steps, "map_multi": (result.values or (0.0,))[0], "finished": True})


def tuner(file: Path, data: Path, scratch: Path, storage: Path) -> tune.Tuner:
    """Return the study, from where it stands on the disk or new."""
    experiment = read_experiment(file)
    low, high = experiment.search.space[SEARCHED].log_uniform  # type: ignore[union-attr]
    location, name = DataLocation(data, scratch / "cache"), experiment.name
    given = tune.with_parameters(train, experiment=experiment, location=location, scratch=scratch)
    trainable = tune.with_resources(given, {"CPU": 1})
    if tune.Tuner.can_restore(str(storage / name)):
        return tune.Tuner.restore(str(storage / name), trainable, resume_unfinished=True, resume_errored=True)
    return tune.Tuner(
        trainable,
        param_space={SEARCHED: tune.loguniform(low, high)},
        tune_config=tune.TuneConfig(
            metric="map_multi",
            mode="max",
            num_samples=experiment.search.trials or 0,
            search_alg=OptunaSearch(sampler=optuna.samplers.RandomSampler(experiment.search.seed)),
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(storage),
            failure_config=tune.FailureConfig(max_failures=-1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[MLflowLoggerCallback(tracking_uri=experiment.stores.tracking, experiment_name=name)],
        ),
    )


def main() -> None:
    """Work on the study until its end; exit with 1 when a trial has failed."""
    *paths, cluster = sys.argv[1:]
    file, data, scratch, storage = map(Path, paths)
    ray.init(cluster, log_to_driver=False)
    found = tuner(file, data, scratch, storage).fit()
    sys.exit(1 if found.num_errors else 0)


if __name__ == "__main__":
    main()
