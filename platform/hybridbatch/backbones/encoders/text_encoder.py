"""The encoder of a dual encoder: a transformer, pooling, optional dense layers, unit length.

Shape legend: B texts, T tokens, H width of the transformer, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.packing import (
    Packing,
    attend_within_texts,
    can_pack,
    packed_pool,
    packed_states,
)
from hybridbatch.foundation.errors import UserError

_POSITIONS = ("position_embeddings", "wpe", "embed_positions")  # what transformers calls learnt positions


def pool(states_BTH: Tensor, mask_BT: Tensor, pooling: PoolingName, uncounted_BT: Tensor | None = None) -> Tensor:
    """Return one vector [B, H] per text from the states of its tokens.

    Args:
        states_BTH: States of all tokens.
        mask_BT: 1 for tokens, 0 for padding, which lies to the right.
        pooling: ``mean`` and ``max`` over the tokens, the first (``cls``) or the ``last`` token.
        uncounted_BT: True for tokens that ``mean`` and ``max`` pass over; None for none.
    """
    if pooling == "cls":
        return states_BTH[:, 0]
    if pooling == "last":
        last_B = mask_BT.sum(dim=1) - 1
        return states_BTH[torch.arange(len(last_B), device=last_B.device), last_B]
    counted_BT = mask_BT if uncounted_BT is None else mask_BT.masked_fill(uncounted_BT, 0)
    mask_BT1 = counted_BT.unsqueeze(-1)
    if pooling == "max":
        return states_BTH.masked_fill(mask_BT1 == 0, float("-inf")).amax(dim=1)
    mask_BT1 = mask_BT1.to(states_BTH.dtype)
    return (states_BTH * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)


def most_tokens(body: nn.Module) -> int | None:
    """Return the longest text in tokens for which a transformer has a learnt position each, None when it has none.

    Those of RoBERTa's kin (XLM-R, MPNet) count positions from the padding id on, those of BART's kin (mBART) from an
    offset, so that fewer texts fit than rows.
    """
    for name, module in body.named_modules():
        if name.rsplit(".", 1)[-1] in _POSITIONS and isinstance(module, nn.Embedding):
            skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings - getattr(module, "offset", skipped))
    return None


def check_states_again(body: nn.Module) -> None:
    """Check that an encoder can compute the states inside its layers again instead of keeping them.

    Raises:
        UserError: If it cannot.
    """
    if not getattr(body, "supports_gradient_checkpointing", False):
        raise UserError(
            "this encoder cannot compute its states again",
            path="training.gradient_checkpointing",
            seen=type(body).__name__,
            allowed="false",
            remedy="bound the memory with training.chunk_tokens",
        )


class TextEncoder(nn.Module):
    """Token ids to embeddings of unit length.

    Args:
        body: A Hugging Face encoder without its task head.
        pooling: How token states become one vector.
        dense: Layers after pooling (LaBSE and other sentence-transformers models have one).
        uncounted_ids: Tokens that mean and max pooling pass over: mBART's language codes.
    """

    uncounted_ids: Tensor

    def __init__(
        self, body: Any, pooling: PoolingName, dense: Sequence[nn.Module] = (), uncounted_ids: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.body, self.pooling, self.dense = body, pooling, nn.Sequential(*dense)
        # not persistent: they follow from the tokenizer, and checkpoints stay what they were
        self.register_buffer("uncounted_ids", torch.tensor(uncounted_ids, dtype=torch.int64), persistent=False)
        for name, parameter in body.named_parameters():
            if name.startswith("pooler."):  # not used by any pooling here, and not trained
                parameter.requires_grad_(False)

    def compute_states_again(self) -> None:
        """Keep no states inside the layers for the way back: less memory, about a third more time.

        Raises:
            UserError: If the transformer cannot do that.
        """
        check_states_again(self.body)
        self.body.activation_checkpointing_enable({"use_reentrant": False})

    @property
    def can_pack(self) -> bool:
        """Whether texts may come one after the other without padding, once :meth:`attend_within_texts` was called."""
        return can_pack(self.body) and not len(self.uncounted_ids)

    def attend_within_texts(self) -> None:
        """Prepare for texts that come without padding."""
        attend_within_texts(self.body)

    def token_states(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the last states of all tokens [B, T, H], of padding, too: what pooling makes embeddings of."""
        states_BTH: Tensor = self.body(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        return states_BTH

    def forward(self, ids_BT: Tensor, mask_BT: Tensor | None = None, packing: Packing | None = None) -> Tensor:
        """Return embeddings [B, D] of unit length, float32.

        Args:
            ids_BT: Token ids; with ``packing`` [N], those of all texts, one after the other.
            mask_BT: 1 for tokens, 0 for padding, which lies to the right.
            packing: Where texts begin, in place of a mask.
        """
        if packing is not None:
            pooled_BH = packed_pool(packed_states(self.body, ids_BT, packing), packing, self.pooling)
            return nn.functional.normalize(self.dense(pooled_BH).float(), dim=-1)
        if mask_BT is None:
            raise ValueError("padded texts come with their mask")
        states_BTH = self.token_states(ids_BT, mask_BT)
        uncounted_BT = torch.isin(ids_BT, self.uncounted_ids) if len(self.uncounted_ids) else None
        pooled_BH = self.dense(pool(states_BTH, mask_BT, self.pooling, uncounted_BT))
        return nn.functional.normalize(pooled_BH.float(), dim=-1)
