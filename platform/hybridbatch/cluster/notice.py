"""Notice that a machine of the group is about to be taken away, as spot instances are."""

from __future__ import annotations

import logging
import threading
from typing import Any

import ray.train

_INTERVAL = 1.0  # seconds; grace times are thirty seconds and more
_log = logging.getLogger(__name__)


class NoticeWatch:
    """Asks Ray Train from a thread whether a machine of this worker's group is to be taken away.

    All workers ask, and get one answer together: the call waits for all of them, so that it has no place between the
    steps of a training loop.

    Args:
        mailbox: The group's mailbox, told of a notice; None on workers other than the first.
    """

    def __init__(self, mailbox: Any | None) -> None:
        self._mailbox, self._given, self._over = mailbox, threading.Event(), threading.Event()
        threading.Thread(target=self._watch, name="hybridbatch-notice", daemon=True).start()

    def given(self) -> bool:
        """Return whether there is a notice."""
        return self._given.is_set()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(_INTERVAL):
            try:
                information = ray.train.get_preemption_info()
            except Exception as error:  # the group is being ended: who asks then learns nothing any more
                _log.info("no more notices: %s", error)
                return
            if information is not None:
                self._given.set()
                if self._mailbox is not None:
                    self._mailbox.noticed.remote()
                return
