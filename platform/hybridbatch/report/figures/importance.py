"""How much of an objective's variance each searched value explains (fANOVA, Hutter et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybridbatch.report.collect import MIX
from hybridbatch.report.figures.card import SEARCHED, FigureCard, new_figure, safe
from hybridbatch.report.figures.response import is_logarithmic
from hybridbatch.report.naming import measure_name

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

    from hybridbatch.report.collect import StudyTable, TrialRow

FEWEST_TRIALS = 4  # with fewer, trees of the forest have nothing to split
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
                f"different outcomes; this study has {len(_comparable(table))}."
            )
            cards.append(FigureCard(_SECTION, title, reason, None))
            continue
        ordered = sorted(shares.items(), key=lambda share: share[1])
        figure = new_figure("share of the variance explained", "")
        figure.add_bar(
            x=[share for _, share in ordered],
            y=[safe(path) for path, _ in ordered],
            orientation="h",
            marker={"color": SEARCHED},
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
        figure.update_layout(bargap=0.45)
        figure.update_xaxes(range=[0, 1])
        caption = (
            f"Share of the variance of {measure_name(objective.metric)} that each searched value explains by itself "
            f"and in combination (fANOVA over a random forest with a fixed seed), from {len(_comparable(table))} "
            "complete trials that differ in nothing else but the seed. With few trials this is a hint, not a finding."
        )
        cards.append(FigureCard(_SECTION, title, caption, figure, shape="low"))
    return cards


def importances(table: StudyTable, objective: int) -> dict[str, float]:
    """Return the importance of each searched path for one objective; empty when there are too few outcomes.

    The study is rebuilt in memory from the results, so that the ledger need not be there.
    """
    rows = _comparable(table)
    outcomes = [row.result.values[objective] for row in rows if row.result.values is not None]
    if len(outcomes) < FEWEST_TRIALS or len(set(outcomes)) == 1:
        return {}
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    distributions = {path: _distribution(table, path, rows) for path in table.searched}
    varied = [path for path, distribution in distributions.items() if not distribution.single()]
    if not varied:
        return {}
    study = _rebuilt(rows, {path: distributions[path] for path in varied}, objective)
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=64, max_depth=64, seed=0))
    return {path: float(share) for path, share in found.items()}


def _comparable(table: StudyTable) -> list[TrialRow]:
    """Return the complete trials that differ in searched values and seed alone: baselines may be among them."""
    search = table.experiment.get("search", {})
    space: dict[str, dict[str, Any]] = search.get("space", {})
    complements = {path: (space.get(path) or {}).get("complement") for path in table.searched}
    may_differ = {*table.searched, *complements.values(), "training.seed"}
    # Of a baseline the share of the mix is known, which is the weight itself where it has a complement.
    if all(complements[path] for path in table.searched if path.startswith(f"{MIX}.")):
        inside = {name for name, values in search.get("baselines", {}).items() if values.keys() <= may_differ}
    else:
        inside = set()
    return [
        row
        for row in table.complete
        if (not row.result.baseline or row.result.baseline in inside)
        and row.result.replicate_of is None  # its settings are there already
        and row.placed.keys() >= set(table.searched)
    ]


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
