"""The page about a study: whole without network, honest about failures, the same from the same folders."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from tests.study_tables import printed, table_of
from tests.trial_folders import experiment_json, sample_results, trial_result, write_study

from hybridbatch.foundation import atomic
from hybridbatch.report.collect import collect
from hybridbatch.report.export import comparison_json
from hybridbatch.report.figures.study import study_cards
from hybridbatch.report.page import study_page, write_page
from hybridbatch.spec.folders import StudyFolder

if TYPE_CHECKING:
    from pathlib import Path

    from hybridbatch.report.collect import StudyTable
    from hybridbatch.spec.trial import TrialResult

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps attributes, text and scripts apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text, self.scripts = "", [""]
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.text += data


@pytest.fixture
def table(tmp_path: Path) -> StudyTable:
    return table_of(tmp_path, sample_results())


def test_the_page_is_whole_and_loads_nothing(table: StudyTable) -> None:
    html = study_page(table)
    page = Page(html)
    loading = [
        value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "poster", "action")
    ]
    assert loading == []
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy
    styles = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert styles is not None
    assert "url(" not in styles.group(1)
    assert "@import" not in styles.group(1)
    assert html.count("plotly.js v") == 1
    figures = json.loads(page.scripts[2])
    assert len(figures) == len(study_cards(table))
    clear = [text.strip() for text in re.findall(r'<td class="number clear">([^<]*)<', html)]
    ratios = [float(text.rpartition("(x")[2].rstrip(")")) for text in clear]
    assert len(ratios) < html.count("(x"), "not every difference is clear"
    assert min(ratios) >= 2
    used = [int(value) for _, name, value in page.attributes if name == "data-figure"]
    assert used == list(range(len(figures)))


def test_the_page_says_what_went_wrong_and_how_to_make_it_again(table: StudyTable) -> None:
    text = Page(study_page(table, "hybridbatch run experiments/quickstart/experiment.yaml")).text
    for expected in (
        "the loss is not finite at step 37: lower training.learning_rate",
        "map_multi in the lower half of its rung",
        "git checkout 0123456789abcdef0123456789abcdef01234567\nhybridbatch run experiments/quickstart/experiment.yaml",
        "world-facts: no report text stands in the training text",
        "a1b2c3d4e5f60718",
        "99aabbccddeeff00",
        "torch==2.13.0",
        "Which share of monolingual batches is best for every language?",
    ):
        assert expected in text


def test_uncommitted_changes_are_admitted(tmp_path: Path) -> None:
    clean = trial_result(0)
    dirty = clean.model_copy(update={"number": 1, "provenance": {"git": {"revision": "abc", "dirty": True}}})
    assert "uncommitted changes" not in Page(study_page(table_of(tmp_path, [clean]))).text
    text = Page(study_page(table_of(tmp_path, [clean, dirty]))).text
    assert "uncommitted changes" in text
    assert "come from 2 revisions of the program" in text


def test_what_users_write_is_escaped(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
    experiment = experiment_json() | {"question": evil}
    results = [
        trial_result(0, baseline=evil).model_copy(
            update={"leakage": (evil,), "provenance": {"git": {"revision": evil, "dirty": True}}}
        ),
        trial_result(1, state="failed", reason=evil, sets=()),
    ]
    study = write_study(tmp_path / "quickstart", results, experiment)
    page = Page(study_page(collect(study), evil))
    assert page.text.count(evil) >= 5
    assert [name for _, name, _ in page.attributes if name in ("src", "onerror")] == []
    assert len(page.scripts) == 4  # before the first; plotly.js, figures, ours


def test_the_page_depends_on_the_folders_alone(table: StudyTable, tmp_path: Path) -> None:
    first = write_page(table, tmp_path / "reports" / "study.html")
    second = write_page(collect(StudyFolder(tmp_path / "quickstart")), tmp_path / "again.html")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "results",
    [
        [],
        [trial_result(0)],
        [trial_result(0, languages=("en",), baseline="english")],
        [trial_result(0, state="failed", reason="out of memory")],
        [trial_result(0, state="pruned", reason="lower half"), trial_result(1, state="failed", reason="killed")],
        [trial_result(0, sets=()), trial_result(1, sets=())],
    ],
    ids=["empty", "one trial", "one language", "only failed", "no complete", "no report set"],
)
@pytest.mark.parametrize("bias_too", [True, False])
def test_any_study_has_a_page_and_a_table(tmp_path: Path, results: list[TrialResult], bias_too: bool) -> None:
    if not bias_too:
        kept = [result.values[:1] if result.values else None for result in results]
        results = [result.model_copy(update={"values": v}) for result, v in zip(results, kept, strict=True)]
    table = table_of(tmp_path, results, bias_too=bias_too)
    Page(study_page(table))
    printed(table)
    assert comparison_json(table)["counts"]["complete"] == len(table.complete)
    assert ("No trial is complete" in study_page(table)) is (not table.complete)


def test_trials_under_way_are_named(tmp_path: Path) -> None:
    study = write_study(tmp_path / "quickstart", [trial_result(0)])
    atomic.write_json(study.trial(1).path / "spec.json", {})
    table = collect(study)
    assert table.counts()["unfinished"] == 1
    assert "hybridbatch resume quickstart" in Page(study_page(table)).text
