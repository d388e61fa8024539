"""Vietnamese wordings of world-facts."""

from __future__ import annotations

WORDINGS = {
    "currency": (
        (
            "Quốc gia hoặc vùng lãnh thổ sau đây dùng đơn vị tiền tệ nào: {t}?",
            "{t}: tiền ở đó gọi là gì?",
        ),
        (
            "{t}: đồng tiền hợp pháp có tên là “{a}”.",
            "Tại quốc gia hoặc vùng lãnh thổ “{t}”, người ta chi trả bằng đơn vị tiền tệ này: {a}.",
        ),
    ),
    "currency_code": (
        (
            "Mã tiền tệ gồm ba chữ cái của quốc gia hoặc vùng lãnh thổ “{t}” là gì?",
            "{t}: đơn vị tiền tệ mang mã ISO 4217 nào?",
        ),
        (
            "{t}: mã ISO 4217 của đơn vị tiền tệ là {a}.",
            "Số tiền tại quốc gia hoặc vùng lãnh thổ “{t}” được ghi kèm mã tiền tệ {a}.",
        ),
    ),
    "former_currency": (
        (
            "Trước đồng tiền hiện nay, quốc gia hoặc vùng lãnh thổ “{t}” dùng đơn vị tiền tệ nào?",
            "{t}: đồng tiền cũ tên là gì?",
        ),
        (
            "{t}: đồng tiền cũ, nay không còn giá trị, là “{a}”.",
            "Trước đồng tiền hiện nay, quốc gia hoặc vùng lãnh thổ “{t}” từng dùng đơn vị tiền tệ này: {a}.",
        ),
    ),
    "official_language": (
        (
            "Ngôn ngữ chính thức nào có nhiều người nói nhất tại quốc gia hoặc vùng lãnh thổ “{t}”?",
            "{t}: ngôn ngữ chính thức chủ yếu là gì?",
        ),
        (
            "{t}: ngôn ngữ chính thức chủ yếu là {a}.",
            "Ngôn ngữ chính thức có nhiều người nói nhất tại quốc gia hoặc vùng lãnh thổ “{t}”: {a}.",
        ),
    ),
    "other_language": (
        (
            "Ngoài ngôn ngữ chính thức chủ yếu, ngôn ngữ nào được nói rộng rãi tại quốc gia hoặc vùng lãnh thổ “{t}”?",
            "{t}: nhiều người còn nói ngôn ngữ nào khác?",
        ),
        (
            "{t}: nhiều người còn nói {a}.",
            "Một ngôn ngữ khác được nói rộng rãi tại quốc gia hoặc vùng lãnh thổ “{t}”: {a}.",
        ),
    ),
    "time_zone": (
        (
            "Múi giờ của quốc gia hoặc vùng lãnh thổ “{t}” được đặt theo tên thành phố nào?",
            "{t}: thành phố nào đại diện cho múi giờ?",
        ),
        (
            "{t}: đồng hồ chạy theo múi giờ của thành phố {a}.",
            "Múi giờ của quốc gia hoặc vùng lãnh thổ “{t}” mang tên một thành phố: {a}.",
        ),
    ),
    "alpha2_code": (
        (
            "Mã gồm hai chữ cái của quốc gia hoặc vùng lãnh thổ “{t}” là gì?",
            "{t}: hai chữ cái nào là ký hiệu trong tiêu chuẩn ISO 3166?",
        ),
        (
            "{t}: mã hai chữ cái trong tiêu chuẩn ISO 3166 là {a}.",
            "Quốc gia hoặc vùng lãnh thổ “{t}” được viết tắt bằng hai chữ cái: {a}.",
        ),
    ),
    "numeric_code": (
        (
            "Mã số của quốc gia hoặc vùng lãnh thổ “{t}” là gì?",
            "{t}: số có ba chữ số nào là ký hiệu trong tiêu chuẩn ISO 3166?",
        ),
        (
            "{t}: số có ba chữ số trong tiêu chuẩn ISO 3166 là {a}.",
            "Quốc gia hoặc vùng lãnh thổ “{t}” có mã số quốc gia {a}.",
        ),
    ),
}
