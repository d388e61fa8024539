"""Questions and passages of world-facts, one module a language: a new language is one new file.

``{t}`` stands for the name of a territory, ``{a}`` for the answer. Both are names as CLDR gives them and are never
inflected, so a template puts them where the language does not inflect: after a colon, before one, or in quotes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

LANGUAGES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@dataclass(frozen=True)
class Templates:
    """The wordings of one relation in one language.

    Attributes:
        questions: At least two questions, each with ``{t}``.
        passages: At least two passages, each with ``{t}`` and ``{a}``.
    """

    questions: tuple[str, ...]
    passages: tuple[str, ...]


@cache
def templates(language: str) -> Mapping[str, Templates]:
    """Return the wordings of every relation in one of :data:`LANGUAGES`."""
    wordings: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = importlib.import_module(
        f"{__name__}.{language}"
    ).WORDINGS
    return {relation: Templates(questions, passages) for relation, (questions, passages) in wordings.items()}
