"""Studies that are over, in the ledger of one that begins with them."""

from __future__ import annotations

import math
from typing import Any

from tests.ledger_fixtures import NO_BASELINES, RATE, TEMPERATURE, TWO_PARAMS
from tests.small_study import experiment, result, rung

from hybridbatch.search.ledger import Ledger
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.trial import TrialResult

SEARCHED: dict[str, Any] = {**NO_BASELINES, "search.space": TWO_PARAMS, "search.trials": 12}


def value_of(params: dict[str, Any]) -> float:
    """Return 0.9 where the temperature is 0.08 and the rate 0.001, less elsewhere."""
    off = math.log10(params.get(TEMPERATURE, 0.05) / 0.08) ** 2
    return 0.9 - 0.2 * (off + 0.3 * math.log10(params.get(RATE, 0.01) / 0.001) ** 2)


def outcome(number: int, params: dict[str, Any], pruned: bool = False) -> TrialResult:
    """Return the outcome of a trial: that of :func:`value_of`, less where it was pruned."""
    value = value_of(params)
    told = result(number, "pruned") if pruned else result(number, values=(value,))
    rungs = (rung(2, value - 0.1),) if pruned else (rung(2, value - 0.1), rung(6, value))
    return told.model_copy(update={"rungs": rungs})


def run(study: Experiment, url: str, most: int = 1000, pruned: int = 0) -> list[dict[str, Any]]:
    """Run trials of a study until none is handed out; return their values.

    Args:
        study: Its experiment.
        url: Its ledger.
        most: The most trials to run.
        pruned: When given, every so many-th trial is pruned.
    """
    ledger, given = Ledger(study, url), []
    while len(given) < most and (one := ledger.next_assignment()) is not None:
        given.append(one.params)
        ledger.tell(outcome(one.number, one.params, bool(pruned) and one.number % pruned == pruned - 1))
    ledger.close()
    return given


def earlier(url: str, name: str = "before", **changes: Any) -> Experiment:
    """Run a study to its end, every fourth trial pruned; return its experiment."""
    made = experiment({**SEARCHED, **{key.replace("__", "."): one for key, one in changes.items()}}, name=name)
    run(made, url, pruned=4)
    return made


def later(entry: dict[str, Any], **changes: Any) -> Experiment:
    """Return an experiment that begins with the study ``before``."""
    entries = [{"study": "before", **entry}]
    more = {key.replace("__", "."): one for key, one in changes.items()}
    return experiment({**SEARCHED, "search.warm_start": entries, **more})
