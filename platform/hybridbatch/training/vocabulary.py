"""Only the rows of an embedding that a corpus uses: the same embeddings, and a fraction of what training keeps of them.

Most of a multilingual encoder is its vocabulary: 192 of the 278 million parameters of XLM-R base. A gradient and two
moments of AdamW come on top of each of them, also of those that no text of the study has.

Shape legend: V rows of the whole embedding, U rows in use, H width of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.errors import UserError

_READ_AT_ONCE = 1 << 24  # ids: a store may be far larger than the memory


def ids_used(stores: Iterable[TokenStore]) -> NDArray[np.int64]:
    """Return the ids [U] that the texts of ``stores`` have, and those that fill them up, in ascending order."""
    used = np.zeros(0, bool)
    for store in stores:
        parts = [store.ids[start : start + _READ_AT_ONCE] for start in range(0, len(store.ids), _READ_AT_ONCE)]
        for ids in [np.array([store.padding_id], np.int32), *parts]:
            longer = np.zeros(max(len(used), int(ids.max(initial=0)) + 1), bool)
            longer[: len(used)] = used
            longer[ids] = True
            used = longer
    return np.flatnonzero(used)


class TrimmedVocabulary:
    """Takes the rows that nothing uses out of an encoder's embedding, and puts them back.

    The embedding stays the module that it was, with its name, its scale (mBART) and its row of padding: ids are looked
    up in a table before it sees them. All other parts of the encoder see the ids of the tokenizer, by which XLM-R
    counts positions.

    Args:
        body: A transformer or LASER's LSTM, changed in place.
        used_U: The ids that texts may have.

    Raises:
        UserError: If the encoder has no table of embeddings by id.
    """

    def __init__(self, body: Any, used_U: NDArray[np.int64]) -> None:
        embedding = body.get_input_embeddings() if hasattr(body, "get_input_embeddings") else None
        if not isinstance(embedding, nn.Embedding):
            raise UserError(
                "this encoder has no table of embeddings to trim",
                path="training.trim_vocabulary",
                seen=type(embedding or body).__name__,
                allowed="false",
            )
        device = embedding.weight.device
        self._embedding, self._whole_VH = embedding, embedding.weight.detach().cpu()  # an accelerator is spared them
        padding = embedding.padding_idx
        rows_U = torch.from_numpy(used_U if padding is None else np.union1d(used_U, [padding]))
        self._rows_U = rows_U
        row_of_id_V = torch.full((len(self._whole_VH),), -1)  # an id without a row is an error wherever it is looked up
        row_of_id_V[rows_U] = torch.arange(len(rows_U))
        embedding.register_buffer("row_of_id_V", row_of_id_V.to(device), persistent=False)
        self._looking_up = embedding.register_forward_pre_hook(_look_up)
        self._put(self._whole_VH[rows_U].to(device), None if padding is None else int(row_of_id_V[padding]))

    @property
    def rows(self) -> tuple[int, int]:
        """Rows of the embedding in use, and of the whole one."""
        return len(self._rows_U), len(self._whole_VH)

    def restore(self) -> None:
        """Make the embedding whole, where it is: rows in use as they are now, others as they were in the beginning."""
        trained_UH = self._embedding.weight.detach()
        whole_VH = self._whole_VH.to(trained_UH.device, copy=True)
        whole_VH[self._rows_U.to(trained_UH.device)] = trained_UH
        padding = self._embedding.padding_idx
        self._looking_up.remove()
        del self._embedding.row_of_id_V
        self._put(whole_VH, None if padding is None else int(self._rows_U[padding]))

    def _put(self, weight: Tensor, padding: int | None) -> None:
        embedding = self._embedding
        embedding.weight = nn.Parameter(weight, requires_grad=embedding.weight.requires_grad)
        embedding.num_embeddings, embedding.padding_idx = len(weight), padding


def _look_up(embedding: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    row_of_id_V: Tensor = embedding.get_buffer("row_of_id_V")
    return (row_of_id_V[inputs[0]],)
