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

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError

_CHUNK = 4096  # texts tokenised at a time
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
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    text_hashes_R: NDArray[np.uint64]
    padding_id: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths_R(self) -> NDArray[np.int64]:
        """Number of tokens of each text."""
        return np.diff(self.offsets)

    def padded(self, texts_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and mask [B, T] of the chosen texts, padded on the right to the longest of them."""
        starts_B, lengths_B = self.offsets[texts_B], self.offsets[texts_B + 1] - self.offsets[texts_B]
        columns_T = np.arange(lengths_B.max())
        mask_BT = columns_T < lengths_B[:, None]
        places_BT = np.minimum(starts_B[:, None] + columns_T, len(self.ids) - 1)
        ids_BT = np.where(mask_BT, self.ids[places_BT], self.padding_id)
        return ids_BT.astype(np.int64), mask_BT.astype(np.int64)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Return a fingerprint of what the tokenizer does: its vocabulary and the ids of some probes, not its files."""
    vocabulary = sorted(tokenizer.get_vocab().items())
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
) -> TokenStore:
    """Return the token store of ``texts``, from the cache when it was made before.

    Args:
        texts: The texts; read only when the store is not in the cache.
        content: Fingerprint of the texts.
        tokenizer: A Hugging Face tokenizer.
        tokenizer_id: Its :func:`tokenizer_fingerprint`.
        prefix: Put before every text.
        longest: Longest text in tokens; longer ones are cut.
        cache: Folder of token stores.
    """
    folder = cache / "tokens" / fingerprint.of_json([1, content, tokenizer_id, prefix, longest])
    was_there = folder.exists()
    kept = _kept(folder, tokenizer)
    if kept is None:
        # a damaged store is replaced; of several processes that make a new one the first wins, others may be reading it
        with atomic.folder_written_whole(folder, replace=was_there) as draft:
            _write(draft, texts, tokenizer, prefix, longest)
        kept = _kept(folder, tokenizer)
    if kept is None:
        raise StoreError("what was written cannot be read", file=folder, remedy="look whether the disk is sound")
    return kept


def _kept(folder: Path, tokenizer: Any) -> TokenStore | None:
    """Return the token store in ``folder``, None when it is not there or not whole."""
    try:
        store = TokenStore(
            ids=np.load(folder / "ids.npy", mmap_mode="r"),
            offsets=np.load(folder / "offsets.npy", mmap_mode="r"),
            text_hashes_R=np.load(folder / "hashes.npy", mmap_mode="r"),
            padding_id=int(tokenizer.pad_token_id or 0),
        )
    except (OSError, ValueError, EOFError):
        return None
    fits = len(store.offsets) == len(store.text_hashes_R) + 1 and store.offsets[-1] == len(store.ids)
    return store if fits else None


def tokenized_in_memory(texts: Sequence[str], tokenizer: Any, *, prefix: str, longest: int) -> TokenStore:
    """Return the token store of a few texts, which is kept nowhere; for the arguments see :func:`tokenized`."""
    ids, lengths_R, hashes_R = _tokens(texts, tokenizer, prefix, longest)
    return TokenStore(ids, np.concatenate([[0], lengths_R.cumsum()]), hashes_R, int(tokenizer.pad_token_id or 0))


def _tokens(
    texts: Sequence[str], tokenizer: Any, prefix: str, longest: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint64]]:
    """Return the ids of all texts, one after the other, the number of ids of each text, and hashes of the texts."""
    encoded: Sequence[Sequence[int]] = tokenizer(
        [prefix + text for text in texts], truncation=True, max_length=longest
    )["input_ids"]
    lengths_R = np.fromiter(map(len, encoded), np.int64, len(encoded))
    hashes_R = np.array([int(fingerprint.of_texts([text]), 16) for text in texts], np.uint64)
    return np.fromiter((one for ids in encoded for one in ids), np.int32), lengths_R, hashes_R


def _write(folder: Path, texts: Iterable[str], tokenizer: Any, prefix: str, longest: int) -> None:
    lengths: list[NDArray[np.int64]] = []
    hashes: list[NDArray[np.uint64]] = []
    with open(folder / "ids.raw", "wb") as file:
        for chunk in _chunks(texts, _CHUNK):
            ids, chunk_lengths, chunk_hashes = _tokens(chunk, tokenizer, prefix, longest)
            lengths.append(chunk_lengths)
            hashes.append(chunk_hashes)
            file.write(ids.tobytes())
    np.save(folder / "ids.npy", np.fromfile(folder / "ids.raw", np.int32))
    (folder / "ids.raw").unlink()
    np.save(folder / "offsets.npy", np.concatenate([[0], *lengths]).cumsum(dtype=np.int64))
    np.save(folder / "hashes.npy", np.concatenate([np.empty(0, np.uint64), *hashes]))


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
