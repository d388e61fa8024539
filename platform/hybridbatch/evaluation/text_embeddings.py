"""Embeddings of texts by one model, each text encoded once.

Shape legend: R texts, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hybridbatch.backbones.backbone import LanguageAwareTokenizer
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import tokenized, tokenizer_fingerprint
from hybridbatch.foundation import fingerprint

if TYPE_CHECKING:
    from torch import Tensor

    from hybridbatch.evaluation.load_model import LoadedModel

Role = Literal["query", "passage"]


class TextEmbeddings:
    """The embeddings of the questions, or of the passages, that were asked for so far.

    Args:
        model: The model, on its device.
        role: Whether texts are questions or passages.
        cache: Folder of what can be made again.
        prefix: Put before each text; None takes what the model states.
        device: Where the model is.
        progress: Called with texts done and texts in all.
    """

    def __init__(
        self,
        model: LoadedModel,
        role: Role,
        cache: Path,
        *,
        prefix: str | None = None,
        device: str = "cpu",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._model, self._role, self._cache, self._device, self._progress = model, role, cache, device, progress
        self._prefix, tokens = model.backbone.prefix_and_tokens(role == "query", prefix)
        self._longest = min(tokens, model.longest)
        self._tokenizer_id = tokenizer_fingerprint(model.tokenizer)
        self._is_told = isinstance(model.tokenizer, LanguageAwareTokenizer)
        self._row_of: dict[tuple[str, str], int] = {}
        self._parts: list[Tensor] = []

    def of(self, texts: Sequence[str], languages: Sequence[str]) -> Tensor:
        """Return the embeddings of ``texts``, [R, D], float32 on the CPU; only new texts are encoded.

        A text in another language is another text if the tokenizer is told languages.
        """
        import torch  # torch takes seconds to import

        keys = list(zip(texts, languages if self._is_told else [""] * len(texts), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._row_of]
        if new:
            new_texts, new_languages = zip(*new, strict=True)
            content = fingerprint.of_texts(new_texts)
            if self._is_told:
                content = f"{content} {fingerprint.of_texts(new_languages)}"
            store = tokenized(
                new_texts,
                f"{content} {self._role}",
                self._model.tokenizer,
                self._tokenizer_id,
                prefix=self._prefix,
                longest=self._longest,
                cache=self._cache,
                languages=new_languages,
            )
            known = len(self._row_of)
            self._parts.append(encode(self._model.encoder, store, device=self._device, progress=self._progress))
            self._row_of.update((key, known + row) for row, key in enumerate(new))
        rows_R = torch.tensor([self._row_of[key] for key in keys], dtype=torch.int64)
        return torch.cat(self._parts)[rows_R]

    def branch(self) -> TextEmbeddings:
        """Return what is known so far as embeddings of its own: what the branch adds is freed with it."""
        other = copy(self)
        other._row_of, other._parts = dict(self._row_of), list(self._parts)
        return other
