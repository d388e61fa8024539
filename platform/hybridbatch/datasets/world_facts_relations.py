"""The facts of world-facts: what CLDR knows of a territory, and what it is called in a language.

Source: Unicode CLDR as shipped with babel (supplemental data: currencies, languages, codes and time zones).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from hybridbatch.foundation.seeds import derive_seed

if TYPE_CHECKING:
    from babel import Locale

# "Present" and "former" are as of this day, not as of the day of the run: the data set must not change overnight.
AS_OF = date(2025, 1, 1)
UNKNOWN_TERRITORY = "ZZ"
LAST_ISO_NUMBER = 899  # above it lie ISO 3166 numbers that anybody may use as they like
WIDELY_SPOKEN_PERCENT = 5.0  # of the population; below it, CLDR's order of languages is mostly guesswork
SAME_LANGUAGE = {"nb": "no", "nn": "no"}  # CLDR lists Norwegian beside its written forms

# An item in SHARE_OF_DEV of the territories goes to dev, one or two (in SHARE_OF_SECOND_TEST) of each to test.
LEAST_TRAIN = 2
SHARE_OF_DEV = 0.85
SHARE_OF_SECOND_TEST = 0.3


@dataclass(frozen=True)
class Fact:
    """What holds for a territory: its name is the item id, such as ``currency:DE``.

    Attributes:
        relation: Key of the relation.
        territory: ISO 3166 code of the territory.
        answer: CLDR's key of the answer (currency, language, time zone), or the answer itself where it is a code.
    """

    relation: str
    territory: str
    answer: str

    @property
    def item(self) -> str:
        """The item id."""
        return f"{self.relation}:{self.territory}"


@lru_cache(maxsize=1)
def facts() -> tuple[Fact, ...]:
    """Return every fact, by relation and territory."""
    from babel import Locale

    english = Locale.parse("en")
    territories = sorted(code for code in _global("territory_languages") if code != UNKNOWN_TERRITORY)
    found = ((relation, code, find(code, english)) for relation, find in FINDERS.items() for code in territories)
    return tuple(Fact(relation, code, answer) for relation, code, answer in found if answer)


def splits() -> Mapping[str, str]:
    """Return the split of every item id: disjoint by (territory, relation), and each territory mostly in train.

    The split of an item depends on the relations of its territory alone, so a choice of languages or relations does not
    move it. Territories with few relations are in train only.
    """
    by_territory: dict[str, list[str]] = {}
    for fact in facts():
        by_territory.setdefault(fact.territory, []).append(fact.item)
    split: dict[str, str] = {}
    for territory, items in by_territory.items():
        shuffled = sorted(items, key=lambda item: derive_seed("world-facts", item))
        wanted = ["test"]
        if _draw(territory, "dev") < SHARE_OF_DEV:
            wanted.append("dev")
        if _draw(territory, "test") < SHARE_OF_SECOND_TEST:
            wanted.append("test")
        held_out = wanted[: max(0, len(items) - LEAST_TRAIN)]
        split |= dict.fromkeys(items, "train") | dict(zip(shuffled, held_out, strict=False))
    return split


def territory_name(fact: Fact, locale: Locale) -> str | None:
    """Return the name of the territory in a language, None where CLDR has none."""
    return _text(locale.territories.get(fact.territory))


def answer_name(fact: Fact, locale: Locale) -> str | None:
    """Return the answer in a language, None where CLDR has no name for it."""
    if fact.relation in ("currency", "former_currency"):
        return _text(locale.currencies.get(fact.answer))
    if fact.relation in ("official_language", "other_language"):
        return _text(locale.languages.get(fact.answer))
    if fact.relation == "time_zone":
        return _city(fact.answer, locale)
    return fact.answer


def _city(zone: str, locale: Locale) -> str:
    """Return the city of a time zone; where a language has none, CLDR's rule is the last part of the zone's name."""
    entry: Mapping[str, Any] = locale.time_zones.get(zone) or {}
    return _text(entry.get("city")) or zone.rsplit("/", 1)[-1].replace("_", " ")


def _text(value: object) -> str | None:
    return str(value) if value else None


def _draw(territory: str, purpose: str) -> float:
    return derive_seed("world-facts", purpose, territory) / 2**63


def _global(key: str) -> Mapping[str, Any]:
    from babel.core import get_global

    return cast("Mapping[str, Any]", get_global(key))


def _day(parts: tuple[int, int, int] | None, missing: date) -> date:
    return date(*parts) if parts else missing


def _currency(territory: str, _: Locale) -> str | None:
    """Return the legal tender; of several the territory's own (whose code starts like its own), else the newest."""
    valid = [
        (code[:2] == territory, _day(start, date.min), code)
        for code, start, end, tender in _global("territory_currencies").get(territory, ())
        if tender and _day(start, date.min) <= AS_OF < _day(end, date.max)
    ]
    return max(valid)[-1] if valid else None


def _former_currency(territory: str, english: Locale) -> str | None:
    """Return the legal tender that was given up last."""
    past = [
        (_day(end, date.max), code)
        for code, _, end, tender in _global("territory_currencies").get(territory, ())
        if tender and _day(end, date.max) <= AS_OF and code != _currency(territory, english)
    ]
    return max(past)[-1] if past else None


def _languages(territory: str, english: Locale) -> list[tuple[float, str, bool]]:
    """Return share of the population, language and whether it is official, scripts and unnamed languages left out."""
    return [
        (float(known["population_percent"]), base, known["official_status"] in ("official", "de_facto_official"))
        for code, known in _global("territory_languages")[territory].items()
        if (base := SAME_LANGUAGE.get(code.split("_")[0], code.split("_")[0])) in english.languages
    ]


def _official_language(territory: str, english: Locale) -> str | None:
    official = [(share, code) for share, code, is_official in _languages(territory, english) if is_official]
    return max(official)[-1] if official else None


def _other_language(territory: str, english: Locale) -> str | None:
    """Return the most spoken language besides the main official one."""
    main = _official_language(territory, english)
    others = [
        (share, code)
        for share, code, _ in _languages(territory, english)
        if main and code != main and share >= WIDELY_SPOKEN_PERCENT
    ]
    return max(others)[-1] if others else None


def _time_zone(territory: str, _: Locale) -> str | None:
    """Return the time zone if there is one, or one that CLDR singles out (in its table of Windows zones)."""
    zones = list(_global("territory_zones").get(territory, ()))
    if len(zones) > 1:
        zones = sorted(set(zones) & set(_global("windows_zone_mapping").values()))
    return zones[0] if len(zones) == 1 else None


def _iso_numbers(territory: str) -> list[str]:
    return [
        code
        for code, meant in _global("territory_aliases").items()
        if code.isdigit() and int(code) <= LAST_ISO_NUMBER and list(meant) == [territory]
    ]


def _alpha2_code(territory: str, _: Locale) -> str | None:
    return territory if _iso_numbers(territory) else None  # without a number, the code is CLDR's own and not ISO's


def _numeric_code(territory: str, _: Locale) -> str | None:
    numbers = _iso_numbers(territory)
    return numbers[0] if len(numbers) == 1 else None  # a second number is that of a former state


FINDERS: dict[str, Callable[[str, Locale], str | None]] = {
    "currency": _currency,
    "currency_code": _currency,
    "former_currency": _former_currency,
    "official_language": _official_language,
    "other_language": _other_language,
    "time_zone": _time_zone,
    "alpha2_code": _alpha2_code,
    "numeric_code": _numeric_code,
}
RELATIONS = tuple(FINDERS)
