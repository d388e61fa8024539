"""The base of every settings class, and fields whose class is chosen by name from a registry."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hybridbatch.foundation.registry import Registry


class Settings(BaseModel):
    """Settings read from an experiment file: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


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
