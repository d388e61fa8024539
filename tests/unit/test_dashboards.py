"""Every query of the dashboards asks for figures that are exported, by labels that they have."""

from __future__ import annotations

import re
import subprocess
from itertools import combinations
from pathlib import Path

import promql_parser
import pytest
import yaml
from tests.dashboards import ALL, DASHBOARDS, ROOT, Query, content

from hybridbatch.cluster.metric_export import MEASURES
from hybridbatch.cluster.metric_names import METRICS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray, when it is imported
OURS = {series: metric for metric in METRICS.values() for series in metric.series}
OF_SCRAPES = {"instance", "job"}


def selectors(promql: str) -> list[promql_parser.VectorSelector]:
    """Return what a query reads; inside ``rate(...)`` too."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(promql), visit)
    return list({str(one): one for one in found}.values())


def grouped_by(promql: str) -> set[str]:
    """Return the labels that the outermost aggregations of a query keep."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            found.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(promql), visit)
    return found


def rated(promql: str) -> set[str]:
    """Return the names of what a query takes the rate of."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "increase"}:
            found.add(node.args[0].vector_selector.name)

    promql_parser.walk(promql_parser.parse(promql), visit)
    return found


def labels_of(series: str) -> set[str]:
    """Return the labels of a series, ours or one that Ray's own agents export."""
    if series in OURS:
        metric = OURS[series]
        return {*metric.tags, *OF_SCRAPES} | ({"le"} if series.endswith("_bucket") else set())
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    gauge = METRICS_GAUGES[series.removeprefix("ray_")]
    return {str(key) for key in gauge.view.columns} | OF_SCRAPES


def ids(query: Query) -> str:
    return query.panel


@pytest.mark.parametrize("query", ALL, ids=ids)
def test_a_query_reads_what_is_exported_by_labels_that_it_has(query: Query) -> None:
    read = selectors(query.promql)
    assert read
    for selector in read:
        there = labels_of(selector.name)
        assert {matcher.name for matcher in selector.matchers.matchers} <= there
        assert grouped_by(query.promql) <= there
        for matcher in selector.matchers.matchers:
            if matcher.name == "measure":
                assert any(re.fullmatch(matcher.value, measure) for measure in MEASURES)
        counts = selector.name in OURS and OURS[selector.name].kind != "gauge"
        assert (selector.name in rated(query.promql)) == counts, "a counter says something by its growth alone"
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= grouped_by(query.promql)


def test_every_exported_figure_is_shown() -> None:
    shown = {OURS[one.name].name for query in ALL for one in selectors(query.promql) if one.name in OURS}
    assert shown == set(METRICS)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_have_a_place_of_their_own_and_a_source_that_is_provisioned(file: Path) -> None:
    provisioned = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    sources = {one["uid"] for one in provisioned["datasources"]}
    panels = content(file)["panels"]
    numbers = [panel["id"] for panel in panels]
    assert len(numbers) == len(set(numbers))
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, "Grafana's grid has 24 columns"
        for asked in (panel, *panel.get("targets", ())):
            assert asked.get("datasource", {"uid": "hybridbatch"})["uid"] in sources
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above, (one, other)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_the_choice_of_studies_comes_from_a_figure_that_is_exported(file: Path) -> None:
    for variable in content(file)["templating"]["list"]:
        series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        assert label in labels_of(series)


def test_prometheus_understands_its_configuration(promtool: str) -> None:
    command = [promtool, "check", "config", str(ROOT / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
