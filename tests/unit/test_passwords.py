"""Passwords of stores are never shown, wherever they stand in a URL."""

from __future__ import annotations

import pytest

from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.search.storage import open_storage


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
    ],
)
def test_passwords_in_urls_are_hidden(text: str, shown: str) -> None:
    assert hide_passwords(text) == shown


def test_a_ledger_that_cannot_be_reached_hides_the_password_in_its_query() -> None:
    url = "postgresql+psycopg://127.0.0.1:9/db?user=me&password=s3cret"
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        open_storage(url)
    assert "s3cret" not in refused.value.render()
