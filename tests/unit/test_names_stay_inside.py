"""No name leads out of the folder that it is meant for: studies, trials, runs, archives, parts of a model, links."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import fs
from pydantic import ValidationError
from tests.small_study import content, experiment, result
from tests.tiny_trial import spec_of

from hybridbatch.backbones.encoders.model_files import modules
from hybridbatch.datasets.beir import Beir
from hybridbatch.datasets.fetching.unpack import BadArchiveError, unpack
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.report.runs import UnmeasuredModel, parts_of
from hybridbatch.search.archive import Archive
from hybridbatch.search.storage import _file_lock
from hybridbatch.spec.folders import HomeFolder, StudyFolder
from hybridbatch.spec.reader import validate
from hybridbatch.spec.sources import DataLocation
from hybridbatch.terminal.named_model import TRIAL_NAME, named_models, named_trial, trial_if_named

CLIMBING = [
    "..",
    "../x",
    "a/../../x",
    "/etc",
    "a/b",
    "a\\b",
    ".hidden",
    "a\n",
    "a\x00",
    "~",
    "",
    "A",
    "é",
    "a" * 65,
    "a.",
]
# Names as people would make them up to climb out, and any others.
NAMES = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(["..", ".", "", "a", "etc", "~", "\n", "\x00"]), max_size=5).map("/".join),
    st.from_regex(r"[a-z0-9_-]{0,66}[\n/.]?"),
)


def lies_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve()) and path.resolve() != folder.resolve()


@given(NAMES)
@example("study\n")
@example("../study")
def test_a_name_of_a_study_is_one_folder_below_the_home_or_refused(name: str) -> None:
    home = HomeFolder(Path("/home/of/somebody"))
    try:
        study = home.study(name)
    except UserError:
        with pytest.raises((UserError, ValidationError)):
            validate(content(name=name))
        return
    assert study.path.parent == home.path / "studies"
    assert study.path.name == name
    assert "\n" not in name
    assert validate(content(name=name)).name == name, "the file and the command line take the same names"


@pytest.mark.parametrize("name", CLIMBING)
def test_a_name_that_climbs_is_refused_by_every_door(name: str, tmp_path: Path) -> None:
    home = HomeFolder(tmp_path / "home")
    (tmp_path / "home" / "studies").mkdir(parents=True)
    with pytest.raises(UserError):
        home.study(name)
    with pytest.raises(UserError):
        validate(content(name=name))
    with pytest.raises(UserError):
        named_trial(f"{name}/0", home)
    assert trial_if_named(f"{name}/0", home) is None


@given(NAMES)
@example("٣")  # an Arabic three: a digit, and no name of a folder
@example("²")
@example("0\n")
def test_a_trial_is_named_by_a_number_alone(number: str) -> None:
    named = TRIAL_NAME.fullmatch(f"study/{number}")
    assert (named is not None) == (number == "best" or (number.isascii() and number.isdecimal()))


@pytest.mark.parametrize("name", ["٣", "²", "-1", "..", "1 ", "0x1"])
def test_a_folder_that_no_number_names_is_no_trial(name: str, tmp_path: Path) -> None:
    study = StudyFolder(tmp_path / "small")
    for folder in (name, "00000"):
        (study.path / "trials" / folder).mkdir(parents=True, exist_ok=True)
    (study.trial(0).checkpoints / f"step-{name}").mkdir(parents=True)
    assert [trial.number for trial in study.trials()] == [0]
    assert study.trial(0).newest_step() == 0


@given(st.integers(0, 10**9))
def test_the_folder_of_a_trial_lies_in_its_study(number: int) -> None:
    study = HomeFolder(Path("/home")).study("small")
    assert study.trial(number).path.parent == study.path / "trials"
    assert study.trial(number).number == number


@given(NAMES.filter(lambda name: "\x00" not in name))
@example("..")
@example("..=model")
@example("folder/..")
def test_the_name_of_a_model_is_the_name_of_one_folder(given_name: str) -> None:
    (name,) = named_models([given_name])
    folder = Path("/somewhere/scores")
    assert lies_below(folder / name, folder)
    assert "/" not in name


def test_what_climbs_is_no_run_of_a_study(tmp_path: Path) -> None:
    home = HomeFolder(tmp_path)
    for name in ("../small/0", "/etc/0", "small/../../x"):
        (part,) = parts_of(name, home)
        assert part == UnmeasuredModel(name)


@pytest.mark.parametrize("split", ["../test", "/etc/passwd", "a/b", "..", "test\n"])
def test_a_split_is_no_path(split: str) -> None:
    with pytest.raises(ValidationError):
        Beir(folder="nfcorpus", split=split)


@pytest.mark.parametrize("path", ["..", "../other", "1_Pooling/../../other", "/etc"])
def test_a_part_of_a_model_lies_in_its_folder(path: str, tmp_path: Path) -> None:
    listed = [{"type": "sentence_transformers.models.Pooling", "path": path}]
    (tmp_path / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(UserError, match="not what this file of a model folder holds"):
        modules(tmp_path)
    (tmp_path / "modules.json").write_text(json.dumps([{**listed[0], "path": "1_Pooling"}]), encoding="utf-8")
    assert modules(tmp_path)[0].path == "1_Pooling"


def zipped(name: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"planted")
    return written.getvalue()


def tarred(name: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = 7
        archive.addfile(info, io.BytesIO(b"planted"))
    return written.getvalue()


@pytest.mark.parametrize(("ending", "pack"), [("zip", zipped), ("tar.gz", tarred)])
@given(name=NAMES.filter(lambda name: "\x00" not in name and name.strip("/.\n") and len(name) < 90))
@example(name="../planted")
@example(name="a/../../planted")
@example(name="/tmp/planted-by-a-test")
def test_a_member_of_an_archive_lands_below_its_folder_or_nowhere(
    tmp_path_factory: pytest.TempPathFactory, ending: str, pack, name: str
) -> None:
    around = tmp_path_factory.mktemp("around")
    folder = around / "deep" / "folder"
    folder.mkdir(parents=True)
    archive = folder / f"planted.{ending}"
    try:
        archive.write_bytes(pack(name))
    except UnicodeEncodeError:  # no archive holds half a surrogate pair
        return
    try:
        unpack(archive, archive, replace=False)
    except (BadArchiveError, UserError, OSError, ValueError):
        assert [path for path in around.rglob("*") if path.is_file()] == [archive], "nothing of it was unpacked"
        return
    assert {path for path in around.rglob("*") if path.is_file() and not lies_below(path, folder)} == set()
    assert not Path("/tmp/planted-by-a-test").exists()


# --- links that somebody planted in the home ----------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "elsewhere" / "secret"
    file.parent.mkdir()
    file.write_text("secret", encoding="utf-8")
    return file


def test_what_a_link_leads_to_is_not_archived(secret: Path, tmp_path: Path) -> None:
    study = HomeFolder(tmp_path / "home").study("small")
    trial = study.trial(0)
    trial.write_spec(spec_of(experiment()))
    trial.write_result(result(0))
    (trial.path / "model").mkdir()
    (trial.path / "model" / "weights").write_bytes(b"weights")
    (trial.path / "file").symlink_to(secret)
    (trial.path / "folder").symlink_to(secret.parent)
    Archive((tmp_path / "archive").as_uri(), study).add(trial)
    kept = fs.SubTreeFileSystem(str(tmp_path / "archive" / "small" / "00000"), fs.LocalFileSystem())
    names = {one.path for one in kept.get_file_info(fs.FileSelector("", recursive=True)) if one.is_file}
    assert names == {"spec.json", "result.json", "model/weights", ".archived"}


def test_a_record_replaces_a_link_and_leaves_what_it_leads_to(secret: Path, tmp_path: Path) -> None:
    study = HomeFolder(tmp_path / "home").study("small")
    study.trial(0).path.mkdir(parents=True)
    for name in ("spec.json", "curve.json", "attempts.json"):
        (study.trial(0).path / name).symlink_to(secret)
    study.experiment.symlink_to(secret)
    study.write_experiment(experiment())
    study.trial(0).write_spec(spec_of(experiment()))
    study.trial(0).write_curve(())
    study.trial(0).write_attempts(())
    assert not [path for path in study.path.rglob("*") if path.is_symlink()]
    assert secret.read_text(encoding="utf-8") == "secret"


def test_a_result_is_not_written_through_a_link(secret: Path, tmp_path: Path) -> None:
    (tmp_path / "result.json").symlink_to(secret)
    assert not atomic.write_text_once(tmp_path / "result.json", "{}"), "something is there"
    assert secret.read_text(encoding="utf-8") == "secret"


def test_tidying_up_does_not_follow_links(secret: Path, tmp_path: Path) -> None:
    trial = HomeFolder(tmp_path / "home").study("small").trial(0)
    trial.path.mkdir(parents=True)
    trial.checkpoints.symlink_to(secret.parent)
    (trial.path / ".model.0123abcd").symlink_to(secret.parent)
    trial.remove_what_only_a_running_trial_needs()
    atomic.remove_drafts(trial.path)
    assert secret.read_text(encoding="utf-8") == "secret"


def test_a_lock_does_not_empty_what_a_link_leads_to(secret: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.db.small.lock").symlink_to(secret)
    with _file_lock(tmp_path / "ledger.db", "small"):
        pass
    assert secret.read_text(encoding="utf-8") == "secret"


def test_a_relative_place_of_data_may_lead_anywhere_since_the_user_says_it(tmp_path: Path) -> None:
    location = DataLocation(tmp_path / "data", tmp_path / "cache")
    assert location.resolve("../pairs.csv").resolve() == tmp_path / "pairs.csv"
