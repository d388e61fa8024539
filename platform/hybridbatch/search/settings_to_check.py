"""Which settings of a study have to be tried with its data: the baselines, and the ends of what is searched."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.planned import PlannedTrials, resolve
from hybridbatch.spec import overrides
from hybridbatch.spec.dotted_paths import overlap
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.search_space import extremes, middle

MOST = 256  # settings of the search; where there are more, the ends of one range after the other are tried
# paths on which data, batches, pretrained models, what is trained of them and the files of arms depend
_DECIDE = (
    "data.", "batches.", "backbone.name", "backbone.revision", "backbone.size", "backbone.folder", "backbone.width",
    "arms.", "loss.matryoshka", "training.trim_vocabulary", "training.lora", "training.freeze_", "training.layer_decay",
)  # fmt: skip


@dataclass(frozen=True)
class SettingsToCheck:
    """Settings that a trial may have.

    Attributes:
        values: What is not as in the file: dotted path -> value; of a range its own value, and not that of its
            complement.
        experiment: The experiment with all that in place.
        baseline: Name of the baseline that has them; empty for what is searched.
    """

    values: Mapping[str, Any]
    experiment: Experiment
    baseline: str = ""

    @property
    def name(self) -> str:
        """What they are, for people; empty for the experiment as written."""
        return f"the baseline {self.baseline}" if self.baseline else _in_words(self.values)

    def named_in(self, error: UserError, *decisive: str) -> UserError:
        """Return ``error`` as one that says with which settings it came, unless it comes with the file as written.

        Args:
            error: What was found with these settings.
            decisive: Paths that the finding depends on; with everything below and above them.
        """
        told = {path: value for path, value in self.values.items() if any(overlap(path, one) for one in decisive)}
        if not told:
            return error
        name = self.name if self.baseline else _in_words(told)
        return error.retold(problem=f"{error.problem}, with {name}")


def settings_to_check(experiment: Experiment, plan: PlannedTrials) -> list[SettingsToCheck]:
    """Return settings such that, when they can run, every trial can.

    Raises:
        UserError: If values of a grid do not go together.
    """
    baselines = {baseline.name: number for number, baseline in enumerate(plan.baselines)}  # seeds change nothing
    found = [
        SettingsToCheck(plan.baselines[number].values, resolve(experiment, plan, number, {}), name)
        for name, number in baselines.items()
    ]
    if plan.total > len(plan.baselines):
        found += _searched(experiment, plan)
    return found


def _searched(experiment: Experiment, plan: PlannedTrials) -> Iterator[SettingsToCheck]:
    space = experiment.search.space
    paths = [
        path for path, one in space.items() if path.startswith(_DECIDE) or (one.complement or "").startswith(_DECIDE)
    ]
    if plan.grid:
        yield from _of_grid(experiment, plan, paths)
        return
    of_points = ({path: point[path] for path in paths if path in point} for point in plan.enqueued)
    for values in itertools.chain(of_points, itertools.islice(_ends(experiment, paths), MOST)):
        resolved = _applied(experiment, values)
        if resolved is not None:  # the reader has tried each value by itself: only ends of several ranges may clash
            yield SettingsToCheck(values, resolved)


def _of_grid(experiment: Experiment, plan: PlannedTrials, paths: list[str]) -> Iterator[SettingsToCheck]:
    numbers: dict[tuple[Any, ...], int] = {}
    for number, point in enumerate(plan.grid, len(plan.baselines)):
        numbers.setdefault(tuple(point[path] for path in paths), number)
    for chosen, number in itertools.islice(numbers.items(), MOST):
        values = dict(zip(paths, chosen, strict=True))
        try:
            resolved = resolve(experiment, plan, number, plan.grid[number - len(plan.baselines)])
        except UserError as error:
            raise SettingsToCheck(values, experiment).named_in(error, *paths) from error
        yield SettingsToCheck(values, resolved)


def _ends(experiment: Experiment, paths: list[str]) -> Iterator[dict[str, Any]]:
    """Yield every combination of listed values and ends of ranges, or each of them by itself where there are many."""
    space = experiment.search.space
    if math.prod(len(extremes(space[path])) for path in paths) <= MOST:
        for values in itertools.product(*(extremes(space[path]) for path in paths)):
            yield dict(zip(paths, values, strict=True))
        return
    middles = {path: middle(space[path]) for path in paths}
    # side by side, so that no long list keeps the others out
    for values in itertools.zip_longest(*(extremes(space[path]) for path in paths)):
        for path, value in zip(paths, values, strict=True):
            if value is not None:
                yield {**middles, path: value}


def _applied(experiment: Experiment, values: Mapping[str, Any]) -> Experiment | None:
    """Return the experiment with ``values``, beside the middles of the other ranges if need be; None if they clash."""
    space = experiment.search.space
    for rest in ({}, {path: middle(one) for path, one in space.items() if path not in values}):
        try:
            return overrides.apply(experiment, overrides.with_complements(space, {**rest, **values}))
        except UserError:
            continue
    return None


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value}" for path, value in values.items())
