"""What pydantic found wrong, in the words of the experiment file: path, problem, value seen, what is allowed."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Discriminator, Tag, ValidationError
from pydantic_core import ErrorDetails

from hybridbatch.foundation.errors import UserError, did_you_mean, one_of
from hybridbatch.spec.names import NAME_PATTERN, NAME_RULE
from hybridbatch.spec.settings import REJECTED, ChosenFrom, EachFrom, Settings

_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "tuple": "a list, such as [one, another]",
    "list": "a list, such as [one, another]",
    "dict": "a mapping (key: value lines)",
    "model": "a mapping (key: value lines)",
}


@dataclass(frozen=True)
class _Place:
    """A place in the experiment file: the keys that lead there, and what the experiment class says stands there."""

    keys: tuple[int | str, ...]
    annotation: Any

    def below(self, part: int | str) -> _Place:
        """Return the place that pydantic calls ``part``: a key, an index, or the member chosen from a union."""
        inner, marks = _unwrapped(self.annotation)
        chosen = next((one for one in marks if isinstance(one, ChosenFrom)), None)
        if chosen is not None and part in chosen.registry.entries():
            return replace(self, annotation=chosen.registry.get(str(part)))
        if any(isinstance(one, Discriminator) for one in marks):
            tags = ((tag.tag, member) for member in get_args(inner) for tag in _unwrapped(member)[1] if _is_tag(tag))
            return replace(self, annotation=dict(tags).get(str(part)))
        if isinstance(inner, type) and issubclass(inner, Settings):
            field = inner.model_fields.get(str(part))
            return self._at(part, Annotated[(field.annotation, *field.metadata, None)] if field else None)
        arguments = get_args(inner)
        if get_origin(inner) is dict:
            return self._at(part, arguments[1])
        if get_origin(inner) in (tuple, list):
            index = part if isinstance(part, int) and part < len(arguments) and ... not in arguments else 0
            return self._at(part, arguments[index])
        return self  # the member of a union of plain types: no key of the file

    def _at(self, key: int | str, annotation: Any) -> _Place:
        return _Place((*self.keys, key), annotation)

    @property
    def dotted(self) -> str:
        """The dotted path."""
        return ".".join(str(key) for key in self.keys)


def validation_messages(error: ValidationError, root: type[Settings]) -> list[UserError]:
    """Return one message for each mistake that ``error`` holds.

    Args:
        error: What validation raised.
        root: The class that was validated.
    """
    messages: dict[tuple[str | None, str], UserError] = {}
    for entry in _worth_telling(error):
        place = _Place((), root)
        for part in entry["loc"]:
            place = place.below(part)
        message = _message(entry, place, root)
        key = (message.path, message.problem)
        earlier = messages.get(key)
        if earlier is not None and earlier.allowed != message.allowed:  # the members of a union, one after the other
            message = _rebuilt(message, allowed=f"{earlier.allowed}, or {message.allowed}")
        messages[key] = message
    return list(messages.values())


def _worth_telling(error: ValidationError) -> Iterator[ErrorDetails]:
    for entry in error.errors(include_url=False):
        minimum = entry.get("ctx", {}).get("min_length", 0)
        if entry["type"] == "too_short" and len(entry["input"]) >= minimum:
            continue  # pydantic counts valid items alone, and the invalid ones are told already
        yield entry


def _message(entry: ErrorDetails, place: _Place, root: type[Settings]) -> UserError:
    sort, context, seen = entry["type"], entry.get("ctx", {}), entry["input"]
    path = place.dotted or None
    if sort == REJECTED:
        return UserError(
            context["problem"],
            path=".".join(part for part in (path, context["at"]) if part),
            seen=context["seen"] if context["seen"] is not None else _plain(seen),
            allowed=context["allowed"],
            remedy=context["remedy"],
        )
    if sort == "extra_forbidden":
        return _unknown_key(entry, place, root)
    if sort.startswith("union_tag"):
        return _unknown_choice(context, place, seen)
    if sort == "distribution":
        names = str(context["names"]).split(", ")
        keys = seen if isinstance(seen, Mapping) else ()
        remedy = next((found for key in keys if (found := did_you_mean(str(key), names))), None)
        return UserError("no distribution", path=path, seen=seen, allowed=f"one of {', '.join(names)}", remedy=remedy)
    if sort == "missing" and isinstance(entry["loc"][-1], int):
        return UserError("a value is missing", path=path, seen=seen, allowed=f"at least {entry['loc'][-1] + 1} values")
    if sort == "missing":
        return UserError("this key is missing", path=path)
    if seen is None:
        return UserError("this key has no value", path=path, allowed=_expected(sort))
    return _unfit_value(entry, place)


def _unfit_value(entry: ErrorDetails, place: _Place) -> UserError:
    sort, context, seen, path = entry["type"], entry.get("ctx", {}), entry["input"], place.dotted or None
    if sort == "literal_error":
        names = [name.strip("'") for name in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return UserError(
            "unknown value", path=path, seen=seen, allowed=", ".join(names), remedy=did_you_mean(str(seen), names)
        )
    if sort.endswith(("_type", "_from_float", "_number")):
        return UserError(
            "wrong type", path=path, seen=seen, allowed=_expected(sort), remedy=_as_mapping(place.annotation, seen)
        )
    if sort in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return UserError(
            "out of range", path=path, seen=seen, allowed=entry["msg"].removeprefix("Input should be ").lower()
        )
    if sort in ("too_short", "too_long", "string_too_short", "string_too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        limit = f"at least {least}" if least is not None else f"at most {most}"
        what = "characters" if sort.startswith("string") else "values"
        problem = "too short" if sort.endswith("short") else "too long"
        return UserError(problem, path=path, seen=seen, allowed=f"{limit} {what}")
    if sort == "string_pattern_mismatch":
        allowed = NAME_RULE if context["pattern"] == NAME_PATTERN else f"text that matches {context['pattern']}"
        return UserError("not of the form that is needed", path=path, seen=seen, allowed=allowed)
    return UserError(entry["msg"].removeprefix("Value error, "), path=path, seen=_plain(seen))


def _unknown_key(entry: ErrorDetails, place: _Place, root: type[Settings]) -> UserError:
    parent = _Place((), root)
    for part in entry["loc"][:-1]:
        parent = parent.below(part)
    kind = _unwrapped(parent.annotation)[0]
    fields = list(getattr(kind, "model_fields", {}))
    name = str(entry["loc"][-1])
    return UserError(
        "unknown key", path=place.dotted, seen=name, allowed=one_of(fields), remedy=did_you_mean(name, fields)
    )


def _unknown_choice(context: Mapping[str, Any], place: _Place, seen: Any) -> UserError:
    mark = next(one for one in _unwrapped(place.annotation)[1] if isinstance(one, ChosenFrom))
    names, tag = list(mark.registry.entries()), context.get("tag")
    return UserError(
        f"unknown {mark.registry.kind}" if tag is not None else f"the key '{mark.key}' is missing",
        path=f"{place.dotted}.{mark.key}",
        seen=seen.get(mark.key, tag) if isinstance(seen, Mapping) else tag,
        allowed=one_of(names),
        remedy=did_you_mean(str(tag), names),
    )


def _as_mapping(annotation: Any, seen: Any) -> str | None:
    """Return a remedy where a name stands in place of the settings of what is called so."""
    mark = next((one for one in _unwrapped(annotation)[1] if isinstance(one, ChosenFrom)), None)
    named = mark is not None and isinstance(seen, str) and seen in mark.registry.entries()
    return f"write {{{mark.key}: {seen}}}" if mark is not None and named else None


def _expected(sort: str) -> str | None:
    return _EXPECTED.get(sort.split("_", maxsplit=1)[0])


def _plain(seen: Any) -> Any:
    return None if isinstance(seen, Mapping) else seen


def _is_tag(mark: Any) -> bool:
    return isinstance(mark, Tag)


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without ``Annotated`` and ``| None``, and what it was annotated with."""
    marks: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            marks += annotation.__metadata__
            each = next((one for one in annotation.__metadata__ if isinstance(one, EachFrom)), None)
            annotation = get_args(annotation)[0] if each is None else each.settings
        elif get_origin(annotation) in (Union, types.UnionType):
            members = [one for one in get_args(annotation) if one is not type(None)]
            if len(members) > 1:
                return annotation, marks
            annotation = members[0]
        else:
            return annotation, marks


def _rebuilt(message: UserError, *, allowed: str) -> UserError:
    return UserError(message.problem, path=message.path, seen=message.seen, allowed=allowed, remedy=message.remedy)
