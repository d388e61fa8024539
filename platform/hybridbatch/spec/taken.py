"""What a study took from earlier ones: a record in its ledger and in its folder, written once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hybridbatch.spec.trial import Record
from hybridbatch.spec.warm_start import WarmStart

Value = bool | int | float | str


class TakenPoint(Record):
    """A point of an earlier study that is tried here.

    Attributes:
        number: Number of the trial there.
        trial: Number of the trial that tries it here.
        values: Its objectives there.
        params: Dotted path -> value, of paths that are searched here.
    """

    number: int
    trial: int
    values: tuple[float, ...]
    params: dict[str, Value]


class LeftOut(Record):
    """What was not taken.

    Attributes:
        why: The reason.
        trials: Numbers of the first such trials there.
        count: How many there are.
    """

    why: str
    trials: tuple[int, ...]
    count: int


class Learnt(NamedTuple):
    """A trial of an earlier study that the sampler learns from."""

    number: int
    pruned: bool
    baseline: bool
    values: tuple[float, ...]
    step: int
    excess: dict[str, float]
    params: dict[str, Value]


class LearntTrials(Record):
    """The trials of an earlier study that the sampler learns from: lists of the same length, one entry a trial.

    Attributes:
        numbers: Their numbers there.
        pruned: Whether they were pruned; all others are complete.
        baselines: Whether they are baselines.
        values: Their objectives; of a pruned one those at its last rung, none where it has none.
        steps: The last rung of a pruned one; 0 for others.
        excess: By name of a constraint, by how much they break it; a list for each constraint.
        params: By dotted path, their values.
    """

    numbers: tuple[int, ...] = ()
    pruned: tuple[bool, ...] = ()
    baselines: tuple[bool, ...] = ()
    values: tuple[tuple[float, ...], ...] = ()
    steps: tuple[int, ...] = ()
    excess: dict[str, tuple[float | None, ...]] = {}
    params: dict[str, tuple[Value, ...]] = {}

    @classmethod
    def of(cls, trials: list[Learnt]) -> LearntTrials:
        """Return ``trials`` as lists."""
        names = dict.fromkeys(name for one in trials for name in one.excess)
        return cls(
            numbers=tuple(one.number for one in trials),
            pruned=tuple(one.pruned for one in trials),
            baselines=tuple(one.baseline for one in trials),
            values=tuple(one.values for one in trials),
            steps=tuple(one.step for one in trials),
            excess={name: tuple(one.excess.get(name) for one in trials) for name in names},
            params={path: tuple(one.params[path] for one in trials) for path in (trials[0].params if trials else ())},
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def each(self) -> Iterator[Learnt]:
        """Yield the trials, by number."""
        for index, number in enumerate(self.numbers):
            excess = {name: column[index] for name, column in self.excess.items()}
            yield Learnt(
                number,
                self.pruned[index],
                self.baselines[index],
                self.values[index],
                self.steps[index],
                {name: value for name, value in excess.items() if value is not None},
                {path: column[index] for path, column in self.params.items()},
            )


class TakenStudy(Record):
    """What was taken from one earlier study.

    Attributes:
        study: Its name.
        finished: Its complete and pruned trials at that time.
        points: Its points that are tried here, the best first.
        points_left_out: Better ones that were not taken.
        learnt: Its trials that the sampler learns from.
        learnt_left_out: Finished ones that it does not learn from.
    """

    study: str
    finished: int
    points: tuple[TakenPoint, ...] = ()
    points_left_out: tuple[LeftOut, ...] = ()
    learnt: LearntTrials = LearntTrials()
    learnt_left_out: tuple[LeftOut, ...] = ()


class Taken(Record):
    """What a study took from earlier ones when it was first opened.

    Attributes:
        asked: ``search.warm_start`` as it was then.
        studies: What was taken, in the same order.
    """

    asked: tuple[WarmStart, ...] = ()
    studies: tuple[TakenStudy, ...] = ()

    @property
    def points(self) -> Mapping[int, Mapping[str, Any]]:
        """The points that are tried here, by number of the trial."""
        return {point.trial: point.params for study in self.studies for point in study.points}

    def entries(self) -> list[dict[str, Any]]:
        """Return what was taken from each study, as commands show it.

        Keys: ``study``, ``finished``, ``points`` (``trial``, ``number``, ``values``, ``params``), ``points_left_out``
        (``why``, ``trials``, at most ten of them, ``count``), ``learnt`` (numbers of trials there),
        ``learnt_left_out``.
        """
        entries = []
        for study in self.studies:
            entry = study.model_dump(mode="json", exclude={"learnt"})
            entries.append(entry | {"learnt": list(study.learnt.numbers)})
        return entries

    def learnt(self) -> list[Learnt]:
        """Return all trials that the sampler learns from."""
        return [trial for study in self.studies for trial in study.learnt.each()]


NOTHING = Taken()
