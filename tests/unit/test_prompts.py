"""Cloze prompts as token ids, with tokenizers of the kinds that masked language models have."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hybridbatch.datasets.labelled_pairs import LabelledPair
from hybridbatch.evaluation.prompts import Prompts, label_word_ids, parsed_pattern, store_of_prompts
from hybridbatch.foundation.errors import UserError

PATTERN = "{premise}? {mask}, {hypothesis}"
WORDS = ("Yes", "Maybe", "No")
PAIR = LabelledPair("a", "A cat sat", "The cat slept", 1)
OTHER = LabelledPair("b", "It rains", "It is wet", 0)


def pieces(*words: str) -> list[str]:
    """Return words, and the single characters that the rest is made of."""
    characters = sorted({character for text in (*words, "A cat sat", "The cat slept", "It rains is wet", "?,.!") for
                         character in text if character != " "})  # fmt: skip
    return [*words, *(one for one in characters if one not in words)]


def wordpiece() -> Any:
    """A tokenizer like BERT's."""
    words = [*pieces(*WORDS, "cat", "sat"), *(f"##{one}" for one in pieces())]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate([*special, *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return wrapped(tokenizer, special, "[CLS]", "[SEP]")


def sentencepiece() -> Any:
    """A tokenizer like XLM-R's: a piece at the start of a word has a mark."""
    words = ["▁", *(f"▁{one}" for one in (*WORDS, "cat")), *pieces()]
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    scored = [(one, 0.0 if len(one) < 3 else 10.0) for one in [*special, *words]]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return wrapped(tokenizer, special, "<s>", "</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")


def byte_level() -> Any:
    """A tokenizer like RoBERTa's: a space belongs to the word that follows it."""
    words, merges = pieces(*WORDS, "Ġ"), []
    for word in (*WORDS, "cat"):
        built = "Ġ"
        for letter in word:
            if (built, letter) not in merges:
                merges.append((built, letter))
                words.append(built + letter)
            built += letter
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {word: n for n, word in enumerate(dict.fromkeys([*special, *words]))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrapped(tokenizer, special, "<s>", "</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")


def wrapped(tokenizer: Tokenizer, special: list[str], start: str, end: str, **names: str) -> Any:
    places = [(one, special.index(one)) for one in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=places)
    told = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"} | names
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token=start, sep_token=end, **told)


KINDS = [wordpiece, sentencepiece, byte_level]


def prompts(tokenizer: Any, longest: int = 200, pattern: str = PATTERN) -> Prompts:
    return Prompts(tokenizer, pattern, label_word_ids(tokenizer, WORDS), longest)


def tokens(tokenizer: Any, ids: Any) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(list(ids)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_reads_as_its_pattern(kind: Any) -> None:
    tokenizer = kind()
    made = prompts(tokenizer)
    start, end, mask = tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token
    plain = made.ids(PAIR)
    assert "".join(tokenizer.decode(plain).split()) == f"{start}Acatsat?{mask},Thecatslept{end}"
    whole = made.ids(PAIR, [(OTHER, 2)])
    assert "".join(tokenizer.decode(whole).split()) == f"{start}Itrains?No,ItiswetAcatsat?{mask},Thecatslept{end}"
    assert [list(whole).count(tokenizer.mask_token_id), tokens(tokenizer, whole).count(start)] == [1, 1]
    assert label_word_ids(tokenizer, WORDS)[2] in whole, (
        "the word of the label is the token that the model is asked for"
    )
    assert whole[-len(plain) + 2 :] == plain[2:]
    assert made.cut == 0


def test_a_space_belongs_to_the_word_that_follows_it() -> None:
    tokenizer = byte_level()
    assert tokens(tokenizer, prompts(tokenizer).ids(PAIR))[1:5] == ["A", "Ġcat", "Ġ", "s"]
    assert tokens(tokenizer, label_word_ids(tokenizer, WORDS)) == ["ĠYes", "ĠMaybe", "ĠNo"]
    whole = tokens(tokenizer, prompts(tokenizer).ids(PAIR, [(OTHER, 0)]))
    assert "ĠYes" in whole
    assert whole[whole.index("A") - 1] == "Ġ", "a neighbour and the pair do not run into each other"


def test_neighbours_stand_in_their_order_each_with_its_label() -> None:
    tokenizer = wordpiece()
    ids = prompts(tokenizer).ids(PAIR, [(OTHER, 1), (PAIR, 0)])
    told = [one for one in tokens(tokenizer, ids) if one in (*WORDS, "[MASK]")]
    assert told == ["Maybe", "Yes", "[MASK]"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_in_a_text_is_no_mask(kind: Any) -> None:
    tokenizer = kind()
    sly = LabelledPair("c", f"A {tokenizer.mask_token} sat", "cat", 0)
    assert list(prompts(tokenizer).ids(sly)).count(tokenizer.mask_token_id) == 1


def test_long_texts_lose_their_ends_and_nothing_else_is_lost() -> None:
    tokenizer = wordpiece()
    long = LabelledPair("d", "cat " * 30, "sat " * 7, 0)
    made = prompts(tokenizer, longest=20)  # 18 without [CLS] and [SEP], 15 without ? [MASK] and ,
    ids = tokens(tokenizer, made.ids(long))
    assert ids == ["[CLS]", *["cat"] * 8, "?", "[MASK]", ",", *["sat"] * 7, "[SEP]"]
    halves = tokens(tokenizer, made.ids(long, [(long, 0)]))  # 9 each, 6 for texts
    one = [*["cat"] * 3, "?", "Yes", ",", *["sat"] * 3]
    assert halves == ["[CLS]", *one, *["[MASK]" if word == "Yes" else word for word in one], "[SEP]"]
    assert made.cut == 2
    assert made.ids(LabelledPair("e", "cat", "sat", 0))
    assert made.cut == 2


@pytest.mark.parametrize(("longest", "fits"), [(7, True), (6, False)])
def test_there_must_be_room_for_texts(longest: int, fits: bool) -> None:
    made = prompts(wordpiece(), longest=longest)
    pair = LabelledPair("d", "cat cat", "sat sat", 0)
    if fits:
        assert len(made.ids(pair)) == 7
        return
    with pytest.raises(UserError, match="--longest: no room for the texts of a prompt") as caught:
        made.ids(pair)
    assert caught.value.allowed == "5 or more"


@pytest.mark.parametrize(
    ("pattern", "fields", "spaced"),
    [
        (PATTERN, ["premise", "?", "mask", ",", "hypothesis"], [False, False, True, False, True]),
        ("{mask} {premise} and {hypothesis}.", ["mask", "premise", "and", "hypothesis", "."],
         [False, True, True, True, False]),
        ("{premise}{hypothesis}\t{mask}", ["premise", "hypothesis", "mask"], [False, False, True]),
    ],
)  # fmt: skip
def test_patterns(pattern: str, fields: list[str], spaced: list[bool]) -> None:
    parts = parsed_pattern(pattern)
    assert [part.field or part.text for part in parts] == fields
    assert [part.spaced for part in parts] == spaced


@pytest.mark.parametrize(
    "pattern", ["", "{premise} {mask}", "{premise} {mask} {hypothesis} {mask}", "{premise} {mask} {answer}", "{premise"]
)
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(UserError, match="--pattern: not a pattern"):
        parsed_pattern(pattern)


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_word_is_one_token(kind: Any) -> None:
    tokenizer = kind()
    with pytest.raises(UserError, match="one token of the masked language model") as caught:
        label_word_ids(tokenizer, ("Yes", "wet", "No"))
    assert str(caught.value.seen).startswith("wet: ")
    with pytest.raises(UserError, match="two labels have the same word"):
        label_word_ids(tokenizer, ("Yes", "No", "Yes"))
    with pytest.raises(UserError, match="one token"):
        label_word_ids(tokenizer, (tokenizer.mask_token,))


def test_equal_prompts_have_equal_hashes() -> None:
    store = store_of_prompts([(1, 2, 3), (4,), (1, 2, 3), (1, 2)], padding_id=9)
    assert store.ids.tolist() == [1, 2, 3, 4, 1, 2, 3, 1, 2]
    assert store.lengths_R.tolist() == [3, 1, 3, 2]
    hashes = store.text_hashes_R.tolist()
    assert hashes[0] == hashes[2]
    assert len(set(hashes)) == 3
    assert store.padding_id == 9
