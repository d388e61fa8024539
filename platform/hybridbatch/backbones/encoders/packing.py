"""Texts one after the other without padding, each of which attends to itself alone.

Shape legend: B texts, N tokens of all texts, A attention heads, H width of the transformer, E width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hybridbatch.backbones.backbone import PoolingName

# Architectures of transformers whose positions can be given and whose attention is a function of its own, and
# nothing else in them looks across tokens.
PACKABLE = ("bert", "roberta", "xlm-roberta")
_ATTENTION = "hybridbatch_packed"


@dataclass(frozen=True)
class Packing:
    """Where texts begin in a row of tokens.

    Attributes:
        offsets_B1: Text ``b`` is tokens ``offsets[b]`` to ``offsets[b + 1]``, on the device of the tokens.
        lengths: Tokens of each text.
    """

    offsets_B1: Tensor
    lengths: tuple[int, ...]

    def positions_N(self, first: int) -> Tensor:
        """Return the position of each token in its text, counted from ``first``."""
        lengths_B = self.offsets_B1.diff()
        starts_N = torch.repeat_interleave(self.offsets_B1[:-1], lengths_B, output_size=sum(self.lengths))
        return torch.arange(len(starts_N), device=starts_N.device) - starts_N + first


def can_pack(body: Any) -> bool:
    """Return whether :func:`packed_states` can be asked of a transformer."""
    return getattr(body.config, "model_type", None) in PACKABLE


def attend_within_texts(body: Any) -> None:
    """Give a transformer that :func:`can_pack` the attention that :func:`packed_states` needs.

    With padded texts it computes what it did before.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_ATTENTION, _attend)
    AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
    body.set_attn_implementation(_ATTENTION)


def packed_states(body: Any, ids_N: Tensor, packing: Packing) -> Tensor:
    """Return the states [N, H] of all tokens of texts that lie one after the other."""
    table = body.embeddings.position_embeddings
    first = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa's kin counts from there
    positions_N = packing.positions_N(first)
    states_1NH: Tensor = body(input_ids=ids_N[None], position_ids=positions_N[None], packing=packing).last_hidden_state
    return states_1NH[0]


def packed_pool(states_NH: Tensor, packing: Packing, pooling: PoolingName) -> Tensor:
    """Return one vector [B, H] per text; see :func:`hybridbatch.backbones.encoders.text_encoder.pool`."""
    if pooling == "cls":
        return states_NH[packing.offsets_B1[:-1]]
    if pooling == "last":
        return states_NH[packing.offsets_B1[1:] - 1]
    return torch.segment_reduce(states_NH.float(), pooling, offsets=packing.offsets_B1, axis=0)


def _attend(
    module: nn.Module,
    query_1ANE: Tensor,
    key_1ANE: Tensor,
    value_1ANE: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it."""
    if packing is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        attended, _ = sdpa_attention_forward(
            module, query_1ANE, key_1ANE, value_1ANE, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return attended, None
    within = _within_texts_on_gpu if query_1ANE.is_cuda else _within_texts
    return within((query_1ANE, key_1ANE, value_1ANE), packing, dropout, scaling).transpose(1, 2), None


def _within_texts(
    given: tuple[Tensor, Tensor, Tensor], packing: Packing, dropout: float, scaling: float | None
) -> Tensor:
    """Return what the tokens [1, A, N, E] of each text find in it, text after text.

    The first dimension stays: without it torch has no kernel that keeps no table of all weights.
    """
    query, key, value = (torch.split(one, list(packing.lengths), dim=2) for one in given)
    parts = zip(query, key, value, strict=True)
    return torch.cat([scaled_dot_product_attention(*qkv, None, dropout, scale=scaling) for qkv in parts], dim=2)


def _within_texts_on_gpu(
    given: tuple[Tensor, Tensor, Tensor], packing: Packing, dropout: float, scaling: float | None
) -> Tensor:
    """Return the same from one kernel for texts of all lengths."""
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(
            one[0].transpose(0, 1).contiguous(),
            packing.offsets_B1,
            min_seqlen=min(packing.lengths),
            max_seqlen=max(packing.lengths),
        ).transpose(1, 2)
        for one in given
    )
    found = scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scaling)
    values_NAE: Tensor = found.transpose(1, 2).contiguous().values()
    return values_NAE.transpose(0, 1)[None]
