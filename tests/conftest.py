"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.fetching import downloads, no_proxy, site  # noqa: F401 - fixtures
from tests.ledger_fixtures import any_url, empty_ledger, twin, url  # noqa: F401 - fixtures
from tests.postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures
from tests.prometheus_server import promtool  # noqa: F401 - a fixture
from tests.published_models import published  # noqa: F401 - a fixture
from tests.servers import mlflow_server  # noqa: F401 - a fixture
from tests.small_disk import small_disk  # noqa: F401 - a fixture
from tests.study_fixtures import command_line, empty_home, finished, home, small_data, twin_home  # noqa: F401 - fixtures
from tests.training_fixtures import one_torch_thread, workshop  # noqa: F401 - fixtures

# No test may look for a model hub or send statistics.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that continuous integration uses, and the one for whoever changes how workers train together."""
    parser.addoption(
        "--nothing-skipped",
        action="store_true",
        help="fail when a test that needs data sets, PostgreSQL, Prometheus or a small disk is skipped",
    )
    parser.addoption("--exhaustive", action="store_true", help="try every arrangement of workers, which takes minutes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of data, of a server or of a small disk into a failure where these must be there."""
    report = yield
    needs = [name for name in ("data", "postgresql", "prometheus", "small_disk") if item.get_closest_marker(name)]
    if report.skipped and needs and item.config.getoption("--nothing-skipped"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but this has to be here: {', '.join(needs)}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the public data sets, Prometheus or a small disk."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "data_root" in fixtures:
            item.add_marker(pytest.mark.data)
        if "small_disk" in fixtures:
            item.add_marker(pytest.mark.small_disk)
        if "promtool" in fixtures:
            item.add_marker(pytest.mark.prometheus)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the public data sets; tests that need it are skipped where it is not."""
    folder = os.environ.get("HYBRIDBATCH_DATA")
    if not folder:
        pytest.skip("HYBRIDBATCH_DATA is not set")
    return Path(folder).resolve()
