"""The tokenizer of LASER2: the ids that its authors' package ``laser_encoders`` 0.0.2 gives.

A text is prepared (:func:`prepared`), cut into pieces by SentencePiece, and every piece looked up in the dictionary; a
piece that is not there is ``<unk>``. ``</s>`` closes a text, nothing opens it. No language is treated by itself: it was
LASER1 that romanised Greek and split Chinese and Japanese into words.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybridbatch.backbones.encoders.laser_files import broken, pieces_file, read_pieces, write_pieces
from hybridbatch.foundation.errors import UserError

SPECIAL = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
"""Rows of the special tokens, whatever a dictionary says of them."""


def prepared(text: str) -> str:
    """Return a text as LASER2's SentencePiece model expects it.

    Characters of Unicode's categories C (control, format, unassigned and so on) become spaces, punctuation is
    normalised as by ``normalize-punctuation.perl`` of Moses 4.0 for English, whatever the language, and letters become
    small.
    """
    text = text.translate(_SPACES_FOR_CONTROL)
    for pattern, replacement in _punctuation():
        text = pattern.sub(replacement, text)
    return text.strip().lower()


class LaserTokenizer:
    """What the platform asks of a Hugging Face tokenizer.

    Args:
        sentencepiece: The content of a SentencePiece model.
        vocabulary: Row of the embedding by piece.
    """

    pad_token_id = SPECIAL["<pad>"]

    def __init__(self, sentencepiece: bytes, vocabulary: Mapping[str, int]) -> None:
        from sentencepiece import SentencePieceProcessor

        if not sentencepiece:  # which sentencepiece takes for none given
            raise ValueError("the file is empty")
        self._sentencepiece = sentencepiece
        self._processor = SentencePieceProcessor(model_proto=sentencepiece)
        self._row_of = {**vocabulary, **SPECIAL}

    @classmethod
    def of_folder(cls, folder: Path) -> LaserTokenizer:
        """Return the tokenizer of the LASER encoder in ``folder``.

        Raises:
            UserError: If a file is missing or broken, or the files are not those of one encoder.
        """
        sentencepiece, vocabulary = read_pieces(folder)
        try:
            made = cls(sentencepiece, vocabulary)
        except (ValueError, RuntimeError) as error:
            raise broken(pieces_file(folder), "the SentencePiece model cannot be read", error) from error
        pieces = made.pieces()
        known = sum(piece in vocabulary for piece in pieces)
        if known * 2 < len(pieces):
            raise UserError(
                "the SentencePiece model does not match the vocabulary",
                file=pieces_file(folder),
                seen=f"{known} of its {len(pieces)} pieces are in it",
                allowed="files of one encoder",
            )
        return made

    def __call__(
        self, texts: str | Sequence[str], *, truncation: bool = False, max_length: int | None = None
    ) -> dict[str, Any]:
        """Return ``input_ids`` of a text, or of each text; with ``truncation`` cut to ``max_length``, ``</s>`` kept."""
        longest = max_length - 1 if truncation and max_length is not None else None
        several = [texts] if isinstance(texts, str) else texts
        cut = self._processor.encode([prepared(text) for text in several], out_type=str)
        ids = [[*self._rows(pieces)[:longest], SPECIAL["</s>"]] for pieces in cut]
        return {"input_ids": ids[0] if isinstance(texts, str) else ids}

    def _rows(self, pieces: Sequence[str]) -> list[int]:
        # joined and split as the published code does it: white space in a piece is no token
        return [self._row_of.get(piece, SPECIAL["<unk>"]) for piece in " ".join(pieces).split()]

    def __len__(self) -> int:
        """Return how many rows the embedding needs."""
        return max(self._row_of.values()) + 1

    def get_vocab(self) -> dict[str, int]:
        """Return the row of the embedding by piece."""
        return dict(self._row_of)

    def pieces(self) -> list[str]:
        """Return the pieces that texts may be cut into."""
        one = self._processor
        return [
            one.id_to_piece(number)
            for number in range(len(one))
            if not (one.is_control(number) or one.is_unknown(number) or one.is_unused(number) or one.is_byte(number))
        ]

    def save_pretrained(self, folder: Path) -> None:
        """Write what :meth:`of_folder` reads, weights apart."""
        write_pieces(self._sentencepiece, self._row_of, folder)


class _SpacesForControl(dict[int, int]):
    """A table for :meth:`str.translate` that learns every character when it meets it."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(" ") if unicodedata.category(chr(code)).startswith("C") else code
        return self[code]


_SPACES_FOR_CONTROL = _SpacesForControl()


@functools.cache
def _punctuation() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what is replaced, in order: as sacremoses has it, but single quotation marks as Moses 4.0 has them."""
    from sacremoses import MosesPunctNormalizer

    single = {"‘": '"', "‚": '"'}
    rules = MosesPunctNormalizer("en", perl_parity=True).substitutions
    return tuple((re.compile(pattern), single.get(pattern, replacement)) for pattern, replacement in rules)
