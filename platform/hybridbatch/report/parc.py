"""A masked language model with and without a retriever's neighbours: what the terminal, JSON and CSV show.

Keys of ``parc --json``:

- ``dataset``, ``retriever``, ``language_model``, ``settings`` (all of them), ``words`` (label -> word), ``chance``;
  ``items`` and ``pairs`` (of each language) that are asked about; ``languages``.
- ``pool``: ``dataset``, ``language``, ``pairs``, ``dropped`` (items left out since they are asked about).
- ``accuracies``: list of ``language`` (null: unweighted mean over languages), ``arm`` (``direct``: without neighbours,
  ``retrieved``, ``random``, ``neighbours``: their labels without a language model), ``accuracy``, ``low``, ``high``.
- ``differences``: list of ``language``, ``first`` and ``second`` (arms), ``difference``, ``low``, ``high``, ``p``,
  ``p_holm`` (corrected over languages and comparisons; null for the mean, which is no part of that family).
- ``prompts``: how many were asked; ``cut``: how many of them had texts that did not fit.
- ``leakage``: what is known of text shared between what the models learnt from and the data set.

Shape legend: X pairs, I items, C cells, M figures, K comparisons.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridbatch.evaluation.parc import ARMS, Arm, ParcOutcome, ParcPlan
from hybridbatch.metrics.significance.bootstrap import paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans, Floats
from hybridbatch.metrics.significance.holm import holm
from hybridbatch.metrics.significance.randomisation import randomisation_test
from hybridbatch.report.export import finite

if TYPE_CHECKING:
    import pyarrow as pa

_Measured = tuple[float, float | None, float | None, float]  # figure, low, high, p
RESAMPLES, ALPHA = 10_000, 0.05
COMPARED: tuple[tuple[Arm, Arm], ...] = (("retrieved", "direct"), ("retrieved", "random"), ("retrieved", "neighbours"))


@dataclass(frozen=True)
class ArmAccuracy:
    """How often an arm predicts the label.

    Attributes:
        language: The language; None for the unweighted mean over languages.
        arm: The arm.
        accuracy: Share of the pairs.
        low: Lower end of its 95% interval, by item; None with fewer than two items.
        high: Upper end.
    """

    language: str | None
    arm: Arm
    accuracy: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ArmDifference:
    """The difference of two arms.

    Attributes:
        language: The language; None for the unweighted mean over languages.
        first: An arm.
        second: Another.
        difference: Accuracy of the first less that of the second.
        low: Lower end of its 95% interval, by item; None with fewer than two items.
        high: Upper end.
        p: Two-sided p-value of a paired randomisation test by item.
        p_holm: The same corrected by Holm's method over languages and comparisons; None for the mean.
    """

    language: str | None
    first: Arm
    second: Arm
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float | None = None


@dataclass(frozen=True)
class ParcTable:
    """All figures.

    Attributes:
        retriever: The retriever as the user named it.
        language_model: The masked language model as the user named it.
        plan: What was measured.
        outcome: What was predicted.
        accuracies: By language, the mean last, and arm.
        differences: By language, the mean last, and comparison.
        leakage: What is known of shared text.
    """

    retriever: str
    language_model: str
    plan: ParcPlan
    outcome: ParcOutcome
    accuracies: tuple[ArmAccuracy, ...]
    differences: tuple[ArmDifference, ...]
    leakage: tuple[str, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that were asked in."""
        return tuple(self.outcome.data.asked)

    @property
    def places(self) -> tuple[str | None, ...]:
        """The languages and, where there are several, None for their mean."""
        return (*self.languages, None) if len(self.languages) > 1 else self.languages

    @property
    def items(self) -> int:
        """Number of items that were asked about."""
        return len({pair.item for pair in self.outcome.data.asked[self.languages[0]]})


def parc_table(
    retriever: str, language_model: str, plan: ParcPlan, outcome: ParcOutcome, leakage: Sequence[str]
) -> ParcTable:
    """Return accuracies and differences with their intervals.

    Args:
        retriever: The retriever as the user named it.
        language_model: The masked language model as the user named it.
        plan: What was measured.
        outcome: What was predicted.
        leakage: What is known of shared text.
    """
    table = ParcTable(retriever, language_model, plan, outcome, (), (), tuple(leakage))
    right = {arm: _right(outcome, arm) for arm in ARMS}
    figures = [*(right[arm] for arm in ARMS), *(right[first] - right[second] for first, second in COMPARED)]
    accuracies: list[ArmAccuracy] = []
    differences: list[ArmDifference] = []
    for place, measured in zip(table.places, _measured(figures, table), strict=True):
        levels, changes = measured[: len(ARMS)], measured[len(ARMS) :]
        accuracies += [
            ArmAccuracy(place, arm, point, low, high) for arm, (point, low, high, _) in zip(ARMS, levels, strict=True)
        ]
        differences += [
            ArmDifference(place, first, second, point, low, high, p)
            for (first, second), (point, low, high, p) in zip(COMPARED, changes, strict=True)
        ]
    family = [row for row in differences if row.language is not None]
    corrected_K = holm(np.array([row.p for row in family]))
    in_family = iter(replace(row, p_holm=float(p)) for row, p in zip(family, corrected_K, strict=True))
    differences = [row if row.language is None else next(in_family) for row in differences]
    return replace(table, accuracies=tuple(accuracies), differences=tuple(differences))


def parc_json(table: ParcTable) -> dict[str, Any]:
    """Return what ``parc --json`` prints; the module's text documents the keys."""
    outcome, settings = table.outcome, table.plan.settings
    data = outcome.data
    plain = {
        "dataset": data.name,
        "retriever": table.retriever,
        "language_model": table.language_model,
        "settings": settings.model_dump(mode="json"),
        "words": dict(zip(data.labels, outcome.words, strict=True)),
        "chance": 1 / len(data.labels),
        "items": table.items,
        "pairs": len(data.asked[table.languages[0]]),
        "languages": list(table.languages),
        "pool": {
            "dataset": data.pool_name,
            "language": settings.pool_language,
            "pairs": len(data.pool),
            "dropped": data.dropped,
        },
        "accuracies": [asdict(row) for row in table.accuracies],
        "differences": [asdict(row) for row in table.differences],
        "prompts": outcome.prompts,
        "cut": outcome.cut,
        "leakage": list(table.leakage),
    }
    content: dict[str, Any] = finite(plain)
    return content


def parc_csv(table: ParcTable) -> str:
    """Return one CSV row for each language (``*``: their mean) and arm."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["language", "arm", "accuracy", "low", "high"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(finite(asdict(row)) | {"language": row.language or "*"} for row in table.accuracies)
    return text.getvalue()


def predictions(table: ParcTable) -> pa.Table:
    """Return what was predicted for every pair: ``item``, ``language``, ``label``, ``arm``, ``predicted``, and a column
    of probabilities for each label.
    """  # noqa: D205 - a list of columns
    import pyarrow as pa  # pyarrow takes long to import

    data = table.outcome.data
    parts = []
    for (language, arm), shares_XC in table.outcome.shares_XC.items():
        pairs = data.asked[language]
        columns: dict[str, Any] = {
            "item": [pair.item for pair in pairs],
            "language": [language] * len(pairs),
            "label": [data.labels[pair.label] for pair in pairs],
            "arm": [arm] * len(pairs),
            "predicted": [data.labels[place] for place in table.outcome.predicted_X[language, arm].tolist()],
        }
        parts.append(pa.table(columns | dict(zip(data.labels, shares_XC.T, strict=True))))
    return pa.concat_tables(parts)


def _right(outcome: ParcOutcome, arm: Arm) -> Floats:
    """Return 1 for each pair of each language whose label is predicted, else 0; a row a language."""
    rows = [
        outcome.predicted_X[language, arm] == np.array([pair.label for pair in pairs])
        for language, pairs in outcome.data.asked.items()
    ]
    return np.stack(rows).astype(np.float64)


def _measured(figures: Sequence[Floats], table: ParcTable) -> list[list[_Measured]]:
    """Return each figure with its interval and the p-value of 0, a list for each place, all from the same resamples.

    Args:
        figures: A value of every pair, a row a language.
        table: Which languages and places there are.
    """
    languages = len(table.languages)
    names = [pair.item for pair in table.outcome.data.asked[table.languages[0]]]
    _, item_X = np.unique(names, return_inverse=True)
    sums = [np.bincount(item_X, row_X) for figure in figures for row_X in figure]
    one_language = [np.eye(languages)[:, [column]] for column in range(languages)]
    of_place = [*one_language, np.ones((languages, 1))][: len(table.places)]
    means = ClusteredMeans(
        sums_IC=np.stack(sums, axis=1),
        counts_IC=np.repeat(np.bincount(item_X).astype(np.float64)[:, None], len(sums), axis=1),
        member_CM=np.hstack([np.kron(np.eye(len(figures)), member_C1) for member_C1 in of_place]).astype(np.float64),
    )
    seed = table.plan.settings.seed
    drawn = paired_bootstrap(means, resamples=RESAMPLES, seed=seed, alpha=ALPHA)
    p_M = randomisation_test(means, resamples=RESAMPLES, seed=seed).p_M
    rows = [
        (float(point), None if np.isnan(low) else float(low), None if np.isnan(high) else float(high), float(p))
        for point, low, high, p in zip(means.point_M, drawn.low_M, drawn.high_M, p_M, strict=True)
    ]
    return [rows[start : start + len(figures)] for start in range(0, len(rows), len(figures))]
