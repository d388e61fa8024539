"""Passwords of stores are never shown, wherever they stand in a URL."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import CommandLine
from tests.small_study import write_file

from hybridbatch.foundation.errors import ExperimentErrors, StoreError, UserError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.search.storage import close_storage, open_storage
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.tracking.quiet import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:se:cr@et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s3/cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:12345678@host/db", "postgresql://me:***@host/db"),
        ("at http://me:pw@host:5000/x and s3://bucket/y", "at http://me:***@host:5000/x and s3://bucket/y"),
        ("http://host:5000/models/small@v1", "http://host:5000/models/small@v1"),
        ("postgresql://host/db?user=me&password=pw&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://host/db?sslpassword=pw", "postgresql://host/db?sslpassword=***"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("postgresql+psycopg://me:12345/67@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("s3://KEY:se/cret@bucket/path", "s3://KEY:***@bucket/path"),
        (
            "s3://bucket/x?access_key=KEY&secret_key=pw&region=eu",
            "s3://bucket/x?access_key=***&secret_key=***&region=eu",
        ),
        ("https://ghp_0123@host/models", "https://***@host/models"),
        ("https://host/models@v1", "https://host/models@v1"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (
            '{"ledger": "postgresql://me:pw@host/db", "name": "a@b"}',
            '{"ledger": "postgresql://me:***@host/db", "name": "a@b"}',
        ),
    ],
)
def test_passwords_in_urls_are_hidden(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown


@given(
    st.sampled_from(["postgresql", "postgresql+psycopg", "http", "https", "s3"]),
    st.text("abcXYZ0189:/@%+-_.!~*()$&,;=", min_size=8, max_size=30).filter(
        lambda text: not re.match(r"\d{1,5}/", text)
    ),
)
def test_no_password_is_shown_whatever_signs_it_has(scheme: str, password: str) -> None:
    shown = hide_passwords(f"see {scheme}://me:{password}@host/name for more")
    assert shown == f"see {scheme}://me:***@host/name for more"


URL, SECRET = "postgresql://me:s3cret@host/db", "s3cret"


@pytest.mark.parametrize("part", ["problem", "file", "path", "seen", "allowed", "remedy"])
def test_no_part_of_a_message_shows_a_password(part: str) -> None:
    facts = {"problem": "it cannot be reached", part: URL}
    error = UserError(facts.pop("problem"), **facts)
    assert SECRET not in error.render() + str(error)
    assert "me:***@host" in error.render()
    assert SECRET not in ExperimentErrors([error]).render()


@pytest.mark.parametrize("before", range(250, 300, 5))
def test_a_password_that_is_cut_off_is_not_shown(before: int) -> None:
    text = "x" * before + " " + URL
    assert SECRET[:2] not in UserError("no", seen=text).render()
    assert SECRET[:2] not in one_line(ValueError(text))


def test_what_libraries_log_shows_no_password(tmp_path: Path) -> None:
    close_storage(open_storage(f"sqlite:///{tmp_path / 'ledger.db'}"))  # whoever speaks to Optuna begins with it
    with quiet_terminal(tmp_path / "log", verbose=False):
        logging.getLogger("sqlalchemy").warning("cannot reach %s", URL)
        try:
            raise ValueError(URL)
        except ValueError:
            logging.getLogger("optuna").exception("it failed")
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert text.count("me:***@host") >= 2
    assert SECRET not in text


@pytest.mark.parametrize(
    "stores",
    [
        URL,
        {"ledgr": URL},
        {"ledger": [URL]},
        {"ledger": {"url": URL}},
        {"archive": URL},
        {"ledger": f"mysql://me:{SECRET}@host/db"},
    ],
)
def test_a_mistake_in_the_stores_shows_no_password(stores: object, command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path, {"stores": stores})
    done = command_line("run", file, "--local", "--home", tmp_path / "home")
    assert done.code == 2
    assert "***" in done.err or "ledgr" in done.err
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize("sign", ["'", '"', " "])
def test_a_password_whose_end_could_not_be_told_is_refused(
    sign: str, command_line: CommandLine, tmp_path: Path
) -> None:
    file = write_file(tmp_path, {"stores": {"ledger": f"postgresql://me:abc{sign}{SECRET}@host/db"}})
    done = command_line("plan", file)
    done.is_message(f"{file} -> stores.ledger", "holds a sign that no URL does", "a quote or a space", "%22")
    assert SECRET not in done.out + done.err


def test_the_traceback_of_a_mistake_of_ours_shows_no_password(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"nobody expected {URL}")

    monkeypatch.setattr("hybridbatch.terminal.doctor_view.run_doctor", fail)
    done = command_line("doctor")
    assert done.code == 1
    assert "RuntimeError: nobody expected postgresql://me:***@host/db" in done.err
    assert SECRET not in done.out + done.err


def test_a_ledger_that_cannot_be_reached_hides_the_password_in_its_query() -> None:
    url = "postgresql+psycopg://127.0.0.1:9/db?user=me&password=s3cret"
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        open_storage(url)
    assert "s3cret" not in refused.value.render()
