"""Texts tokenised once: memory-mapped token ids, shared by all trials of a machine.

Shape legend: R texts, B texts of a batch, T tokens of its longest text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.backbone import LanguageAwareTokenizer
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError

_CHUNK = 4096  # texts tokenised at a time
_LANGUAGES = "languages.npy"  # beside the texts of a tokenizer that is told languages
_PROBES = (
    "Hello, world! 123",
    "Ünïcödé Straße",
    "Москва и Киев",
    "北京和東京",
    "กรุงเทพ",
    "नई दिल्ली",
    "القاهرة",
    "Αθήνα",
    "„Quoted“, ‘quoted’ and « quoted »… – 5\u00a0% or\u200bmore",
)


@dataclass(frozen=True)
class TokenStore:
    """Token ids of R texts.

    Attributes:
        ids: All ids, one text after the other (int32).
        offsets: Text ``r`` is ``ids[offsets[r]:offsets[r + 1]]`` (int64, [R + 1]).
        text_hashes_R: 64-bit hashes of the texts: equal texts have equal ones.
        padding_id: The id that fills up shorter texts.
        language_hashes_R: 64-bit hashes of their languages, where the ids depend on those.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    text_hashes_R: NDArray[np.uint64]
    padding_id: int
    language_hashes_R: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths_R(self) -> NDArray[np.int64]:
        """Number of tokens of each text."""
        return np.diff(self.offsets)

    @property
    def input_hashes_R(self) -> NDArray[np.uint64]:
        """64-bit hashes of what an encoder is given: texts with equal ones have equal ids."""
        languages_R = self.language_hashes_R
        return self.text_hashes_R if languages_R is None else self.text_hashes_R ^ languages_R

    def chosen(self, texts_B: NDArray[np.int64]) -> TokenStore:
        """Return the chosen texts as a store of their own, in memory."""
        lengths_B = self.offsets[texts_B + 1] - self.offsets[texts_B]
        ends_B = lengths_B.cumsum()
        shift_B = self.offsets[texts_B] - (ends_B - lengths_B)
        places = np.arange(ends_B[-1] if len(ends_B) else 0) + np.repeat(shift_B, lengths_B)
        return TokenStore(
            ids=np.asarray(self.ids[places]),
            offsets=np.concatenate([[0], ends_B]),
            text_hashes_R=np.asarray(self.text_hashes_R[texts_B]),
            padding_id=self.padding_id,
            language_hashes_R=None if self.language_hashes_R is None else np.asarray(self.language_hashes_R[texts_B]),
        )

    def padded(self, texts_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and mask [B, T] of the chosen texts, padded on the right to the longest of them."""
        starts_B, lengths_B = self.offsets[texts_B], self.offsets[texts_B + 1] - self.offsets[texts_B]
        columns_T = np.arange(lengths_B.max())
        mask_BT = columns_T < lengths_B[:, None]
        places_BT = np.minimum(starts_B[:, None] + columns_T, len(self.ids) - 1)
        ids_BT = np.where(mask_BT, self.ids[places_BT], self.padding_id)
        return ids_BT.astype(np.int64), mask_BT.astype(np.int64)


def groups_of_like_length(lengths_R: NDArray[np.int64], most_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield texts of like length together, longest first: at most ``most_tokens`` tokens each, padding included."""
    order_R = np.argsort(-lengths_R, kind="stable")
    start = 0
    while start < len(order_R):
        size = max(1, most_tokens // max(1, int(lengths_R[order_R[start]])))
        yield order_R[start : start + size]
        start += size


def joined(stores: Sequence[TokenStore]) -> TokenStore:
    """Return the texts of all ``stores`` as one, one store after the other."""
    lengths_R = np.concatenate([store.lengths_R for store in stores])
    return TokenStore(
        ids=np.concatenate([store.ids for store in stores]),
        offsets=np.concatenate([[0], lengths_R]).cumsum(dtype=np.int64),
        text_hashes_R=np.concatenate([store.text_hashes_R for store in stores]),
        padding_id=stores[0].padding_id,
    )


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return a fingerprint of what the tokenizer does: its vocabulary and the ids of some probes, not its files."""
    vocabulary = sorted(tokenizer.get_vocab().items())
    if isinstance(tokenizer, LanguageAwareTokenizer):
        known = list(tokenizer.languages)
        probes, languages = [*_PROBES, *known], [*known[:1] * len(_PROBES), *known]
        return fingerprint.of_json([vocabulary, known, tokenizer.token_ids(probes, languages, longest=64)])
    return fingerprint.of_json([vocabulary, [tokenizer(probe)["input_ids"] for probe in _PROBES]])


def tokenized(
    texts: Iterable[str],
    content: str,
    tokenizer: Any,
    tokenizer_id: str,
    *,
    prefix: str,
    longest: int,
    cache: Path,
    languages: Iterable[str] | None = None,
) -> TokenStore:
    """Return the token store of ``texts``, from the cache when it was made before.

    Args:
        texts: The texts; read only when the store is not in the cache.
        content: Fingerprint of the texts, and of their languages if the tokenizer is told them.
        tokenizer: A Hugging Face tokenizer, or a :class:`LanguageAwareTokenizer`.
        tokenizer_id: Its :func:`tokenizer_fingerprint`.
        prefix: Put before every text.
        longest: Longest text in tokens; longer ones are cut.
        cache: Folder of token stores.
        languages: The language of each text; read only for a tokenizer that is told them.

    Raises:
        UserError: For a language that the tokenizer does not know.
    """
    folder = cache / "tokens" / fingerprint.of_json([1, content, tokenizer_id, prefix, longest])
    was_there = folder.exists()
    kept = _kept(folder, tokenizer)
    if kept is None:
        # a damaged store is replaced; of several processes that make a new one the first wins, others may be reading it
        with atomic.folder_written_whole(folder, replace=was_there) as draft:
            _write(draft, texts, languages, tokenizer, prefix, longest)
        kept = _kept(folder, tokenizer)
    if kept is None:
        raise StoreError("what was written cannot be read", file=folder, remedy="look whether the disk is sound")
    return kept


def _kept(folder: Path, tokenizer: Any) -> TokenStore | None:
    """Return the token store in ``folder``, None when it is not there or not whole."""
    try:
        store = TokenStore(
            ids=np.lib.format.open_memmap(folder / "ids.npy", mode="r"),
            offsets=np.lib.format.open_memmap(folder / "offsets.npy", mode="r"),
            text_hashes_R=np.lib.format.open_memmap(folder / "hashes.npy", mode="r"),
            padding_id=int(tokenizer.pad_token_id or 0),
            language_hashes_R=np.lib.format.open_memmap(folder / _LANGUAGES, mode="r") if _is_told(tokenizer) else None,
        )
    except (OSError, ValueError, EOFError):
        return None
    hashes = [one for one in (store.text_hashes_R, store.language_hashes_R) if one is not None]
    fits = store.offsets[-1] == len(store.ids) and all(len(store.offsets) == len(one) + 1 for one in hashes)
    return store if fits else None


def tokenized_in_memory(
    texts: Sequence[str], tokenizer: Any, *, prefix: str, longest: int, languages: Sequence[str] | None = None
) -> TokenStore:
    """Return the token store of a few texts, which is kept nowhere; for the arguments see :func:`tokenized`.

    Raises:
        UserError: For a language that the tokenizer does not know.
    """
    ids, lengths_R = _tokens(texts, languages, tokenizer, prefix, longest)
    return TokenStore(
        ids=ids,
        offsets=np.concatenate([[0], lengths_R.cumsum()]),
        text_hashes_R=_hashes(texts),
        padding_id=int(tokenizer.pad_token_id or 0),
        language_hashes_R=_hashes(languages) if _is_told(tokenizer) and languages is not None else None,
    )


def _is_told(tokenizer: Any) -> bool:
    """Return whether a tokenizer is told the language of each text."""
    return isinstance(tokenizer, LanguageAwareTokenizer)


def _tokens(
    texts: Sequence[str], languages: Sequence[str] | None, tokenizer: Any, prefix: str, longest: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the ids of all texts, one after the other, and the number of ids of each text."""
    prefixed = [prefix + text for text in texts]
    encoded: Sequence[Sequence[int]]
    if not _is_told(tokenizer):
        encoded = tokenizer(prefixed, truncation=True, max_length=longest)["input_ids"]
    elif languages is None:
        raise TypeError("this tokenizer has to be told the language of each text")
    else:
        encoded = tokenizer.token_ids(prefixed, languages, longest)
    lengths_R = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return np.fromiter((one for ids in encoded for one in ids), np.int32), lengths_R


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int(fingerprint.of_texts([text]), 16) for text in texts], np.uint64)


def _write(
    folder: Path, texts: Iterable[str], languages: Iterable[str] | None, tokenizer: Any, prefix: str, longest: int
) -> None:
    lengths: list[NDArray[np.int64]] = []
    hashes: list[NDArray[np.uint64]] = []
    language_hashes: list[NDArray[np.uint64]] = []
    remaining = iter(languages) if languages is not None and _is_told(tokenizer) else None
    with open(folder / "ids.raw", "wb") as file:
        for chunk in _chunks(texts, _CHUNK):
            told = None if remaining is None else list(islice(remaining, len(chunk)))
            ids, chunk_lengths = _tokens(chunk, told, tokenizer, prefix, longest)
            lengths.append(chunk_lengths)
            hashes.append(_hashes(chunk))
            language_hashes.append(_hashes(told or ()))
            file.write(ids.tobytes())
    np.save(folder / "ids.npy", np.fromfile(folder / "ids.raw", np.int32))
    (folder / "ids.raw").unlink()
    np.save(folder / "offsets.npy", np.concatenate([[0], *lengths]).cumsum(dtype=np.int64))
    np.save(folder / "hashes.npy", np.concatenate([np.empty(0, np.uint64), *hashes]))
    if _is_told(tokenizer):
        np.save(folder / _LANGUAGES, np.concatenate([np.empty(0, np.uint64), *language_hashes]))


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
