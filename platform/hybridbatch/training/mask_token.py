"""What a tokenizer puts in place of a token that a model has to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.errors import UserError


def mask_id(tokenizer: Any, *, trained_here: bool) -> int:
    """Return the id that stands for a masked token.

    A tokenizer that is trained on the training text has none. There the unknown token takes its place: it says the
    same, that there is a token and not which one, and the vocabulary stays that of trials without masking.

    Args:
        tokenizer: The tokenizer.
        trained_here: Whether it is trained on the training text.

    Raises:
        UserError: If a pretrained tokenizer has none.
    """
    inner = _hugging_face(tokenizer)
    found = inner.unk_token_id if trained_here else getattr(inner, "mask_token_id", None)
    if found is None:
        raise UserError(
            "the tokenizer of the backbone has no mask token",
            seen=type(inner).__name__,
            allowed="a backbone that was pretrained by masking, such as xlm-r, mbert or multilingual-e5, or scratch",
            remedy="switch this arm off by leaving it out, or choose another backbone",
        )
    return int(found)


def opening_ids(stores: Sequence[TokenStore], tokenizer: Any) -> list[int]:
    """Return the special tokens that open the texts of ``stores``, without mBART's codes, which say a language."""
    first = {int(store.ids[0]) for store in stores}
    return sorted(first & set(special_ids(tokenizer)) - set(_codes(tokenizer)))


def special_ids(tokenizer: Any) -> list[int]:
    """Return the ids of tokens that no text has by itself: those that open and close it, codes of languages."""
    return sorted({int(one) for one in _hugging_face(tokenizer).all_special_ids} | set(_codes(tokenizer)))


def _codes(tokenizer: Any) -> Sequence[int]:
    codes: Sequence[int] = getattr(tokenizer, "code_ids", ())
    return codes


def _hugging_face(tokenizer: Any) -> Any:
    """Return the Hugging Face tokenizer inside one that is told languages, any other as it is."""
    return getattr(tokenizer, "tokenizer", tokenizer)
