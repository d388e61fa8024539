"""Named implementations: one new file in a package registers itself and is found from then on."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from hybridbatch.foundation.errors import UserError, did_you_mean, one_of

T = TypeVar("T")


class Registry(Generic[T]):
    """The named implementations of one kind of thing.

    Modules of ``package`` are imported at the first look-up, so that an implementation needs no list to be entered in.

    Args:
        kind: What is registered, in words for error messages ("data set").
        package: The package whose modules register themselves.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers an implementation under ``name``."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice in {self.package}")
            self._entries[name] = entry
            return entry

        return enter

    def entries(self) -> dict[str, T]:
        """Return all implementations by name, in order of their names."""
        if not self._discovered:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
                importlib.import_module(module.name)
            self._discovered = True
        return dict(sorted(self._entries.items()))

    def get(self, name: str) -> T:
        """Return the implementation called ``name``.

        Raises:
            UserError: If nothing of that name is registered.
        """
        entries = self.entries()
        if name not in entries:
            raise UserError(
                f"unknown {self.kind}",
                seen=name,
                allowed=one_of(entries),
                remedy=did_you_mean(name, entries),
            )
        return entries[name]
