"""How long the calls of a ledger take, told to whoever wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

Latency = Callable[[str, float], None]  # called with the name of a call and its seconds, locks waited for included


class Timed(Protocol):
    """What has timed calls."""

    @property
    def latency(self) -> Latency:
        """Is told of every call."""


_Self = TypeVar("_Self", bound=Timed)
_Arguments = ParamSpec("_Arguments")
_Returned = TypeVar("_Returned")


def nobody_listens(call: str, seconds: float) -> None:
    """Take no note of a call."""


def timed(
    method: Callable[Concatenate[_Self, _Arguments], _Returned],
) -> Callable[Concatenate[_Self, _Arguments], _Returned]:
    """Return ``method``, which tells ``self.latency`` how long it took, also when it raises."""

    @wraps(method)
    def call(self: _Self, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Returned:
        start = time.perf_counter()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.latency(method.__name__, time.perf_counter() - start)

    return call
