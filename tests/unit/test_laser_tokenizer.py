"""The ids of LASER2's tokenizer: prepared texts, the pieces of SentencePiece, the rows of the dictionary."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tests.published_laser import SENTENCES, checkpoint, sentencepiece_model, small_laser, write_published

from hybridbatch.backbones.encoders.laser_tokenizer import LaserTokenizer, prepared
from hybridbatch.evaluation.token_store import tokenizer_fingerprint

NBSP = "\u00a0"


@pytest.fixture(scope="module")
def tokenizer() -> LaserTokenizer:
    return LaserTokenizer.of_folder(small_laser())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, \tWorld! ABC\x1f123", "hello, world! abc 123"),  # this and the next from the authors' own tests
        ("Hello!!! How are you??? I'm doing great.", "hello!!! how are you??? i'm doing great."),
        ("I &lt;3 Apple &amp; Carrots!", "i &lt;3 apple &amp; carrots!"),  # entities stay
        ("  two\u200bwords\u00ad here\ue000 ", "two words here"),  # a format, a soft hyphen, a private character
        ("क्\u200dष", "क् ष"),  # so is a joiner
        ("don’t ’n’ go", 'don\'t "n" go'),  # between letters an apostrophe, elsewhere a quotation mark
        ("‘a’ ‚b‘ „c“ “d” `e`", '"a" "b" "c" "d" \'e\''),
        ("´f´ ´´g´´", "'f' \"g\""),
        (f"«h» «{NBSP}i{NBSP}» x{NBSP}«{NBSP}j{NBSP}»{NBSP}y", '"h" "i" x "j" y'),
        ('He said "yes".', 'he said "yes."'),  # English puts the point before the mark
        ("1990–2000 — a…", "1990-2000 - a..."),
        ("a(b)c ( d ) (e).", "a (b) c (d) (e)."),
        (f"5 % 6{NBSP}% x : y ; z", "5% 6% x: y; z"),
        (f"1{NBSP}000 and{NBSP}? 20{NBSP}ºC", "1.000 and? 20 ºc"),
        ("ΑΘΉΝΑ ΣΊΣΥΦΟΣ", "αθήνα σίσυφος"),  # Greek stays Greek
        ("你好，世界。", "你好，世界。"),  # no words are marked in Chinese, and its punctuation stays
        ("", ""),
        (" \n ", ""),
    ],
)
def test_texts_are_prepared_as_by_the_authors(text: str, expected: str) -> None:
    assert prepared(text) == expected


def by_the_rule(text: str) -> list[int]:
    """Return ids as the published code makes them of a prepared text."""
    pieces = SentencePieceProcessor(model_proto=sentencepiece_model()).encode(text, out_type=str)
    dictionary = checkpoint()["dictionary"]
    return [dictionary.get(piece, 3) for piece in " ".join(pieces).split()] + [2]


@pytest.mark.parametrize("text", [*SENTENCES, "", "unknown: ☃☃ ☃ Ж龍", "</s> <s> <pad> <unk> a"])
def test_ids_are_those_of_sentencepiece_and_the_dictionary(tokenizer: LaserTokenizer, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    assert ids == by_the_rule(text.lower())
    assert ids.count(2) == 1, "text that looks like a special token is none"


def test_a_piece_has_the_row_of_its_number_plus_four(tokenizer: LaserTokenizer) -> None:
    processor = SentencePieceProcessor(model_proto=sentencepiece_model())
    numbers = processor.encode("the tower")
    assert min(numbers) >= 3
    assert tokenizer("The Tower")["input_ids"] == [*(number + 4 for number in numbers), 2]
    assert processor.encode("☃", out_type=str) == ["▁", "☃"]
    assert tokenizer("☃")["input_ids"] == [processor.piece_to_id("▁") + 4, 3, 2]


def test_white_space_that_sentencepiece_leaves_is_no_token() -> None:
    model, dictionary = sentencepiece_model("identity"), checkpoint()["dictionary"]
    assert SentencePieceProcessor(model_proto=model).encode("a\u3000a", out_type=str) == ["▁", "a", "\u3000", "a"]
    assert LaserTokenizer(model, dictionary)("a\u3000a")["input_ids"] == [
        dictionary["▁"],
        dictionary["a"],
        dictionary["a"],
        2,
    ]


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=30), max_size=5), longest=st.integers(4, 9))
def test_any_texts_give_ids_of_the_embedding(texts: list[str], longest: int) -> None:
    tokenizer = LaserTokenizer(sentencepiece_model(), checkpoint()["dictionary"])
    all_ids = tokenizer(texts)["input_ids"]
    assert (
        all_ids == [by_the_rule(prepared(text)) for text in texts] == [tokenizer(text)["input_ids"] for text in texts]
    )
    cut = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    assert cut == [ids if len(ids) <= longest else [*ids[: longest - 1], 2] for ids in all_ids]
    assert all(0 <= one < len(tokenizer) for ids in all_ids for one in ids)


def test_it_is_a_tokenizer_as_the_platform_knows_them(tokenizer: LaserTokenizer, tmp_path: Path) -> None:
    vocabulary = tokenizer.get_vocab()
    assert tokenizer.pad_token_id == vocabulary["<pad>"] == 1
    assert len(tokenizer) == max(vocabulary.values()) + 1 == checkpoint()["params"]["num_embeddings"]
    content = checkpoint()
    content["dictionary"]["▁"], content["dictionary"]["e"] = content["dictionary"]["e"], content["dictionary"]["▁"]
    other = LaserTokenizer.of_folder(write_published(tmp_path, content))
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(tokenizer)


def test_special_tokens_have_their_rows_whatever_the_dictionary_says(tmp_path: Path) -> None:
    content = checkpoint()
    content["dictionary"].update({"<unk>": 4, "<s>": 5, "</s>": 6, "<pad>": 0})
    tokenizer = LaserTokenizer.of_folder(write_published(tmp_path, content))
    assert tokenizer("☃")["input_ids"][1:] == [3, 2]
    assert tokenizer.get_vocab()["<pad>"] == tokenizer.pad_token_id
