"""German wordings of world-facts."""

from __future__ import annotations

WORDINGS = {
    "currency": (
        (
            "Mit welcher Währung bezahlt man in folgendem Land oder Gebiet: {t}?",
            "{t}: Wie heißt das Geld dort?",
        ),
        (
            "{t}: Das gesetzliche Zahlungsmittel heißt „{a}“.",
            "Im Land oder Gebiet „{t}“ gilt diese Währung: {a}.",
        ),
    ),
    "currency_code": (
        (
            "Wie lautet der dreibuchstabige Währungscode für das Land oder Gebiet „{t}“?",
            "{t}: Unter welchem Code nach ISO 4217 wird die Währung geführt?",
        ),
        (
            "{t}: Der Code der Währung nach ISO 4217 ist {a}.",
            "Beträge im Land oder Gebiet „{t}“ tragen den Währungscode {a}.",
        ),
    ),
    "former_currency": (
        (
            "Welche Währung galt im Land oder Gebiet „{t}“ vor der heutigen?",
            "{t}: Wie hieß das frühere Geld?",
        ),
        (
            "{t}: Die frühere, nicht mehr gültige Währung war „{a}“.",
            "Vor der heutigen Währung bezahlte man im Land oder Gebiet „{t}“ hiermit: {a}.",
        ),
    ),
    "official_language": (
        (
            "Welche Amtssprache hat im Land oder Gebiet „{t}“ die meisten Sprecher?",
            "{t}: Was ist die wichtigste Amtssprache?",
        ),
        (
            "{t}: Die wichtigste Amtssprache ist {a}.",
            "Amtssprache mit den meisten Sprechern im Land oder Gebiet „{t}“: {a}.",
        ),
    ),
    "other_language": (
        (
            "Welche Sprache ist im Land oder Gebiet „{t}“ neben der wichtigsten Amtssprache verbreitet?",
            "{t}: Welche weitere Sprache sprechen viele Menschen?",
        ),
        (
            "{t}: Viele Menschen sprechen auch diese Sprache: {a}.",
            "Eine weitere verbreitete Sprache im Land oder Gebiet „{t}“: {a}.",
        ),
    ),
    "time_zone": (
        (
            "Nach welcher Stadt ist die Zeitzone des Landes oder Gebiets „{t}“ benannt?",
            "{t}: Welche Stadt steht für die Zeitzone?",
        ),
        (
            "{t}: Die Uhren folgen der Zeitzone dieser Stadt: {a}.",
            "Die Zeitzone im Land oder Gebiet „{t}“ trägt den Namen einer Stadt: {a}.",
        ),
    ),
    "alpha2_code": (
        (
            "Wie lautet der zweibuchstabige Ländercode für das Land oder Gebiet „{t}“?",
            "{t}: Welche zwei Buchstaben stehen dafür in ISO 3166?",
        ),
        (
            "{t}: Der zweibuchstabige Code nach ISO 3166 ist {a}.",
            "Das Land oder Gebiet „{t}“ wird mit zwei Buchstaben abgekürzt: {a}.",
        ),
    ),
    "numeric_code": (
        (
            "Wie lautet der numerische Ländercode für das Land oder Gebiet „{t}“?",
            "{t}: Welche dreistellige Zahl steht dafür in ISO 3166?",
        ),
        (
            "{t}: Die dreistellige Zahl nach ISO 3166 ist {a}.",
            "Das Land oder Gebiet „{t}“ hat den numerischen Ländercode {a}.",
        ),
    ),
}
