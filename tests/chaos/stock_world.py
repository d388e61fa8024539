"""The world of a chaos test around the stock pattern, and what is left of its books after a storm."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.stock_driver import LOST, SEARCHED
from tests.chaos.world import World

from hybridbatch.training.progress import read_progress


class StockWorld(World):
    """Runs :mod:`tests.chaos.stock_driver` in place of hybridbatch; all else is the same.

    ``Tuner.restore`` brings every driver after the first back to where the study stands, as `hybridbatch resume` does.
    """

    # Workers and controllers are Ray Train's, which this pattern does without: the trainable stands for all three.
    actors = dict.fromkeys(World.actors, ("ray::ImplicitFunc", "ray::train"))

    @property
    def scratch(self) -> Path:
        """Where trials work."""
        return self.folder / "scratch"

    @property
    def storage(self) -> Path:
        """What Tune keeps, on the small disk."""
        return self.disk / "stock"

    def driver_command(self) -> list[str]:
        """Return the command of the next driver."""
        self.scratch.mkdir(exist_ok=True)
        paths = map(str, (self.file, self.data, self.scratch, self.storage))
        return [sys.executable, "-m", "tests.chaos.stock_driver", *paths, self.cluster.address]

    def progress(self) -> float:
        """Return the share of the planned steps that were done."""
        known = [read_progress(folder / "progress.json") for folder in self.scratch.glob("*/")]
        return sum(now.step for now in known if now is not None) / (self.steps * self.trials)


def outcome(world: StockWorld) -> dict[str, Any]:
    """Return what a reader finds afterwards: in Tune's files, in MLflow and in the cluster."""
    last = [_last_report(file) for file in (world.storage / "small").glob("*/result.json")]
    complete = [one for one in last if one.get("step") == world.steps and one.get("finished")]
    drawn = Counter(json.dumps(one["config"][SEARCHED]) for one in last if "config" in one)
    client = world.tracking().connect()
    found = client.get_experiment_by_name("small")
    runs = client.search_runs([found.experiment_id], max_results=10_000) if found else []
    names = Counter(run.data.tags.get("trial_name", "") for run in runs)
    lost = world.scratch / LOST
    again = [json.loads(line)["steps"] for line in lost.read_text().splitlines()] if lost.exists() else []
    state = world.cluster.view.state()
    return {
        "trials planned": world.trials,
        "trials in Tune": len(last),
        "trials complete": len(complete),
        "values drawn more than once": sum(count - 1 for count in drawn.values()),
        "MLflow runs": len(runs),
        "MLflow runs by state": dict(Counter(run.info.status for run in runs)),
        "trials with more than one MLflow run": sum(count > 1 for count in names.values()),
        "placement groups left": state["groups"],
        "drivers": len(world.drivers),
        "steps repeated": sum(again),
        "most steps repeated at once": max(again, default=0),
        "checkpoint interval": world.steps // 12,
    }


def _last_report(file: Path) -> dict[str, Any]:
    for line in reversed(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:  # torn by a crash
            continue
        return found
    return {}
