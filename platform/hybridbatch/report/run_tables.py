"""A comparison of runs for the terminal, and what is said below it in every format."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.report.tables import plain_table, with_whole_figures

if TYPE_CHECKING:
    from hybridbatch.report.run_comparison import RunComparison, RunDifference

_SMALL = 1e-4


def run_tables(comparison: RunComparison) -> list[Table]:
    """Return a table for each pair of runs on each data set."""
    return [_pair_table(list(of_pair), comparison) for _, of_pair in groupby(comparison.differences, key=_pair)]


def _pair(one: RunDifference) -> tuple[str | None, str, str]:
    return one.dataset, one.first, one.second


def _pair_table(differences: list[RunDifference], comparison: RunComparison) -> Table:
    one = differences[0]
    seeds = [f"{number} seed{'s' * (number > 1)}" for number in one.seeds]
    title = f"{one.dataset or 'scores'}: {one.first} ({seeds[0]}) - {one.second} ({seeds[1]})"
    shown = plain_table(title)
    shown.add_column("")
    headings = ("first", "second", "first less second", interval_name(comparison), "p", "p Holm")
    for heading in headings:
        shown.add_column(heading, justify="right")
    shown.add_column("holds for")
    shown.add_column("items", justify="right")
    for difference in differences:
        shown.add_row(*row_texts(difference), style="bold" if difference.holds else None)
    return with_whole_figures(shown)


def row_texts(one: RunDifference) -> list[Text]:
    """Return a difference as a row: figure, both means, difference, interval, p, corrected p, holds for, items."""
    texts = (
        figure_name(one),
        measure_text(one.measure, one.first_mean),
        measure_text(one.measure, one.second_mean),
        measure_text(one.measure, one.difference, signed=True),
        interval_text(one),
        p_text(one.p),
        p_text(one.p_holm),
        verdict(one),
        f"{one.items:,}",
    )
    return [Text(text) for text in texts]


def figure_name(one: RunDifference) -> str:
    """Return what is compared as a heading: ``mAP cross de-en``."""
    return measure_name(one.measure) + (f" {one.place}" if one.place else "")


def interval_name(comparison: RunComparison) -> str:
    """Return ``95% interval``."""
    return f"{100 * (1 - comparison.settings.alpha):.4g}%\u00a0interval"


def interval_text(one: RunDifference) -> str:
    """Return ``[-.0123, +.0045]``, nothing where there is none."""
    if one.low is None or one.high is None:
        return ""
    low, high = (measure_text(one.measure, end, signed=True) for end in (one.low, one.high))
    return f"[{low},\u00a0{high}]"


def p_text(p: float) -> str:
    """Return a probability with four digits."""
    return "<.0001" if p < _SMALL else measure_text("p", p)


def verdict(one: RunDifference) -> str:
    """Return for which run a difference holds; ``yes`` where neither direction is better."""
    if not one.holds:
        return "neither"
    return one.better or "yes"


def footnotes(comparison: RunComparison) -> list[str]:
    """Return how the figures came about and what a reader has to know of them."""
    return [_method(comparison), *comparison.notes]


def _method(comparison: RunComparison) -> str:
    how, found = comparison.settings, comparison.differences
    tests = dict.fromkeys((one.test, one.exact) for one in found)
    level = f"{100 * how.alpha:.4g}%"
    drawn = f"{how.resamples:,} resamples, seed {how.seed}"
    words = {
        ("randomisation", True): "p: paired randomisation test, exact",
        ("randomisation", False): f"p: paired randomisation test, {drawn}",
        ("bootstrap", False): f"p: paired bootstrap, {drawn}",
        ("two-level", False): "p and interval: two-level test over seeds and parallel questions",
    }
    parts = [words[test] for test in tests]
    if any(one.test != "two-level" for one in found):
        kind = {"bca": "BCa", "percentile": "percentiles"}[how.interval]
        parts.append(f"interval: paired bootstrap ({kind}), {drawn}")
        parts.append("single runs: other seeds may differ" if all(max(one.seeds) == 1 for one in found) else "")
    if any(one.test == "two-level" for one in found):
        parts.append("p Holm: from p-values that hold in the far tail with few seeds")
    parts.append("item: a parallel question with all its translations, the unit of every test")
    parts.append(f"holds for the better one: p at most {level} after Holm's correction over {_counted(found)}")
    return "; ".join(filter(None, parts))


def _counted(found: Iterable[RunDifference]) -> str:
    number = len(list(found))
    return f"{number} comparison{'s' * (number > 1)}"
