"""What tells a trial that failed by itself from one whose workers cannot go on."""

from __future__ import annotations

import torch

# Gloo raises plain RuntimeErrors; only the text tells whose they are.
_LIBRARIES = ("gloo", "NCCL")


class BrokenGroupError(Exception):
    """The workers of a group cannot go on together: a new group has to take over.

    The trial itself is untouched, or finished already when the worker that raises this has written its result.
    """


class TakenAwayError(Exception):
    """The trial is in other hands, or over: there will be no verdict for who asks here."""


def is_of_the_accelerator(error: Exception) -> bool:
    """Return whether ``error`` leaves the process without a usable accelerator, whatever it works on next."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def lost_the_others(error: Exception) -> bool:
    """Return whether ``error`` comes from talking to other workers, so that it says nothing about the trial."""
    return isinstance(error, torch.distributed.DistError) or any(name in str(error) for name in _LIBRARIES)
