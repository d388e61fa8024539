"""From what a person calls a model to where it lies: ``STUDY/NUMBER``, ``STUDY/best``, a folder or a hub name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hybridbatch.foundation.errors import UserError
from hybridbatch.report.collect import BEST, best_trial
from hybridbatch.spec.folders import HomeFolder, StudyFolder, TrialFolder

_NAMED = re.compile(r"(\w[\w.-]*)=(.+)", re.DOTALL)  # a name becomes a folder's: it is not `..`
TRIAL_NAME = re.compile(rf"([a-z0-9][a-z0-9_-]{{0,63}})/([0-9]+|{BEST})")


@dataclass(frozen=True)
class NamedTrial:
    """A trial that kept its model.

    Attributes:
        study: Its study.
        folder: Its folder.
    """

    study: StudyFolder
    folder: TrialFolder

    @property
    def name(self) -> str:
        """The trial as people call it, ``quickstart/7``, also when it was asked for as the best one."""
        return f"{self.study.name}/{self.folder.number}"


def model_folder(model: str, home: HomeFolder) -> str:
    """Return the folder of a trial's model for ``STUDY/NUMBER`` and ``STUDY/best``, else ``model`` itself.

    Raises:
        UserError: If the trial kept no model, or no trial is complete.
    """
    trial = trial_if_named(model, home)
    return str(trial.folder.model) if trial else model


def named_models(models: Iterable[str]) -> dict[str, str]:
    """Return models by their names in the comparison: ``NAME=MODEL``, else the last part of folder or hub name.

    Raises:
        UserError: If a name stands twice.
    """
    found: dict[str, str] = {}
    for given in models:
        named = None if Path(given).exists() else _NAMED.fullmatch(given)
        name = named[1] if named else re.sub(r"^\.+|[^\w.-]", "-", _last_part(given))
        if name in found:
            raise UserError(
                "two models of one name",
                path="MODEL",
                seen=name,
                remedy=f"give them names: {name}-a={found[name]} {name}-b={named[2] if named else given}",
            )
        found[name] = named[2] if named else given
    return found


def trial_if_named(model: str, home: HomeFolder) -> NamedTrial | None:
    """Return the trial that ``model`` names, None when it is something else: a name on the hub may look like a trial's.

    Raises:
        UserError: If the trial kept no model, or no trial is complete.
    """
    named = TRIAL_NAME.fullmatch(model)
    if named is None or Path(model).exists() or not home.study(named[1]).path.exists():
        return None
    return named_trial(model, home)


def named_trial(name: str, home: HomeFolder) -> NamedTrial:
    """Return the trial called ``STUDY/NUMBER``, or ``STUDY/best``: the best complete one by the first objective.

    Raises:
        UserError: If there is no such study or trial, or it kept no model.
    """
    named = TRIAL_NAME.fullmatch(name)
    if named is None:
        raise UserError("not the name of a trial", seen=name, allowed=f"STUDY/NUMBER or STUDY/{BEST}")
    study = home.study(named[1])
    if not study.path.exists():
        studies = ", ".join(one.name for one in home.studies())
        remedy = "another home folder is named with --home"
        raise UserError("no such study", file=home.path, seen=name, allowed=studies or "none yet", remedy=remedy)
    trial = best_trial(study) if named[2] == BEST else study.trial(int(named[2]))
    if not trial.model.exists() or trial.read_result() is None:
        complete = [str(one.number) for one in study.trials() if one.model.exists()]
        raise UserError(
            "this trial has no model",
            file=study.path,
            seen=f"{study.name}/{trial.number}{_state(trial)}",
            allowed=f"a complete trial: {', '.join(complete) or 'none yet'}",
            remedy="pruned and failed trials keep no model",
        )
    return NamedTrial(study, trial)


def _last_part(model: str) -> str:
    if TRIAL_NAME.fullmatch(model):
        return model.replace("/", "-")
    return Path(model).name or "model"


def _state(trial: TrialFolder) -> str:
    """Return ``, pruned`` and the like, nothing for a trial that is not there."""
    if not trial.path.exists():
        return ", which was never begun"
    result = trial.read_result()
    return f", {result.state}" if result else ", not finished"
