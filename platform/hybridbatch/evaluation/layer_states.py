"""Pooled states of every layer for many texts: one encoding pass, kept in files, one layer in memory at a time.

Shape legend: U distinct texts, K layers with the embedding output, H width of the transformer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.backbone import LanguageAwareTokenizer
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import UserError, readable_disk_errors

if TYPE_CHECKING:
    from hybridbatch.evaluation.load_model import LoadedModel
    from hybridbatch.evaluation.text_embeddings import Role

TEXTS = 1024  # of a tile: those of 25 layers of 1,024 dimensions are 105 MB


@dataclass(frozen=True)
class LayerStates:
    """Files with the states of texts, one a layer.

    Attributes:
        files: The files, float32, from the embedding output on.
        row_U: Row of each text in them.
    """

    files: tuple[Path, ...]
    row_U: NDArray[np.int64]

    def layer(self, number: int) -> NDArray[np.float32]:
        """Return the states [U, H] of one layer.

        Raises:
            UserError: If one is not finite.
        """
        states_UH = np.fromfile(self.files[number], dtype=np.float32).reshape(len(self.row_U), -1)
        if not np.isfinite(states_UH).all():
            raise UserError("the states of a layer are not finite", seen=f"layer {number}", remedy="the model diverged")
        return states_UH[self.row_U]


def layer_states(
    model: LoadedModel,
    role: Role,
    texts: Sequence[str],
    folder: Path,
    *,
    prefix: str | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> LayerStates:
    """Encode each text once and write the pooled states of every layer below ``folder``.

    Args:
        model: The model, on its device.
        role: Whether texts are questions or passages.
        texts: Distinct texts.
        folder: Where files are made.
        prefix: Put before each text; None takes what the model states.
        device: Where the model is.
        progress: Called with texts done and texts in all.

    Raises:
        UserError: If the model gives no states of its layers.
        StoreError: If the disk is full or not writable.
    """
    from hybridbatch.backbones.encoders.pooled_layers import PooledLayers  # torch takes seconds to import

    if isinstance(model.tokenizer, LanguageAwareTokenizer):
        raise UserError(
            "this model reads the language of each text, which a probe does not know",
            seen=type(model.encoder.body).__name__,
            allowed="a model whose tokenizer asks for no language",
        )
    said, tokens = model.backbone.prefix_and_tokens(role == "query", prefix)
    pooled = PooledLayers(model.encoder)
    layers = pooled.layers()
    order_U = np.array(sorted(range(len(texts)), key=lambda row: len(texts[row])), dtype=np.int64)  # like lengths
    files = tuple(folder / f"{role}-{layer}.f32" for layer in range(layers))
    with readable_disk_errors(folder), ExitStack() as open_files:
        folder.mkdir(parents=True, exist_ok=True)
        out = [open_files.enter_context(open(file, "wb")) for file in files]
        for start in range(0, len(texts), TEXTS):
            tile = [texts[row] for row in order_U[start : start + TEXTS]]
            store = tokenized_in_memory(tile, model.tokenizer, prefix=said, longest=min(tokens, model.longest))
            states_KUH = encode(pooled, store, device=device).reshape(len(tile), layers, -1).transpose(0, 1)
            for file, states_UH in zip(out, states_KUH, strict=True):
                file.write(states_UH.contiguous().numpy().tobytes())
            if progress:
                progress(start + len(tile), len(texts))
    return LayerStates(files, np.argsort(order_U))
