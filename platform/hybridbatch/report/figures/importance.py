"""How much of an objective's variance each searched value explains (fANOVA, Hutter et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hybridbatch.report.figures.card import FRONT, SEARCHED, FigureCard, new_figure, safe
from hybridbatch.report.figures.comparable import comparable, is_logarithmic
from hybridbatch.report.naming import measure_name

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

    from hybridbatch.report.collect import StudyTable, TrialRow

FEWEST_TRIALS = 4  # with fewer, trees of the forest have nothing to split
FORESTS = 4  # of different seeds: how far they scatter says how much of a share is chance of the method
_FEWER_FORESTS, _MANY_TRIALS = 2, 300
_SECTION = "What mattered"


def importance_cards(table: StudyTable) -> list[FigureCard]:
    """Return a bar chart for each objective, or one card that says why there is none; nothing without a search."""
    if not table.searched:
        return []
    cards = []
    for index, objective in enumerate(table.objectives):
        title = f"Importance for {measure_name(objective.metric)}"
        shares = importances(table, index)
        if not shares:
            reason = (
                f"Needs at least {FEWEST_TRIALS} complete trials that differ in the searched values alone, with "
                f"different outcomes; this study has {len(comparable(table))}."
            )
            cards.append(FigureCard(_SECTION, title, reason, None))
            continue
        ordered = sorted(shares.items(), key=lambda share: share[1].mean)
        figure = new_figure("share of the variance explained", "")
        figure.add_bar(
            x=[share.mean for _, share in ordered],
            y=[safe(path) for path, _ in ordered],
            orientation="h",
            marker={"color": SEARCHED},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [share.highest - share.mean for _, share in ordered],
                "arrayminus": [share.mean - share.lowest for _, share in ordered],
                "color": FRONT,
            },
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
        figure.update_layout(bargap=0.45)
        figure.update_xaxes(range=[0, 1])
        forests = next(iter(shares.values())).forests
        caption = (
            f"Share of the variance of {measure_name(objective.metric)} that each searched value explains by itself "
            f"and in combination (fANOVA), from {len(comparable(table))} complete trials that differ in nothing else "
            f"but the seed. Bars: mean of {forests} random forests with fixed seeds; lines: the lowest and the highest "
            "of them, no confidence interval, since other trials would scatter more. With few trials this is a hint, "
            "not a finding."
        )
        cards.append(FigureCard(_SECTION, title, caption, figure, shape="low"))
    return cards


@dataclass(frozen=True)
class Importance:
    """Importance of a searched path.

    Attributes:
        mean: Mean share of the variance over the forests.
        lowest: The lowest of them.
        highest: The highest.
        forests: Their number.
    """

    mean: float
    lowest: float
    highest: float
    forests: int


def importances(table: StudyTable, objective: int) -> dict[str, Importance]:
    """Return the importance of each searched path for one objective; empty when there are too few outcomes.

    fANOVA (Hutter, Hoos and Leyton-Brown, *An efficient approach for assessing hyperparameter importance*, ICML 2014)
    by Optuna's evaluator, which takes pruned trials' absence as it is: only complete trials have a final value. The
    study is rebuilt in memory from the results, so that the ledger need not be there.
    """
    rows = comparable(table)
    outcomes = [row.result.values[objective] for row in rows if row.result.values is not None]
    if len(outcomes) < FEWEST_TRIALS or len(set(outcomes)) == 1:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    distributions = {path: _distribution(table, path, rows) for path in table.searched}
    varied = [path for path, distribution in distributions.items() if not distribution.single()]
    if not varied:
        return {}
    study = _rebuilt(rows, {path: distributions[path] for path in varied}, objective)
    forests = [
        get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=seed))
        for seed in range(FORESTS if len(rows) <= _MANY_TRIALS else _FEWER_FORESTS)
    ]
    by_path = {path: [float(forest[path]) for forest in forests] for path in varied}
    return {path: Importance(fmean(one), min(one), max(one), len(one)) for path, one in by_path.items()}


def _rebuilt(rows: list[TrialRow], distributions: dict[str, BaseDistribution], objective: int) -> Study:
    import optuna

    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(quiet)
    for row in rows:
        if row.result.values is None:
            continue
        params = {path: _internal(row.placed[path], distributions[path]) for path in distributions}
        value = row.result.values[objective]
        study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=value))
    return study


def _distribution(table: StudyTable, path: str, rows: list[TrialRow]) -> BaseDistribution:
    """Return a distribution that holds every value seen: the searched range is not needed, only its scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = [row.placed[path] for row in rows]
    log = is_logarithmic(table, path)
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values), log=log)
    if values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return FloatDistribution(float(min(values)), float(max(values)), log=log)
    return CategoricalDistribution(sorted({str(value) for value in values}) or ["none"])


def _internal(value: Any, distribution: BaseDistribution) -> Any:
    from optuna.distributions import CategoricalDistribution

    return str(value) if isinstance(distribution, CategoricalDistribution) else value
