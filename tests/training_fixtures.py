"""Fixtures of tests that train or encode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hybridbatch.training.workshop import Workshop


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Other tests run at the same time, and threads that wait for each other on busy cores take minutes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workshop over the data of the small study."""
    from tests.tiny_trial import make_workshop

    return make_workshop(tmp_path_factory.mktemp("workshop"))
