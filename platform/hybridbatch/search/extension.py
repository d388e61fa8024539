"""More trials for a study, another budget or end, or another space for trials to come: what is done stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.distributions import check_distribution_compatibility

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.distributions import to_optuna
from hybridbatch.search.identity import extended_experiment, identity
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.planned import planned_trials
from hybridbatch.search.replicates import check_replicates
from hybridbatch.search.samplers.grid import GridSettings
from hybridbatch.search.session import ledger_url, load_study, open_ledger
from hybridbatch.spec.experiment import Experiment, Search
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.reader import validate


@dataclass(frozen=True)
class Extension:
    """What an extension changed.

    Attributes:
        before: Trials that were planned.
        after: Trials that are planned now.
        paths: Searched paths that are new, gone or have another range.
        budget: The limits that hold now, by name; none without a budget.
    """

    before: int
    after: int
    paths: tuple[str, ...]
    budget: dict[str, float]


def extend_study(home: HomeFolder, name: str, trials: int | None, changed: Experiment | None) -> Extension:
    """Plan more trials for a study, or draw those to come from another space; `resume` runs them.

    Killed in the middle it can be called again: the ledger is written first and knows the whole new experiment.

    Args:
        home: The home folder.
        name: The study.
        trials: Searched trials in all; None: as ``changed`` says, else as before.
        changed: An experiment that differs from the study's in ``search.trials``, ``search.budget``, ``search.stop``,
            ``search.replicates`` and ``search.space`` alone, or has no points to try any more, as when they lie outside
            another space.

    Raises:
        UserError: If something else differs, fewer trials are planned than there are, Optuna could not hold the
            values of both spaces in one study, or the contenders of the search are decided.
        StoreError: If the ledger cannot be reached.
    """
    experiment = load_study(home, name)
    url = ledger_url(experiment, home)
    known = extended_experiment(name, url)
    if known is not None:
        last = validate(known, home.study(name).experiment)
        if identity(last) != identity(experiment):  # killed before the folder was written
            experiment = last.model_copy(update={"stores": experiment.stores})  # which no ledger holds
    new = _search(experiment, trials, changed)
    _check_space(experiment.search, new)
    extended = experiment.model_copy(update={"search": new})
    plan = planned_trials(extended)
    ledger = open_ledger(experiment, home)
    try:
        check_replicates(ledger.study, extended, plan.total)
        _check_over(ledger, experiment.search, new)
        there = len(ledger.study.get_trials(deepcopy=False))
        if plan.total < there:
            raise UserError(
                "the study has more trials already",
                path="--trials",
                seen=plan.total - len(plan.baselines),
                allowed=f"at least {there - len(plan.baselines)}, beside {len(plan.baselines)} of baselines",
            )
        ledger.extend(extended)
    finally:
        ledger.close()
    home.study(name).write_experiment(extended)
    old, space = experiment.search.space, new.space
    paths = tuple(sorted(path for path in {*old, *space} if old.get(path) != space.get(path)))
    return Extension(ledger.plan.total, plan.total, paths, new.budget.limits if new.budget else {})


def _check_over(ledger: Ledger, old: Search, new: Search) -> None:
    if ledger.contenders() is not None and (old.space, old.stop) != (new.space, new.stop):
        raise UserError(
            "the search is over, and its contenders run again: nothing is drawn any more",
            path="search.space" if old.space != new.space else "search.stop",
            allowed="as it was",
            remedy=f"make another study that begins with this one: search.warm_start, study {ledger.name}",
        )


def _search(experiment: Experiment, trials: int | None, changed: Experiment | None) -> Search:
    search = experiment.search
    if changed is not None:
        kept = {"space": search.space} | ({} if changed.search.enqueue else {"enqueue": search.enqueue})
        same = changed.model_copy(update={"search": changed.search.model_copy(update=kept)})
        if identity(same) != identity(experiment):
            raise UserError(
                "the file differs from the study in more than its trials and its space",
                path="search",
                seen=experiment.name,
                allowed="another search.trials, budget, stop, replicates and space, all else as it was",
                remedy="give the changed experiment another name",
            )
        search = changed.search
    return search if trials is None else search.model_copy(update={"trials": trials})


def _check_space(old: Search, new: Search) -> None:
    if isinstance(new.sampler, GridSettings) and old.space != new.space:
        raise UserError(
            "a grid with other values would give other trials the numbers of those that are there",
            path="search.space",
            allowed="the same space: more points of the same grid",
            remedy="make another study of the new grid",
        )
    for path, distribution in new.space.items():
        before = old.space.get(path)
        if before is None:
            continue
        if before.complement != distribution.complement:
            raise UserError(
                "values with and without a complement would stand side by side",
                path=f"search.space.{path}.complement",
                seen=distribution.complement,
                allowed=str(before.complement),
            )
        try:
            check_distribution_compatibility(to_optuna(before), to_optuna(distribution))
        except ValueError as error:
            raise UserError(
                "one study cannot hold values of both",
                path=f"search.space.{path}",
                seen=distribution.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
                allowed="another range of the same kind, on the same scale; choices stay as they are, since a sampler "
                "knows them by their place in the list",
                remedy=f"make another study: {error}",
            ) from error
