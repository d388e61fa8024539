"""What a new study takes from earlier ones of its ledger: points to try first, and trials to learn from.

It is taken once, when the study is first opened, and kept with it: what earlier studies do later, and whether they are
still there, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.distributions import contains, in_type, space_to_optuna
from hybridbatch.search.earlier_study import EarlierStudy, differences, earlier_study, flat, with_complement_paths
from hybridbatch.search.outcomes import best_first, rungs_of
from hybridbatch.search.planned import is_baseline, planned_trials
from hybridbatch.spec import overrides
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.taken import Learnt, LearntTrials, LeftOut, Taken, TakenPoint, TakenStudy
from hybridbatch.spec.warm_start import WarmStart

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

WARM_START = "warm_start"  # name of the user attribute of the study that holds what was taken
MOST_LEARNT = 1000  # trials of one study; of more, as many of them evenly by number
_MOST_DIFFERENCES, _MOST_NAMED = 3, 10


class _NotTaken:
    """Counts what is not taken, by reason."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def note(self, number: int, why: str) -> None:
        self._found.setdefault(why, []).append(number)

    def entries(self) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(why=why, trials=tuple(numbers[:_MOST_NAMED]), count=len(numbers))
            for why, numbers in self._found.items()
        )


def take(experiment: Experiment, storage: BaseStorage) -> Taken:
    """Return what a study takes from earlier ones as they stand now.

    Args:
        experiment: The study's experiment.
        storage: Its ledger.

    Raises:
        UserError: If one of them is not there, has nothing to be taken, or its values do not compare.
    """
    taken: list[TakenStudy] = []
    tried = [dict(point) for point in experiment.search.enqueue]
    first = len(planned_trials(experiment).baselines)
    for index, entry in enumerate(experiment.search.warm_start):
        path = f"search.warm_start.{index}"
        study = earlier_study(storage, entry.study, experiment.name, f"{path}.study")
        points, points_left_out = _points(experiment, study, entry, tried, first)
        learnt, learnt_left_out = _learnt(experiment, study, f"{path}.learn") if entry.learn else ([], _NotTaken())
        if not points and not learnt:
            whys = [one.why for one in (*points_left_out.entries(), *learnt_left_out.entries())]
            raise UserError(
                "there is nothing to take from this study",
                path=path,
                seen=f"{entry.study}: {len(study.trials)} finished trials" + "".join(f"; {why}" for why in whys[:3]),
                allowed="a study with complete trials that keep to its constraints and lie in this search space",
                remedy="let it go on first (`hybridbatch resume`), or leave it out",
            )
        taken.append(
            TakenStudy(
                study=entry.study,
                finished=len(study.trials),
                points=tuple(points),
                points_left_out=points_left_out.entries(),
                learnt=LearntTrials.of(learnt),
                learnt_left_out=learnt_left_out.entries(),
            )
        )
    found = Taken(asked=experiment.search.warm_start, studies=tuple(taken))
    return Taken.model_validate_json(found.model_dump_json())  # what every later driver reads, from the first one on


def _points(
    experiment: Experiment, study: EarlierStudy, entry: WarmStart, tried: list[dict[str, Any]], first: int
) -> tuple[list[TakenPoint], _NotTaken]:
    """Return the best points of a study that can be tried here, and add them to those that are ``tried``."""
    points: list[TakenPoint] = []
    not_taken = _NotTaken()
    space = space_to_optuna(experiment.search.space)
    for trial in best_first(study.trials, study.study.directions):
        if len(points) >= entry.points:
            break
        settings = study.settings_of(trial) or trial.params
        point = {path: settings[path] for path in space if settings.get(path) is not None}
        outside = [path for path, value in point.items() if not contains(space[path], value)]
        if not point:
            not_taken.note(trial.number, "none of the paths that are searched here")
            continue
        if outside:
            not_taken.note(trial.number, f"{outside[0]} outside this search space")
            continue
        point = {path: in_type(space[path], value) for path, value in point.items()}
        if point in tried:
            not_taken.note(trial.number, "the same point as one before it")
        elif (problem := _refusal(experiment, point)) is not None:
            not_taken.note(trial.number, problem)
        else:
            tried.append(point)
            number = first + len(tried) - 1
            points.append(TakenPoint(number=trial.number, trial=number, values=tuple(trial.values or ()), params=point))
    return points, not_taken


def _refusal(experiment: Experiment, point: Mapping[str, Any]) -> str | None:
    """Return why no trial of this experiment can have a whole point; one that leaves paths out is tried later."""
    space = experiment.search.space
    if point.keys() == space.keys():
        try:
            overrides.apply(experiment, overrides.with_complements(space, point))
        except UserError as error:
            return f"{error.path}: {error.problem}"
    return None


def _learnt(experiment: Experiment, study: EarlierStudy, path: str) -> tuple[list[Learnt], _NotTaken]:
    """Return the trials of a study of which the values hold here, too."""
    mine = flat(experiment)
    _refuse_others(experiment, mine, study, path)
    searched = with_complement_paths(experiment.search.space)
    space, found, not_taken = space_to_optuna(experiment.search.space), [], _NotTaken()
    for trial in study.trials:
        settings = study.settings_of(trial)
        if settings is None:
            not_taken.note(trial.number, "its settings are not known any more")
            continue
        others = differences(settings, mine, searched)
        outside = [one for one in space if not contains(space[one], settings.get(one))]
        if others:
            where, _, ours = others[0]
            not_taken.note(trial.number, f"{where} is not {ours} there")
        elif outside:
            not_taken.note(trial.number, f"{outside[0]} outside this search space")
        elif not _complements_hold(experiment, settings):
            not_taken.note(trial.number, "a complement that is not one minus its value")
        else:
            params = {one: in_type(space[one], settings[one]) for one in space}
            found.append(_as_learnt(trial, params, len(experiment.search.objectives)))
    if len(found) > MOST_LEARNT:
        kept = {index * len(found) // MOST_LEARNT for index in range(MOST_LEARNT)}  # from everywhere alike
        for index, one in enumerate(found):
            if index not in kept:
                not_taken.note(one.number, f"more than {MOST_LEARNT} trials")
        found = [one for index, one in enumerate(found) if index in kept]
    return found, not_taken


def _refuse_others(experiment: Experiment, mine: Mapping[str, Any], study: EarlierStudy, path: str) -> None:
    """Refuse a study of another experiment.

    Raises:
        UserError: If its values do not compare with those of ``experiment``.
    """
    alone = "take its points alone: they are tried here, so that their values are this study's own"
    name = study.study.study_name
    if not study.experiments:
        raise UserError(
            "the ledger does not say what this study was, so that nobody knows whether its values compare",
            path=path,
            seen=name,
            allowed="a study of this version",
            remedy=f"`hybridbatch status {name}`, where its folder is, writes it into the ledger; or {alone}",
        )
    theirs = study.experiments[-1]
    searched = with_complement_paths(experiment.search.space) | with_complement_paths(study.space)
    found = differences(study.settings, mine, searched)
    for key in ("constraints", "objectives"):
        pair = [one.model_dump(mode="json", include={key})[key] for one in (theirs.search, experiment.search)]
        if pair[0] != pair[1]:
            found.insert(0, (f"search.{key}", *pair))
    if found:
        raise UserError(
            "the values of this study and of the earlier one do not compare",
            path=path,
            seen=f"{name} has "
            + ", ".join(f"{where}: {one} (here {other})" for where, one, other in found[:_MOST_DIFFERENCES])
            + (f" and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""),
            allowed="another name, question, resources, stores, report sets and searched paths; all else alike",
            remedy=alone,
        )


def _complements_hold(experiment: Experiment, settings: Mapping[str, Any]) -> bool:
    pairs = [(path, one.complement) for path, one in experiment.search.space.items() if one.complement is not None]
    return all(math.isclose(settings[path] + settings.get(other, 0.0), 1.0, abs_tol=1e-9) for path, other in pairs)


def _as_learnt(trial: FrozenTrial, params: dict[str, Any], objectives: int) -> Learnt:
    pruned = trial.state == TrialState.PRUNED
    rungs = rungs_of(trial, objectives) if pruned else {}
    step = max(rungs, default=0)
    values = tuple(rungs.get(step, ())) if pruned else tuple(trial.values or ())
    excess = {} if pruned else dict(trial.constraints)
    return Learnt(trial.number, pruned, is_baseline(trial), values, step, excess, params)
