"""The thread that renews the leases of a driver's trials."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from hybridbatch.search.ownership import LEASE_SECONDS
from hybridbatch.search.patience import Patience
from hybridbatch.search.storage import OutOfReachError

RENEWER = "hybridbatch-leases"  # name of the thread
_log = logging.getLogger(__name__)


class Renewal:
    """Renews leases four times as often as they need it, until it is stopped.

    Args:
        renew: Renews them once.
        patience: Is told of a store that is away.
    """

    def __init__(self, renew: Callable[[], None], patience: Patience) -> None:
        self._renew, self._patience, self._over = renew, patience, threading.Event()

    def start(self) -> None:
        """Begin to renew."""
        threading.Thread(target=self._go_on, name=RENEWER, daemon=True).start()

    def stop(self) -> None:
        """Renew no more."""
        self._over.set()

    def _go_on(self) -> None:
        pause = LEASE_SECONDS / 4
        while not self._over.wait(pause):
            pause = LEASE_SECONDS / 4
            try:
                self._renew()
                self._patience.is_back()
            except OutOfReachError as error:  # the driver waits when it needs the store; leases have some left
                self._patience.is_away(error)
                pause = min(pause, 1.0)  # when it is back, others may take what is not renewed soon
            except Exception as error:  # a locked store: the next round tries again
                _log.warning("leases could not be renewed: %s", error)
