"""The writer: one thread that projects trials as they finish, so that no trial waits for MLflow or the archive."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from hybridbatch.foundation.errors import HybridBatchError
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.tracking.projection import project_trial
from hybridbatch.tracking.quiet import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from hybridbatch.spec.folders import StudyFolder, TrialFolder
    from hybridbatch.tracking.store import TrackingStore

logger = logging.getLogger(__name__)


class TrackingWriter:
    """Projects finished trials in the background.

    A store that is down, locked or slow costs one warning: the folders stay, and
    :func:`~hybridbatch.tracking.projection.project_study` projects them later.

    Args:
        study: The study's folder.
        store: Where runs are written.
        upload_model: Whether the trained encoders are uploaded too.
        archive: Copies a trial's folder, after its projection; what it cannot copy is copied when the study ends.
    """

    def __init__(
        self,
        study: StudyFolder,
        store: TrackingStore,
        *,
        upload_model: bool = False,
        archive: Callable[[TrialFolder], None] | None = None,
    ) -> None:
        self._study, self._store, self._upload_model, self._archive = study, store, upload_model, archive
        self._queue: queue.SimpleQueue[TrialFolder | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._warned = self._closed = False
        self._given_up = threading.Event()

    def submit(self, folder: TrialFolder) -> None:
        """Have a finished trial projected; returns at once and never raises. Nothing happens after :meth:`close`."""
        if self._closed:
            return
        self._queue.put(folder)
        if self._thread is None:
            # A daemon: a store that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name="hybridbatch-tracking", daemon=True)
            self._thread.start()

    def close(self, timeout: float = 30.0) -> bool:
        """Wait for what was submitted, at most ``timeout`` seconds, and return whether all of it was dealt with.

        What is not done then is given up here and left to ``project_study``.
        """
        self._closed = True
        if self._thread is None:
            return True
        self._queue.put(None)
        self._thread.join(timeout)
        self._given_up.set()
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (folder := self._queue.get()) is not None and not self._given_up.is_set():
            begun = time.monotonic()
            try:
                project_trial(self._study, folder, self._store, upload_model=self._upload_model)
                logger.debug("trial %s is in MLflow after %.2f s", folder.path.name, time.monotonic() - begun)
            except Exception as error:  # whatever it is, training goes on
                self._warn(folder, error)
            if self._archive is not None:
                try:
                    self._archive(folder)
                except HybridBatchError as error:
                    logger.warning("trial %s could not be archived: %s", folder.path.name, error.problem)

    def _warn(self, folder: TrialFolder, error: Exception) -> None:
        text = hide_passwords(error.problem) if isinstance(error, HybridBatchError) else one_line(error)
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        logger.log(
            level,
            "trial %s could not be written to MLflow at %s (%s); training goes on, and the trial is written at the end "
            "or by `hybridbatch resume`",
            folder.path.name,
            self._store.shown,
            text,
        )
