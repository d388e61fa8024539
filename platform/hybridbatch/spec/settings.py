"""The base of every settings class, and fields whose class is chosen by name from a registry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from hybridbatch.foundation.errors import did_you_mean, one_of
from hybridbatch.foundation.registry import Registry

REJECTED = "rejected"  # pydantic's name for what rejected() makes


class Settings(BaseModel):
    """Settings read from an experiment file: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def rejected(
    problem: str, *, at: str = "", seen: object = None, allowed: str | None = None, remedy: str | None = None
) -> PydanticCustomError:
    """Return the error that a validator raises to say more than one sentence.

    Args:
        problem: One sentence that says what is wrong.
        at: The dotted path from the validated field to the culprit.
        seen: The value that was found, where it is not the whole value of the field.
        allowed: What would have been accepted.
        remedy: What the reader can do about it.
    """
    facts = {"problem": problem, "at": at, "seen": seen, "allowed": allowed, "remedy": remedy}
    return PydanticCustomError(REJECTED, "{problem}", facts)


def unknown_name(kind: str, name: str, names: Iterable[str], *, at: str = "") -> PydanticCustomError:
    """Return the error for a name that is none of ``names``; for ``at`` see :func:`rejected`."""
    known = sorted(names)
    return rejected(f"unknown {kind}", at=at, seen=name, allowed=one_of(known), remedy=did_you_mean(name, known))


class ChosenFrom:
    """Marks a field whose settings class is chosen from a registry by the value of one key.

    ``backbone: {kind: scratch, layers: 2}`` is read by the class registered as ``scratch``. The union is built when the
    experiment class is defined, so that messages and the exported JSON Schema know every registered implementation.
    """

    def __init__(self, registry: Registry[type[Any]], key: str) -> None:
        self.registry, self.key = registry, key

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {name: handler.generate_schema(entry) for name, entry in self.registry.entries().items()}
        return core_schema.tagged_union_schema(choices=choices, discriminator=self.key)


class EachFrom:
    """Marks a field that may switch on every implementation of a registry: a key each, off where it is left out.

    ``arms: {code-switching: {probability: 0.5}}`` is read by the class registered as ``code-switching``. Iterating over
    the value yields each name with its settings or None.
    """

    def __init__(self, registry: Registry[type[Any]], name: str, documentation: str) -> None:
        self.registry, self.name, self.documentation = registry, name, documentation

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.settings)

    @cached_property
    def settings(self) -> type[Settings]:
        """The class of the field's value."""
        entries: dict[str, Any] = {name: (entry | None, None) for name, entry in self.registry.entries().items()}
        what = "\n".join(f"    {name}: {entry.description}" for name, entry in self.registry.entries().items())
        documentation = f"{self.documentation}\n\nAttributes:\n{what}"
        return create_model(self.name, __base__=Settings, __doc__=documentation, **entries)
