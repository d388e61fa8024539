"""What the documents tell somebody to write can be written, and where they point to there is something."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from hybridbatch.spec.reader import read_content, validate

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "platform" / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/*/*.md")]
)
AROUND: dict[str, Any] = {  # what a document leaves out of the part that it shows
    "name": "shown",
    "data": {"train": [{"dataset": "world-facts"}], "selection": {"dataset": "world-facts", "split": "dev"}},
    "backbone": {"kind": "scratch"},
}


def blocks(document: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if blocks(one)], ids=named)
def test_what_is_shown_of_experiment_files_is_understood(document: Path, tmp_path: Path) -> None:
    for block in blocks(document):
        (tmp_path / "shown.yaml").write_text(block, encoding="utf-8")
        content = copy.deepcopy(AROUND)
        for key, shown in read_content(tmp_path / "shown.yaml").items():
            whole = content.get(key)
            content[key] = {**whole, **shown} if key == "data" and isinstance(whole, dict) else shown
        validate(content)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_documents_show_experiment_files() -> None:
    assert sum(len(blocks(document)) for document in DOCUMENTS) > 15
