"""Files that run code when somebody unpickles them, for tests that nobody does."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


class _Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@dataclass(frozen=True)
class PlantedCode:
    """Code that leaves a file behind when it is run.

    Attributes:
        mark: The file.
    """

    mark: Path

    @property
    def has_run(self) -> bool:
        """Whether the code was run."""
        return self.mark.exists()

    def content(self, form: str) -> bytes:
        """Return it as a bare pickle, as ``.npy`` with objects, or as what ``torch.save`` writes, new or old."""
        written = io.BytesIO()
        if form == "pickle":
            return pickle.dumps(_Code(self.mark))
        if form == "npy":
            np.save(written, np.array([_Code(self.mark)] * 3, dtype=object), allow_pickle=True)
        else:
            torch.save({"weight": _Code(self.mark)}, written, _use_new_zipfile_serialization=form == "torch")
        return written.getvalue()

    def would_run(self, content: bytes, form: str) -> bool:
        """Return whether reading ``content`` without care runs it, which it then did: the last thing a test does."""
        if form == "npy":
            np.load(io.BytesIO(content), allow_pickle=True)
        elif form == "pickle":
            pickle.loads(content)
        else:
            torch.load(io.BytesIO(content), weights_only=False)
        return self.has_run


FORMS = ("pickle", "npy", "torch", "old torch")
