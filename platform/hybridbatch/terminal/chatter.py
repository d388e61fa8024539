"""Chatter of libraries goes to a log file, so that the terminal shows what the user asked for and nothing else."""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

from hybridbatch.foundation.errors import readable_disk_errors
from hybridbatch.foundation.passwords import hide_passwords
from hybridbatch.terminal.consoles import plain_console

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _WithoutPasswords(logging.Formatter):
    """Hides what libraries say of the URLs that they were given."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_passwords(super().format(record))


def _handler(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_WithoutPasswords(_FORMAT))
    return handler


@contextmanager
def quiet_terminal(log: Path, verbose: bool, on_stderr: bool = False) -> Iterator[Console]:
    """Yield a console on the real terminal while everything else that is printed goes to ``log``.

    This holds also for what C++ code and child processes print, since the file descriptors themselves are turned away.

    Args:
        log: Where chatter goes; it is appended to.
        verbose: Leave everything on the terminal.
        on_stderr: Whether the console writes to standard error, for commands whose output is read by scripts.
    """
    logging.captureWarnings(True)
    if verbose:
        logging.basicConfig(level=logging.INFO, handlers=[_handler(sys.stderr)], force=True)
        yield plain_console(stderr=on_stderr)
        return
    warnings.simplefilter("default")
    with readable_disk_errors(log.parent):
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # a file system such as /proc, in which nobody can make anything
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), error.filename) from error
        file = open(log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed below, after the descriptors are back
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    logging.basicConfig(level=logging.INFO, handlers=[_handler(file)], force=True)
    terminal = os.fdopen(os.dup(saved[int(on_stderr)]), "w", encoding="utf-8")
    try:
        yield plain_console(file=terminal)
    finally:
        terminal.close()
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        logging.basicConfig(level=logging.WARNING, force=True, handlers=[logging.NullHandler()])
        file.close()
