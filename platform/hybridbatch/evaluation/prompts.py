"""Cloze prompts: a pair of texts in a pattern with a mask, where a word says the label.

Source of patterns and label words: Schick and Schütze, arXiv 2001.07676; of neighbours put before them: PARC, arXiv
2212.09651.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, cast

import numpy as np

from hybridbatch.datasets.labelled_pairs import LabelledPair
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError

Field = Literal["premise", "mask", "hypothesis"]
_FIELDS: tuple[Field, ...] = ("premise", "mask", "hypothesis")
_PATTERN = "each of {premise}, {mask} and {hypothesis} once, such as '{premise}? {mask}, {hypothesis}'"
_LEAST = 2  # tokens of texts that a prompt has room for


@dataclass(frozen=True)
class _Part:
    """A field of a pattern, or words that stand between fields.

    Attributes:
        field: The field; None for words.
        text: The words.
        spaced: Whether a space stands before it.
    """

    field: Field | None
    text: str
    spaced: bool


def parsed_pattern(pattern: str) -> tuple[_Part, ...]:
    """Return the parts of a pattern.

    Raises:
        UserError: If it has not each of the three fields once.
    """
    parts: list[_Part] = []
    spaced = False
    try:
        pieces = list(Formatter().parse(pattern))
    except ValueError as error:
        raise UserError("not a pattern", path="--pattern", seen=pattern, allowed=_PATTERN) from error
    for words, field, _, _ in pieces:
        if words.strip():
            parts.append(_Part(None, words.strip(), spaced or words[0].isspace()))
        spaced = words[-1:].isspace() if words else spaced
        if field is not None:
            parts.append(_Part(cast(Field, field), "", spaced))
            spaced = False
    if sorted(part.field for part in parts if part.field is not None) != sorted(_FIELDS):
        raise UserError("not a pattern", path="--pattern", seen=pattern, allowed=_PATTERN)
    return tuple(parts)


def label_word_ids(tokenizer: Any, words: Sequence[str]) -> tuple[int, ...]:
    """Return the token of each label word.

    Args:
        tokenizer: That of the masked language model.
        words: The words, one a label.

    Raises:
        UserError: If a word is not one token of the tokenizer, or two words are the same token.
    """
    found: list[int] = []
    for word in words:
        ids = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] in tokenizer.all_special_ids:
            raise UserError(
                "a label word has to be one token of the masked language model",
                path="--label-word",
                seen=f"{word}: {' '.join(tokenizer.convert_ids_to_tokens(ids))}",
                allowed="a word that its tokenizer knows whole",
                remedy="take another word of the same meaning: --label-word LABEL=WORD",
            )
        if ids[0] in found:
            raise UserError(
                "two labels have the same word", path="--label-word", seen=word, allowed="a word of its own for each"
            )
        found.append(int(ids[0]))
    return tuple(found)


class Prompts:
    """Makes prompts as token ids.

    Args:
        tokenizer: That of the masked language model.
        pattern: The pattern.
        word_ids: Token of each label's word.
        longest: Longest prompt in tokens, special ones among them. A prompt of several parts (neighbours and input)
            gives each the same room; texts that do not fit lose their ends, the longer of the two first.
    """

    def __init__(self, tokenizer: Any, pattern: str, word_ids: Sequence[int], longest: int) -> None:
        self._tokenizer, self._word_ids, self._longest = tokenizer, tuple(word_ids), longest
        self._parts = parsed_pattern(pattern)
        self._before, self._after = _special_tokens(tokenizer)
        self._known: dict[tuple[str, bool], tuple[int, ...]] = {}
        self.cut = 0
        """How many prompts had texts that did not fit."""

    def ids(self, pair: LabelledPair, neighbours: Sequence[tuple[LabelledPair, int]] = ()) -> tuple[int, ...]:
        """Return a prompt: the neighbours, each with the word of a label at its mask, then the pair with its mask.

        Args:
            pair: What is asked about.
            neighbours: Pairs with the labels that are said of them, in the order in which they stand.

        Raises:
            UserError: If there is no room for texts.
        """
        room = (self._longest - len(self._before) - len(self._after)) // (len(neighbours) + 1)
        said = [(one, self._word_ids[label]) for one, label in neighbours]
        said.append((pair, int(self._tokenizer.mask_token_id)))
        filled = [self._filled(one, word, room, spaced=place > 0) for place, (one, word) in enumerate(said)]
        self.cut += any(was_cut for _, was_cut in filled)
        return (*self._before, *(token for ids, _ in filled for token in ids), *self._after)

    def _filled(self, pair: LabelledPair, word: int, room: int, spaced: bool) -> tuple[list[int], bool]:
        """Return the pattern filled with a pair and a word, and whether a text was cut."""
        pieces: list[tuple[Field | None, tuple[int, ...]]] = []
        for place, part in enumerate(self._parts):
            space = part.spaced or (spaced and place == 0)
            if part.field == "mask":
                pieces.append(("mask", (word,)))
            else:
                text = {"premise": pair.first, "hypothesis": pair.second}.get(part.field or "", part.text)
                pieces.append((part.field, self._tokens(text, space)))
        length: dict[Field | None, int] = {
            field: len(ids) for field, ids in pieces if field in ("premise", "hypothesis")
        }
        left = room - sum(len(ids) for field, ids in pieces if field not in length)
        if left < _LEAST:
            raise UserError(
                "no room for the texts of a prompt",
                path="--longest",
                seen=f"{room} tokens for each of its parts",
                allowed=f"{room - left + _LEAST} or more",
                remedy="put fewer neighbours into a prompt, or shorten the pattern",
            )
        premise, hypothesis = _shortened(length["premise"], length["hypothesis"], left)
        kept: dict[Field | None, int] = {"premise": premise, "hypothesis": hypothesis}
        tokens = [token for field, ids in pieces for token in (ids[: kept[field]] if field in kept else ids)]
        return tokens, kept != length

    def _tokens(self, text: str, spaced: bool) -> tuple[int, ...]:
        if (text, spaced) not in self._known:
            ids = self._tokenizer(f" {text}" if spaced else text, add_special_tokens=False)["input_ids"]
            mask = self._tokenizer.mask_token_id  # a text may hold the mask as a word
            self._known[text, spaced] = tuple(one for one in ids if one != mask)
        return self._known[text, spaced]


def store_of_prompts(prompts: Sequence[Sequence[int]], padding_id: int) -> TokenStore:
    """Return prompts as what :func:`hybridbatch.evaluation.encode.encode` reads; equal ones are computed once."""
    arrays = [np.asarray(ids, dtype=np.int32) for ids in prompts]
    lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
    hashes = [int(fingerprint.of_bytes([ids.tobytes()]), 16) for ids in arrays]
    return TokenStore(
        ids=np.concatenate(arrays),
        offsets=np.concatenate([[0], lengths.cumsum()]),
        text_hashes_R=np.array(hashes, dtype=np.uint64),
        padding_id=padding_id,
    )


def _special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens that stand before and after a text."""
    whole, bare = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (True, False))
    start = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
    return tuple(whole[:start]), tuple(whole[start + len(bare) :])


def _shortened(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how much two lengths keep so that they fit: the longer one gives way until both are the same."""
    if first + second <= room:
        return first, second
    half = room // 2
    if first <= half:
        return first, room - first
    if second <= half:
        return room - second, second
    return room - half, half
