"""Spanish wordings of world-facts."""

from __future__ import annotations

WORDINGS = {
    "currency": (
        (
            "¿Con qué moneda se paga en el siguiente país o territorio: {t}?",
            "{t}: ¿cómo se llama el dinero que se usa allí?",
        ),
        (
            "{t}: la moneda de curso legal se llama «{a}».",
            "En el país o territorio «{t}» circula esta moneda: {a}.",
        ),
    ),
    "currency_code": (
        (
            "¿Cuál es el código de tres letras de la moneda del país o territorio «{t}»?",
            "{t}: ¿con qué código ISO 4217 figura su moneda?",
        ),
        (
            "{t}: el código ISO 4217 de la moneda es {a}.",
            "Los importes en el país o territorio «{t}» llevan el código de moneda {a}.",
        ),
    ),
    "former_currency": (
        (
            "¿Qué moneda se usaba en el país o territorio «{t}» antes de la actual?",
            "{t}: ¿cómo se llamaba el dinero anterior?",
        ),
        (
            "{t}: la moneda anterior, ya sin validez, era «{a}».",
            "Antes de la moneda actual, en el país o territorio «{t}» se pagaba con esta: {a}.",
        ),
    ),
    "official_language": (
        (
            "¿Qué lengua oficial tiene más hablantes en el país o territorio «{t}»?",
            "{t}: ¿cuál es la principal lengua oficial?",
        ),
        (
            "{t}: la principal lengua oficial es esta: {a}.",
            "Lengua oficial con más hablantes en el país o territorio «{t}»: {a}.",
        ),
    ),
    "other_language": (
        (
            "Además de la principal lengua oficial, ¿qué lengua está extendida en el país o territorio «{t}»?",
            "{t}: ¿qué otra lengua habla mucha gente?",
        ),
        (
            "{t}: mucha gente habla también esta lengua: {a}.",
            "Otra lengua extendida en el país o territorio «{t}»: {a}.",
        ),
    ),
    "time_zone": (
        (
            "¿De qué ciudad toma su nombre la zona horaria del país o territorio «{t}»?",
            "{t}: ¿qué ciudad representa su zona horaria?",
        ),
        (
            "{t}: los relojes siguen la zona horaria de esta ciudad: {a}.",
            "La zona horaria del país o territorio «{t}» lleva el nombre de una ciudad: {a}.",
        ),
    ),
    "alpha2_code": (
        (
            "¿Cuál es el código de dos letras del país o territorio «{t}»?",
            "{t}: ¿qué dos letras le corresponden en la norma ISO 3166?",
        ),
        (
            "{t}: el código de dos letras en la norma ISO 3166 es {a}.",
            "El país o territorio «{t}» se abrevia con dos letras: {a}.",
        ),
    ),
    "numeric_code": (
        (
            "¿Cuál es el código numérico del país o territorio «{t}»?",
            "{t}: ¿qué número de tres cifras le corresponde en la norma ISO 3166?",
        ),
        (
            "{t}: el número de tres cifras en la norma ISO 3166 es {a}.",
            "El país o territorio «{t}» tiene el código numérico {a}.",
        ),
    ),
}
