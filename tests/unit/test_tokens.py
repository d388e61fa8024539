"""Tokens of clusters: where they are found, and where they must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridbatch.cluster.tokens import find_token, is_loopback, token_for
from hybridbatch.foundation.errors import UserError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1", "[::1]", "me.localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "head", "localhost.evil.example", "127.0.0.1.example", "::"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_tokens_are_found_in_the_order_of_ray(tmp_path: Path) -> None:
    default, named = tmp_path / ".ray" / "auth_token", tmp_path / "named"
    assert find_token({}, tmp_path) is None
    default.parent.mkdir()
    default.write_text("of-the-user\n", encoding="utf-8")
    named.write_text(" of-the-file \n", encoding="utf-8")
    assert find_token({}, tmp_path) == "of-the-user"
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(named)}, tmp_path) == "of-the-file"
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(named), "RAY_AUTH_TOKEN": "said"}, tmp_path) == "said"


@pytest.mark.parametrize("content", [None, " \n"])
def test_a_named_file_must_hold_a_token(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "named"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="the file of the token") as refused:
        find_token({"RAY_AUTH_TOKEN_PATH": str(file)}, tmp_path)
    assert refused.value.file == file


def test_beyond_this_machine_there_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_for("127.0.0.1") is None
    with pytest.raises(UserError, match="there is no token for this cluster"):
        token_for("10.0.0.1")
    assert token_for("10.0.0.1", no_token=True) is None
    monkeypatch.setenv("RAY_AUTH_TOKEN", "said")
    assert token_for("10.0.0.1") == "said"
    assert token_for("127.0.0.1") == "said"
    assert token_for("10.0.0.1", no_token=True) is None
