"""What tells a trial that failed by itself from one whose other workers are gone."""

from __future__ import annotations

import torch

# Gloo raises plain RuntimeErrors; only the text tells whose they are.
_LIBRARIES = ("gloo", "NCCL")


class BrokenGroupError(Exception):
    """The workers of a group cannot go on together: a new group has to take over.

    The trial itself is untouched, or finished already when the worker that raises this has written its result.
    """


def lost_the_others(error: Exception) -> bool:
    """Return whether ``error`` comes from talking to other workers, so that it says nothing about the trial."""
    return isinstance(error, torch.distributed.DistError) or any(name in str(error) for name in _LIBRARIES)
