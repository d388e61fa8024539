"""The dashboards of this repository: their panels and queries, as Grafana would send them to Prometheus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1] / "dashboards"
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
# What Grafana puts in for its variables: all studies, and four times the time between two scrapes.
VARIABLES = {"$study": ".*", "$__rate_interval": "40s", "$__range": "1h"}


@dataclass(frozen=True)
class Query:
    """One query of a panel."""

    panel: str
    promql: str
    legend: str


def content(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def queries(file: Path, rate_interval: str = VARIABLES["$__rate_interval"]) -> list[Query]:
    """Return every query of a dashboard, Grafana's variables filled in."""
    found = []
    for panel in content(file)["panels"]:
        for target in panel.get("targets", ()):
            promql = target["expr"]
            for variable, value in {**VARIABLES, "$__rate_interval": rate_interval}.items():
                promql = promql.replace(variable, value)
            assert "$" not in promql, f"{panel['title']} has a variable that no test knows: {promql}"
            found.append(Query(panel["title"], promql, target["legendFormat"]))
    return found


ALL = [query for file in DASHBOARDS for query in queries(file)]
