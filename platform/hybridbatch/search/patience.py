"""Patience with a ledger on a server that is away for a while: restarted, failed over, cut off."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.search.ownership import LEASE_SECONDS
from hybridbatch.search.storage import OutOfReachError

WAIT_SECONDS = 300.0  # how long a server is waited for
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds between two tries
# How long other drivers get, after an outage, to renew leases that ran out meanwhile.
_RENEWING_SECONDS = LEASE_SECONDS / 4

_log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class Patience:
    """Does calls of one ledger again while its store is out of reach.

    A call must be safe to repeat: whether what it wrote last has arrived is not known when the answer is lost.

    Args:
        url: URL of the ledger.
    """

    def __init__(self, url: str) -> None:
        self._shown = hide_passwords(url)
        self._lock = threading.Lock()  # calls come from the driver and from the thread that renews leases
        self._away: float | None = None  # since when the store is out of reach; these are times of time.monotonic
        self._waiting: float | None = None  # since when somebody waits for it
        self._last_outage: tuple[float, float] | None = None

    def outlast(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, waiting for a store that is away.

        Raises:
            OutOfReachError: If it was away for :data:`WAIT_SECONDS`, or still is after it was waited for that long.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                answer = call()
            except OutOfReachError as error:
                left = self._seconds_left(error)
                if left <= 0:
                    raise
            else:
                self.is_back()
                return answer
            try:
                time.sleep(min(pause, left))
            except BaseException:  # the user has less patience, and what is given back after this need not have more
                with self._lock:
                    self._waiting = time.monotonic() - WAIT_SECONDS
                raise
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _seconds_left(self, error: OutOfReachError) -> float:
        self.is_away(error)
        with self._lock:
            if self._waiting is None:
                self._waiting = time.monotonic()
            return self._waiting + WAIT_SECONDS - time.monotonic()

    def is_away(self, error: OutOfReachError) -> None:
        """Note that the store is out of reach."""
        with self._lock:
            if self._away is None:
                self._away = time.monotonic()
                _log.warning(
                    "%s is out of reach: %s; waiting up to %.0f seconds for it", self._shown, error.seen, WAIT_SECONDS
                )

    def is_back(self) -> None:
        """Note that the store can be reached."""
        with self._lock:
            if self._away is not None:
                self._last_outage = self._away, time.monotonic()
                _log.info("%s is back after %.1f seconds", self._shown, self._last_outage[1] - self._away)
            self._away = self._waiting = None

    def grace(self) -> float:
        """Return for how many seconds after its end a lease is still to be honoured.

        Right after an outage this is its length and some seconds: nobody could renew anything meanwhile.
        """
        with self._lock:
            now = time.monotonic()
            if self._last_outage is None or now > self._last_outage[1] + _RENEWING_SECONDS:
                return 0.0
            return now - self._last_outage[0] + _RENEWING_SECONDS  # others may have lost it a little earlier


class _HasPatience(Protocol):
    @property
    def patience(self) -> Patience: ...


S = TypeVar("S", bound=_HasPatience)


def waits_out(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Let a method, which is safe to repeat, wait for a store that is away."""

    @functools.wraps(method)
    def patient(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.patience.outlast(lambda: method(self, *args, **kwargs))

    return patient
