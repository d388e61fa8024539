"""A model that somebody trained, measured on a data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.encoders.hub import model_folder
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.datasets.arrow_cache import values_of
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.embedding_cache import entry_name, found_or_made, model_fingerprint
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import LoadedModel, load_model
from hybridbatch.evaluation.precision import Precision, computing, in_precision
from hybridbatch.evaluation.score import evaluate_embeddings
from hybridbatch.evaluation.token_store import tokenized, tokenizer_fingerprint
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.spec.trial import DatasetResult

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from torch import Tensor

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EncodedTask:
    """A task with the embeddings that a model gives its texts (Q questions, N candidates, D dimensions).

    Attributes:
        task: The task.
        questions_QD: Embeddings of unit length, float32.
        candidates_ND: Embeddings of unit length, float32.
        seconds: What encoding took, or finding the embeddings.
    """

    task: RetrievalTask
    questions_QD: NDArray[np.float32]
    candidates_ND: NDArray[np.float32]
    seconds: float

    def evaluate(self) -> tuple[DatasetResult, pa.Table]:
        """Return every measure of the model on the data set, and the scores of its questions."""
        result, table = evaluate_embeddings(self.task, self.questions_QD, self.candidates_ND)
        return result.model_copy(update={"seconds": result.seconds + self.seconds}), table


def encode_with_model(
    model: str,
    source: SourceSettings,
    location: DataLocation,
    *,
    prefixes: tuple[str | None, str | None] = (None, None),
    device: str = "cpu",
    precision: Precision = "fp32",
    keep_embeddings: bool = True,
    progress: Progress | None = None,
) -> EncodedTask:
    """Return the embeddings that a model gives a data set.

    Args:
        model: Folder or hub name, in the layout of Hugging Face or sentence-transformers.
        source: The data set.
        location: Where data lies and copies are kept.
        prefixes: Put before questions and passages; None takes what the model states.
        device: Where to encode.
        precision: In which precision to encode; scores are float32.
        keep_embeddings: Whether embeddings are taken from the cache and kept there.
        progress: Called with what is encoded, texts done and texts in all.

    Raises:
        UserError: If model or data cannot be loaded.
    """
    task = source.task(location)
    start = time.perf_counter()
    encoding = _Encoding(model, task, location, prefixes, device, precision, progress)
    sides = ("questions", "candidates")
    if keep_embeddings:
        questions_QD, candidates_ND = (encoding.found_or_made(side) for side in sides)
    else:
        questions_QD, candidates_ND = (encoding.made(side).numpy() for side in sides)
    return EncodedTask(task, questions_QD, candidates_ND, time.perf_counter() - start)


@dataclass(frozen=True)
class _Encoding:
    """One model on one task; the model is loaded when its first embedding is not in the cache."""

    model: str
    task: RetrievalTask
    location: DataLocation
    prefixes: tuple[str | None, str | None]
    device: str
    precision: Precision
    progress: Progress | None

    def found_or_made(self, side: str) -> NDArray[np.float32]:
        """Return the embeddings of ``questions`` or ``candidates``, from the cache when they are there."""
        prefix, tokens, texts = self._side(side)
        settings = {
            "side": side,
            "prefix": prefix,
            "tokens": tokens,
            "precision": self.precision,
            "device": self.device.partition(":")[0],
        }
        name = entry_name(self._fingerprint, self.task.fingerprint, settings)
        return found_or_made(self.location.cache, name, len(texts), lambda: self.made(side))

    def made(self, side: str) -> Tensor:
        """Return the embeddings of ``questions`` or ``candidates`` by encoding them."""
        prefix, tokens, texts = self._side(side)
        loaded = self._loaded
        store = tokenized(
            values_of(texts, "text"),
            f"{self.task.fingerprint} {side}",
            loaded.tokenizer,
            tokenizer_fingerprint(loaded.tokenizer),
            prefix=prefix,
            longest=min(tokens, loaded.longest),
            cache=self.location.cache,
            languages=values_of(texts, "language"),
        )
        progress = self.progress
        told = None if progress is None else (lambda done, total: progress(side, done, total))
        return encode(
            in_precision(loaded.encoder, self.precision, self.device),
            store,
            device=self.device,
            computing=lambda: computing(self.precision, self.device),
            progress=told,
        )

    def _side(self, side: str) -> tuple[str, int, Dataset]:
        """Return prefix, longest text in tokens as the model states it, and texts of a side."""
        of_questions = side == "questions"
        given = self.prefixes[0 if of_questions else 1]
        prefix, tokens = self._backbone.prefix_and_tokens(of_questions, given)
        return prefix, tokens, self.task.questions if of_questions else self.task.candidates

    @cached_property
    def _backbone(self) -> HuggingFaceBackbone:
        return from_folder_or_name(self.model)

    @cached_property
    def _fingerprint(self) -> str:
        return model_fingerprint(model_folder(self.model, None))

    @cached_property
    def _loaded(self) -> LoadedModel:
        loaded = load_model(self.model)
        loaded.encoder.to(self.device)
        return loaded
