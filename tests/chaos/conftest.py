"""Fixtures of the chaos tests."""

from tests.study_fixtures import empty_home, home, small_data  # noqa: F401
