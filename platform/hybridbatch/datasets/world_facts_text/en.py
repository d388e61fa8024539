"""English wordings of world-facts."""

from __future__ import annotations

WORDINGS = {
    "currency": (
        (
            "Which currency is used in the following country or territory: {t}?",
            "{t}: what is the money there called?",
        ),
        (
            "{t}: the legal tender is called “{a}”.",
            "In the country or territory “{t}”, people pay with this currency: {a}.",
        ),
    ),
    "currency_code": (
        (
            "What is the three-letter currency code for the country or territory “{t}”?",
            "{t}: under which ISO 4217 code is its currency listed?",
        ),
        (
            "{t}: the ISO 4217 code of the currency is {a}.",
            "Amounts in the country or territory “{t}” carry the currency code {a}.",
        ),
    ),
    "former_currency": (
        (
            "Which currency did the country or territory “{t}” use before the present one?",
            "{t}: what was the earlier money called?",
        ),
        (
            "{t}: the earlier currency, no longer valid, was “{a}”.",
            "Before the present money, the country or territory “{t}” used this currency: {a}.",
        ),
    ),
    "official_language": (
        (
            "Which official language has the most speakers in the country or territory “{t}”?",
            "{t}: what is the main official language?",
        ),
        (
            "{t}: the main official language is {a}.",
            "Official language with the most speakers in the country or territory “{t}”: {a}.",
        ),
    ),
    "other_language": (
        (
            "Besides the main official language, which language is widely spoken in the country or territory “{t}”?",
            "{t}: which further language do many people speak?",
        ),
        (
            "{t}: many people also speak {a}.",
            "Another widely spoken language in the country or territory “{t}”: {a}.",
        ),
    ),
    "time_zone": (
        (
            "After which city is the time zone of the country or territory “{t}” named?",
            "{t}: which city stands for its time zone?",
        ),
        (
            "{t}: clocks follow the time zone of the city {a}.",
            "The time zone of the country or territory “{t}” bears the name of a city: {a}.",
        ),
    ),
    "alpha2_code": (
        (
            "What is the two-letter country code of the country or territory “{t}”?",
            "{t}: which two letters stand for it in ISO 3166?",
        ),
        (
            "{t}: the two-letter code in ISO 3166 is {a}.",
            "The country or territory “{t}” is abbreviated with two letters: {a}.",
        ),
    ),
    "numeric_code": (
        (
            "What is the numeric code of the country or territory “{t}”?",
            "{t}: which three-digit number stands for it in ISO 3166?",
        ),
        (
            "{t}: the three-digit number in ISO 3166 is {a}.",
            "The country or territory “{t}” has the numeric country code {a}.",
        ),
    ),
}
