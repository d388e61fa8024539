"""Which code of mBART stands for which language of a data set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hybridbatch.backbones.encoders.language_codes import LanguageCodedTokenizer, code_of_language
from hybridbatch.foundation.errors import UserError


def tokenizer(*codes: str, unknown: str = "") -> LanguageCodedTokenizer:
    known: Any = SimpleNamespace(
        lang_code_to_id={code: 3 if code == unknown else 100 + place for place, code in enumerate(codes)},
        unk_token_id=3,
        src_lang=codes[0],
    )
    return LanguageCodedTokenizer(known, "a model")


def test_a_code_is_named_by_its_language_unless_several_share_it():
    assert code_of_language(["en_XX", "zh_CN"]) == {"en": "en_XX", "zh": "zh_CN"}
    assert code_of_language(["zh_TW", "en_XX", "zh_CN"]) == {"en": "en_XX", "zh-CN": "zh_CN", "zh-TW": "zh_TW"}


def test_a_language_is_found_whole_or_without_script_and_region():
    one = tokenizer("en_XX", "pt_XX", "zh_CN", "zh_TW")
    assert [one.code(name) for name in ("en", "pt-BR", "en-Latn-GB")] == ["en_XX", "pt_XX", "en_XX"]
    assert [one.code(name) for name in ("zh-CN", "zh-TW")] == ["zh_CN", "zh_TW"]


@pytest.mark.parametrize("language", ["zh", "zh-Hant", "el", "english", ""])
def test_a_language_with_no_code_or_several_is_refused(language: str):
    with pytest.raises(UserError) as caught:
        tokenizer("en_XX", "zh_CN", "zh_TW").check_languages(["en", language])
    assert (caught.value.file, caught.value.seen) == ("a model", language)
    assert caught.value.allowed == "en, zh-CN, zh-TW"


def test_a_code_that_the_vocabulary_lacks_is_none():
    one = tokenizer("en_XX", "th_TH", unknown="th_TH")
    assert one.languages == ("en",)
    assert one.code_ids == (100,)
