"""How measures, paths and numbers are written for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import yaml

from hybridbatch.foundation.registries import BIAS_METRICS, CONTRAST_METRICS, FAIRNESS_METRICS, RANKING_METRICS

_COUNTED = ("rank_distance",)  # measured in ranks, not between 0 and 1
_MINUTE, _HOUR = 60, 3600
_LARGE = 10_000  # from here on four digits would lose the whole part of a number


def measure_name(measure: str) -> str:
    """Return a measure as a heading: ``mAP cross`` for ``map_cross``."""
    return _headings().get(measure, measure.replace("_", " "))


@lru_cache(maxsize=1)
def _headings() -> dict[str, str]:
    """Return the heading of every measure that an evaluation gives."""
    headings = {}
    for registry in (RANKING_METRICS, CONTRAST_METRICS):
        for metric in registry.entries().values():
            for name in metric.summary_names:
                headings[name] = f"{metric.title} {name.removeprefix(metric.name + '_')}"
    for registry in (BIAS_METRICS, FAIRNESS_METRICS):
        headings |= {name: metric.title for name, metric in registry.entries().items()}
    return headings


def short_paths(paths: Iterable[str]) -> dict[str, str]:
    """Return for each dotted path the shortest end of it that no other of ``paths`` has."""
    kept = list(paths)
    short = {}
    for path in kept:
        parts = path.split(".")
        ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        short[path] = next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in kept) == 1), path)
    return short


def number(value: Any) -> str:
    """Return a value with four significant digits, a mapping or list as YAML on one line; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, dict | list | tuple):
        made = yaml.safe_dump(
            _plain(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
        )
        return made.strip()
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < _LARGE else str(value)


def counted(count: float, thing: str) -> str:
    """Return ``1 trial``, ``2 trials``, ``0.5 GPUs``."""
    return f"{count:g} {thing}" if count == 1 else f"{count:g} {thing}s"


def _plain(value: Any) -> Any:
    """Return a value with lists in place of the tuples that settings are frozen in."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def measure_text(measure: str, value: float | None, *, signed: bool = False) -> str:
    """Return a measure as tables of the field print it: ``.9123``, distances with one decimal; nothing for None."""
    if value is None:
        return ""
    sign = "+" if signed else ""
    if measure in _COUNTED:
        return f"{value:{sign}.1f}"
    digits = f"{value:{sign}.4f}"
    return digits.replace("0.", ".", 1) if digits.lstrip("+-").startswith("0.") else digits


def duration(seconds: float | None) -> str:
    """Return seconds as ``42 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE):02d} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02d} min"
