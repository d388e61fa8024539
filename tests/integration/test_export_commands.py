"""`hybridbatch export` and what `STUDY/best` means, on a finished study; exports that are killed or run out of disk."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.small_disk import leave
from tests.study_fixtures import content

from hybridbatch.foundation import atomic
from hybridbatch.spec.folders import HomeFolder

KEYS = {
    "model", "folder", "question_prefix", "passage_prefix", "question_tokens", "passage_tokens", "dimensions",
    "pooling",
}  # fmt: skip
KILLED = """
import os, sys
from pathlib import Path
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal import export_run

export_run.model_card = lambda *facts: os.kill(os.getpid(), 9)
export_run.run_export(sys.argv[1], Path(sys.argv[2]), HomeFolder(Path(sys.argv[3])), force=False, verbose=False)
"""


@pytest.fixture
def study(finished: HomeFolder, tmp_path: Path) -> HomeFolder:
    """A finished study of one's own."""
    return HomeFolder(shutil.copytree(finished.path, tmp_path / "home"))


def by_state(home: HomeFolder, state: str) -> int:
    return next(one.number for one in home.study("small").results() if one.state == state)


def test_the_best_trial_is_exported_with_its_figures_and_its_card(
    command_line: CommandLine, study: HomeFolder, tmp_path: Path
) -> None:
    best = command_line("status", "small", "--home", study.path, "--json").json["best"]["number"]
    done = command_line("export", "small/best", tmp_path / "out", "--home", study.path, "--json")
    assert (done.code, set(done.json)) == (0, KEYS)
    assert (done.json["model"], done.json["folder"]) == (f"small/{best}", str(tmp_path / "out"))
    measure = ["-d", "parallel-pairs", "--set", "path=small_report.csv", "--home", study.path, "--json"]
    result = study.study("small").trial(best).read_result()
    assert result is not None
    for model in (tmp_path / "out", "small/best"):
        found = command_line("evaluate", model, *measure).json
        for name, value in result.report["small_report"].summary.items():
            assert found[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    facts = [
        f"# small/{best}\n", "trial\n0 (baseline mono) of the study *small*.\n", "> Does anything get lost?",
        '`"Passage: "` | 24 |', "| small_report |",
        "| training | parallel-pairs (path=small.csv, split=train, dev_share=0.3) | that of the file |",
        f"- {result.leakage[0]}", "language:\n- de\n- en\n- es\n", "learning_rate: 0.01",
    ]  # fmt: skip
    assert [fact for fact in facts if fact not in card] == []
    said = command_line("export", f"small/{best}", tmp_path / "again", "--home", study.path)
    assert said.out.startswith(f"small/{best} is in {tmp_path / 'again'}: SentenceTransformer(")
    assert content(tmp_path / "again").keys() == content(tmp_path / "out").keys()


def test_a_card_names_terms_and_no_places(command_line: CommandLine, study: HomeFolder, tmp_path: Path) -> None:
    file = study.study("small").trial(0).path / "spec.json"
    spec: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    spec["experiment"]["data"]["train"][0]["path"] = "/secret/place/pairs.csv"
    spec["experiment"]["data"]["train"].append({"dataset": "xnli"})
    spec["experiment"]["backbone"] = {"kind": "huggingface", "name": "/secret/place/xlm-r"}
    file.write_text(json.dumps(spec), encoding="utf-8")
    assert command_line("export", "small/0", tmp_path / "out", "--home", study.path).code == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "**Trained on text under non-commercial terms: xnli (CC BY-NC 4.0).**" in card
    assert "parallel-pairs (path=pairs.csv" in card
    assert "name: xlm-r\n" in card
    assert "base_model" not in card, "a folder of somebody's is no model on the hub"
    assert "secret" not in card
    assert str(tmp_path) not in card
    spec["experiment"]["backbone"]["name"] = "FacebookAI/xlm-roberta-base"
    file.write_text(json.dumps(spec), encoding="utf-8")
    result = file.with_name("result.json")
    told = json.loads(result.read_text(encoding="utf-8"))
    told["provenance"]["backbone"] = {"revision": "0123abcd"}
    result.write_text(json.dumps(told), encoding="utf-8")
    assert command_line("export", "small/0", tmp_path / "out", "--force", "--home", study.path).code == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "base_model: FacebookAI/xlm-roberta-base\n" in card
    assert "(https://huggingface.co/FacebookAI/xlm-roberta-base) at revision 0123abcd." in card
    assert "the licences of the training data and of FacebookAI/xlm-roberta-base allow." in card


def test_what_cannot_be_exported_is_said(command_line: CommandLine, study: HomeFolder, tmp_path: Path) -> None:
    place, out = str(study.study("small").path), tmp_path / "out"

    def export(model: str, folder: Path = out) -> Any:
        return command_line("export", model, folder, "--home", study.path)

    for state in ("pruned", "failed"):
        number = by_state(study, state)
        export(f"small/{number}").is_message(place, "this trial has no model", f"small/{number}, {state}", "complete")
    export("small/77").is_message(place, "this trial has no model", "'small/77, which was never begun'")
    export("other/best").is_message(str(study.path), "no such study", "'other/best'", "allowed: small", "--home")
    export("other").is_message(None, "no such trial or model folder", "STUDY/NUMBER, STUDY/best or a folder")
    for trial in study.study("small").trials():
        (trial.path / "result.json").unlink(missing_ok=True)
    export("small/best").is_message(place, "no trial of this study is complete", "'small/best'")
    export("small/0").is_message(place, "this trial has no model", "'small/0, not finished'")
    assert not out.exists()


def test_a_killed_export_leaves_no_folder_and_the_next_one_clears_up(
    command_line: CommandLine, study: HomeFolder, tmp_path: Path
) -> None:
    place = tmp_path / "models"
    arguments = ["small/0", str(place / "out"), str(study.path)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (draft,) = place.iterdir()
    assert draft.name.startswith(".out."), "only a hidden draft is left"
    with atomic.folder_written_whole(place / "out"):  # somebody else is writing
        assert command_line("export", "small/0", place / "out", "--home", study.path).code == 0
        (theirs,) = (one for one in place.iterdir() if one.name != "out")
        assert theirs != draft
    assert [one.name for one in place.iterdir()] == ["out"]


def test_an_export_that_cannot_be_written_says_so_and_leaves_nothing(
    command_line: CommandLine, study: HomeFolder, small_disk: Path, tmp_path: Path
) -> None:
    leave(small_disk, 20)
    done = command_line("export", "small/0", small_disk / "out", "--home", study.path)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "cannot write: No space left on device" in done.err
    assert "free some space, or name another folder" in done.err
    assert [one.name for one in small_disk.iterdir()] == ["ballast"]
    (tmp_path / "file").touch()
    done = command_line("export", "small/0", tmp_path / "file" / "out", "--home", study.path)
    assert (done.code, "or name another folder" in done.err) == (2, True)
