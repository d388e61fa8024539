"""An option of the golden tests: ``pytest tests/golden --update-golden`` writes the curves anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--update-golden", action="store_true", help="write the golden curves from what is computed now")
