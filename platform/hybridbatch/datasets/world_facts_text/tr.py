"""Turkish wordings of world-facts."""

from __future__ import annotations

WORDINGS = {
    "currency": (
        (
            "Şu ülke veya bölgede hangi para birimi kullanılır: {t}?",
            "{t}: orada kullanılan paranın adı nedir?",
        ),
        (
            "{t}: yasal para biriminin adı şudur: {a}.",
            "“{t}” adlı ülke veya bölgede geçerli olan para: {a}.",
        ),
    ),
    "currency_code": (
        (
            "“{t}” adlı ülke veya bölgenin üç harfli para birimi kodu nedir?",
            "{t}: para birimi hangi ISO 4217 koduyla gösterilir?",
        ),
        (
            "{t}: para biriminin ISO 4217 kodu şudur: {a}.",
            "“{t}” adlı ülke veya bölgede tutarlar şu para birimi koduyla yazılır: {a}.",
        ),
    ),
    "former_currency": (
        (
            "“{t}” adlı ülke veya bölgede bugünkünden önce hangi para birimi kullanılıyordu?",
            "{t}: eski paranın adı neydi?",
        ),
        (
            "{t}: artık geçerli olmayan eski para birimi şuydu: {a}.",
            "Bugünkü paradan önce “{t}” adlı ülke veya bölgede kullanılan para: {a}.",
        ),
    ),
    "official_language": (
        (
            "“{t}” adlı ülke veya bölgede en çok konuşulan resmî dil hangisidir?",
            "{t}: başlıca resmî dil nedir?",
        ),
        (
            "{t}: başlıca resmî dil şudur: {a}.",
            "“{t}” adlı ülke veya bölgede en çok konuşulan resmî dil: {a}.",
        ),
    ),
    "other_language": (
        (
            "“{t}” adlı ülke veya bölgede başlıca resmî dilin yanında hangi dil yaygındır?",
            "{t}: birçok insan başka hangi dili konuşur?",
        ),
        (
            "{t}: birçok insan şu dili de konuşur: {a}.",
            "“{t}” adlı ülke veya bölgede yaygın olan bir başka dil: {a}.",
        ),
    ),
    "time_zone": (
        (
            "“{t}” adlı ülke veya bölgenin saat dilimi adını hangi şehirden alır?",
            "{t}: saat dilimini hangi şehir temsil eder?",
        ),
        (
            "{t}: saatler şu şehrin saat dilimine göre ayarlanır: {a}.",
            "“{t}” adlı ülke veya bölgenin saat dilimi bir şehrin adını taşır: {a}.",
        ),
    ),
    "alpha2_code": (
        (
            "“{t}” adlı ülke veya bölgenin iki harfli ülke kodu nedir?",
            "{t}: ISO 3166 standardında hangi iki harfle gösterilir?",
        ),
        (
            "{t}: ISO 3166 standardındaki iki harfli kod şudur: {a}.",
            "“{t}” adlı ülke veya bölge iki harfle kısaltılır: {a}.",
        ),
    ),
    "numeric_code": (
        (
            "“{t}” adlı ülke veya bölgenin sayısal kodu nedir?",
            "{t}: ISO 3166 standardında hangi üç basamaklı sayıyla gösterilir?",
        ),
        (
            "{t}: ISO 3166 standardındaki üç basamaklı sayı şudur: {a}.",
            "“{t}” adlı ülke veya bölgenin sayısal ülke kodu: {a}.",
        ),
    ),
}
