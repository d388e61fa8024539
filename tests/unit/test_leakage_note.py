"""What is said of shared text beside the figures of a model that somebody names."""

from __future__ import annotations

from pathlib import Path

from tests.trial_folders import trial_result, write_study

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.leakage_note import leakage_note


def test_a_trial_is_known_even_where_nothing_was_compared(tmp_path: Path) -> None:
    home = HomeFolder(tmp_path)
    told, silent = trial_result(0), trial_result(1).model_copy(update={"leakage": ()})
    study = write_study(home.study("mine").path, [told, silent])
    for number in (0, 1):
        study.trial(number).model.mkdir(exist_ok=True)

    assert leakage_note("a", "mine/0", "xquad-r", home) == "a: world-facts: no report text stands in the training text"
    shared = "text shared between its training data and xquad-r was not looked for"
    assert leakage_note("b", "mine/1", "xquad-r", home) == f"b: {shared}"
    assert leakage_note("c", "org/model", "xquad-r", home).startswith("c: what it learnt from is not known here")
