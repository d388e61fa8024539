"""A study from one end to the other on stores whose URLs hold a password: nothing that it leaves behind shows it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.command_line import CommandLine
from tests.ray_head import free_ports
from tests.small_study import write_file

from hybridbatch.spec.folders import HomeFolder

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(900)]
SECRET = "s3cr3t-0f-th3-st0r3s"


def texts_of(url: str) -> str:
    """Return everything that stands in a database of PostgreSQL, as one text."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        named = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        tables = [str(row[0]) for row in connection.execute(named)]
        return "\n".join(str(row) for table in tables for row in connection.execute(f'SELECT t::text FROM "{table}" t'))


def test_a_password_stays_in_one_file(
    postgresql_url: str, home: HomeFolder, tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (closed,) = free_ports(1)
    ledger = postgresql_url.replace("tester@", f"tester:{SECRET}@")
    stores = {"ledger": ledger, "tracking": f"http://me:{SECRET}@127.0.0.1:{closed}"}  # nobody answers: it is told
    file = write_file(tmp_path, {"stores": stores, "search.trials": 1, "search.baselines": {}})
    at = ("--home", home.path)
    commands = (
        ("plan", file, *at),
        ("run", file, "--local", "--verbose", *at),
        ("status", "small", *at),
        ("status", "small", "--json", *at),
        ("status", *at),
        ("compare", "small", *at),
        ("compare", "small", "--json", *at),
        ("report", "small", *at),
        ("extend", "small", "--trials", "2", *at),
        ("resume", "small", "--local", *at),
        ("doctor", "small", *at),
        ("doctor", "small", "--json", "--repair", *at),
        ("doctor", "--ledger", ledger.replace("tester:", "nobody-here:"), *at),
    )
    said = ""
    for command in commands:
        done = command_line(*command)
        assert "Traceback" not in done.err, (command, done)
        assert SECRET not in done.out + done.err, command
        said += done.out + done.err
    assert said.count(":***@") > 3, "the stores are named, without it"
    assert "small" in texts_of(postgresql_url)
    assert SECRET not in texts_of(postgresql_url)
    files = [path for path in home.path.rglob("*") if path.is_file()]
    assert len(files) > 10
    holding = [str(path.relative_to(home.path)) for path in files if SECRET.encode() in path.read_bytes()]
    assert holding == ["studies/small/experiment.json"]
    assert (home.path / holding[0]).stat().st_mode & 0o077 == 0
