"""Messages that a person reads."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from hybridbatch.cli.options import about
from hybridbatch.foundation.errors import (
    ConflictError,
    ExperimentErrors,
    HybridBatchError,
    StoreError,
    TrialError,
    UserError,
    did_you_mean,
    first_line,
    free_megabytes,
    one_of,
    readable_disk_errors,
    shorten,
)


def test_every_fact_has_its_line_and_place_comes_first():
    error = UserError(
        "unknown key", file=Path("e.yaml"), path="loss.temp", seen="temp", allowed="temperature", remedy="write it out"
    )
    assert str(error) == (
        "e.yaml -> loss.temp: unknown key\n  seen:    'temp'\n  allowed: temperature\n  mend:    write it out"
    )


def test_facts_that_are_not_known_take_no_line():
    assert str(UserError("no network")) == "no network"
    assert str(UserError("empty", path="data.train")) == "data.train: empty"
    assert str(UserError("falsy values are facts too", seen=0)) == "falsy values are facts too\n  seen:    0"


def test_a_long_value_is_cut_with_a_mark():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
    assert len(str(UserError("long", seen="x" * 10_000))) < 400


def test_the_first_line_of_an_error_is_never_empty():
    assert first_line(ValueError("\n no such address\nmore")) == "no such address"
    assert first_line(RuntimeError(" \n")) == "RuntimeError"


@pytest.mark.parametrize("kind", [HybridBatchError, UserError, StoreError, TrialError])
def test_an_error_survives_the_way_between_processes(kind: type[HybridBatchError]):
    error = kind("bad", file=Path("f"), path="a.b", seen=[1], allowed="2", remedy="mend")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error)
    assert back.exit_code == 2


def test_several_errors_of_a_file_survive_together():
    errors = ExperimentErrors([UserError("one", path="a"), UserError("two", path="b")])
    back = pickle.loads(pickle.dumps(errors))
    assert str(back) == "a: one\nb: two"
    assert isinstance(back, UserError)
    assert [one.path for one in back.errors] == ["a", "b"]


def test_several_errors_have_the_attributes_of_one():
    errors = ExperimentErrors([UserError("one", file="e.yaml", path="a"), UserError("two", path="b")])
    for error in (errors, pickle.loads(pickle.dumps(errors))):
        assert (error.problem, error.file, error.path, error.seen) == ("one; two", None, None, None)
        with pytest.raises(ExperimentErrors, match="two"), about(Path("other.yaml")):
            raise error


@pytest.mark.parametrize("kind", [UserError, ConflictError, StoreError, TrialError])
def test_an_error_that_is_retold_stays_of_its_kind_and_keeps_its_facts(kind: type[HybridBatchError]):
    error = kind("bad", file="f", path="a", seen=1, allowed="2", remedy="mend")
    retold = error.retold(path="arms.x.a")
    assert type(retold) is kind
    assert str(retold) == "f -> arms.x.a: bad\n  seen:    1\n  allowed: 2\n  mend:    mend"
    assert str(error.retold(problem="worse")) == str(error).replace("bad", "worse")


def test_several_errors_are_retold_as_one():
    errors = ExperimentErrors([UserError("one", path="a"), UserError("two", path="b")])
    assert str(errors.retold(problem=f"{errors.problem}, with x 1")) == "one; two, with x 1"


def test_the_closest_name_is_suggested_or_none():
    assert did_you_mean("temprature", ["temperature", "directions"]) == "did you mean 'temperature'?"
    assert did_you_mean("zzz", ["temperature", "directions"]) is None
    assert one_of(["b", "a"]) == "a, b"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_said_so_with_its_free_space(tmp_path: Path, number: int):
    with pytest.raises(StoreError) as caught, readable_disk_errors(tmp_path / "not" / "yet"):
        raise OSError(number, "as the system says it")
    assert "MB free" in str(caught.value)
    assert "hybridbatch resume" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_what_numpy_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write: No space left"), readable_disk_errors(tmp_path):
        raise OSError("30000 requested and 12256 written")  # numpy.save, without an error number


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path):
    with pytest.raises(FileNotFoundError), readable_disk_errors(tmp_path):
        (tmp_path / "absent").read_text()


def test_free_space_is_that_of_the_nearest_folder_that_exists(tmp_path: Path):
    assert free_megabytes(tmp_path / "a" / "b") == pytest.approx(free_megabytes(tmp_path), rel=0.1)
    assert free_megabytes(tmp_path) > 0
