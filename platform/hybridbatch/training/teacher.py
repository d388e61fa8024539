"""A teacher's embeddings of training texts, computed once a machine and mapped into memory.

Shape legend: R rows of a training set, N rows that are encoded, D width of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.encoders.hub import model_folder
from hybridbatch.backbones.encoders.model_files import stated_width
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.datasets.arrow_cache import values_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.evaluation.embedding_cache import entry_name, found_or_made, model_fingerprint
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.file_lock import held
from hybridbatch.spec.sources import DataLocation

if TYPE_CHECKING:
    from torch import Tensor

    from hybridbatch.evaluation.load_model import LoadedModel


@dataclass(frozen=True)
class Targets:
    """A teacher's embeddings of the questions, or of the passages, of a training set.

    Attributes:
        embeddings_ND: Of the rows that were encoded, mapped into memory.
        place_R: Where each row of the training set lies among them, -1 for one that was not encoded.
    """

    embeddings_ND: NDArray[np.float32]
    place_R: NDArray[np.int64]

    def of(self, rows_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the embeddings of rows; of -1, which is no row, those of any other."""
        return np.asarray(self.embeddings_ND[np.maximum(self.place_R[rows_B], 0)])


class Teacher:
    """A model whose embeddings are targets; it is loaded when one of them is not in the cache.

    Args:
        name: Its folder, absolute or below the data folder, or its name on the hub.
        location: Where data and the cache lie.
        device: Where it encodes.

    Raises:
        UserError: If there is no such model.
    """

    def __init__(self, name: str, location: DataLocation, device: str = "cpu") -> None:
        self._cache, self._device = location.cache, device
        try:
            self._name = HuggingFaceBackbone(kind="huggingface", name=name).located(location).name
            self._folder = model_folder(self._name, None)
            self._backbone = from_folder_or_name(self._name)
        except UserError as error:
            raise UserError(
                f"the teacher cannot be used: {error.problem}",
                file=error.file,
                path="teacher",
                seen=error.seen,
                allowed=error.allowed,
                remedy=error.remedy,
            ) from error

    @property
    def stated_width(self) -> int | None:
        """The width of its embeddings, None when its files do not say it."""
        return stated_width(self._folder)

    def targets(self, pairs: ParallelPairs, role: str, pivot: str | None) -> Targets:
        """Return its embeddings of the texts of a training set.

        Args:
            pairs: The training set.
            role: ``questions`` or ``passages``.
            pivot: The language to encode; None means all, and a set without it has no target.
        """
        column = list(range(len(pairs.languages))) if pivot is None else _place(pairs.languages, pivot)
        chosen = pairs.row_IL[:, column]
        rows_N = np.unique(chosen[chosen >= 0])
        place_R = np.full(len(pairs.rows), -1, dtype=np.int64)
        place_R[rows_N] = np.arange(len(rows_N))
        if not len(rows_N):
            return Targets(np.zeros((1, 1), np.float32), place_R)
        prefix, tokens = self._backbone.prefix_and_tokens(role == "questions")
        settings: dict[str, object] = {
            "side": role,
            "prefix": prefix,
            "tokens": tokens,
            "rows": fingerprint.of_bytes([rows_N.astype(np.int64).tobytes()]),
            "device": self._device.partition(":")[0],
        }
        name = entry_name(self._fingerprint, pairs.fingerprint, settings)
        with held(self._cache / "embeddings" / f"{name}.lock"):  # one process a machine encodes, the others wait
            embeddings_ND = found_or_made(
                self._cache, name, len(rows_N), lambda: self._encoded(pairs, role, rows_N, prefix, tokens)
            )
        return Targets(embeddings_ND, place_R)

    def _encoded(self, pairs: ParallelPairs, role: str, rows_N: NDArray[np.int64], prefix: str, tokens: int) -> Tensor:
        from hybridbatch.evaluation.encode import encode
        from hybridbatch.evaluation.token_store import tokenized, tokenizer_fingerprint

        loaded = self._loaded
        rows = pairs.rows.select(rows_N)
        content = fingerprint.of_bytes([rows_N.astype(np.int64).tobytes()])
        store = tokenized(
            values_of(rows, "query" if role == "questions" else "passage"),
            f"{pairs.fingerprint} {role} {content}",
            loaded.tokenizer,
            tokenizer_fingerprint(loaded.tokenizer),
            prefix=prefix,
            longest=min(tokens, loaded.longest),
            cache=self._cache,
            languages=values_of(rows, "language"),
        )
        return encode(loaded.encoder, store, device=self._device)

    @cached_property
    def _fingerprint(self) -> str:
        return model_fingerprint(self._folder)

    @cached_property
    def _loaded(self) -> LoadedModel:
        from hybridbatch.evaluation.load_model import load_model

        loaded = load_model(self._name)
        loaded.encoder.to(self._device)
        return loaded


def stated_width_of(name: str, revision: str | None) -> int | None:
    """Return the width of a model's embeddings, None when its files do not say it."""
    return stated_width(model_folder(name, revision))


def _place(languages: tuple[str, ...], language: str) -> list[int]:
    return [place for place, one in enumerate(languages) if one == language]
