"""Which experiment a study belongs to, as it stands in the study's attributes."""

from __future__ import annotations

import json
from typing import Any

import optuna

from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.storage import open_storage, readable_store_errors
from hybridbatch.spec.experiment import Experiment

# Names of user attributes of the study.
EXPERIMENT, PLANNED, EXTENSIONS = "experiment", "planned", "extensions"
CONTENT = "content"  # the experiment as JSON, for later studies that compare themselves with it


def identity(experiment: Experiment) -> str:
    """Return the fingerprint of what makes an experiment this one: all but its size, its end, resources and stores."""
    # Without defaults: a newer version that knows one more key does not make it another experiment.
    told = experiment.model_dump(
        mode="json",
        exclude={"resources": True, "stores": True, "search": {"trials", "budget", "stop", "replicates"}},
        exclude_defaults=True,
    )
    data = experiment.data
    names = [source.dataset for source in (*data.train, data.selection, *data.report)]  # a default of each one's class
    return fingerprint.of_json([told, names])


def check_identity(study: optuna.Study, experiment: Experiment) -> None:
    """Make a new study that of ``experiment``; refuse another experiment's.

    Raises:
        UserError: If the study is that of another experiment.
    """
    mine = identity(experiment)
    theirs = study.user_attrs.get(EXPERIMENT)
    if theirs is None:
        study.set_user_attr(EXPERIMENT, mine)
    elif theirs != mine:
        raise UserError(
            "a study of this name exists with another experiment",
            path="name",
            seen=experiment.name,
            allowed="one experiment per study; only trials, budget, stop, replicates, resources and stores may change",
            remedy="give the changed experiment another name, or use another --home; `hybridbatch extend` changes "
            "the space of trials to come (and ends its work when it was killed in the middle)",
        )
    if CONTENT not in study.user_attrs:
        study.set_user_attr(CONTENT, content(experiment))


def content(experiment: Experiment) -> str:
    """Return an experiment as the ledger holds it: without stores, since whoever looks into the ledger sees it."""
    return experiment.model_dump_json(exclude={"stores"})


def extended_experiment(name: str, url: str) -> dict[str, Any] | None:
    """Return the experiment that a study was last extended to, as JSON; None when it never was or is not there."""
    with readable_store_errors(url):
        try:
            study = optuna.load_study(study_name=name, storage=open_storage(url))
        except KeyError:
            return None
        known = study.user_attrs
    held = [one for one in known.get(EXTENSIONS, ()) if one["identity"] == known.get(EXPERIMENT)]
    return dict(json.loads(held[-1]["experiment"])) if held else None
