"""Masked language modelling: which places are masked, and the head that says what stood there.

Places are drawn anew at every step (RoBERTa's dynamic masking, arXiv 1907.11692), as a function of (seed, step, text).

Shape legend: N tokens of a batch, one text after the other; R texts, T tokens of a pass; M masked places; H width of
the states, E width of the embedding of tokens, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hybridbatch.batching.keyed_permutation import mix64
from hybridbatch.evaluation.token_store import TokenStore
from hybridbatch.foundation.seeds import derive_seed

UNMASKED = -1
_MASK_SHARE, _RANDOM_SHARE = 0.8, 0.1  # of the masked places; the others keep their token (arXiv 1810.04805)
_PLACES_AT_ONCE = 512  # logits over 250 000 tokens: half a gigabyte
# Where transformers keeps what the head below has: its dense layer, its norm and its bias.
_PUBLISHED_HEADS = (
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),  # BERT
    ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),  # RoBERTa, XLM-R
    ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),  # DistilBERT
)


@dataclass(frozen=True)
class Masking:
    """How places are masked.

    Attributes:
        probability: Of each token that is not special.
        mask_id: What stands in place of most masked tokens.
        special_ids: Tokens that are never masked and never put in place of another.
        vocabulary: Number of tokens.
        seed: Seed of what is drawn.
    """

    probability: float
    mask_id: int
    special_ids: Sequence[int]
    vocabulary: int
    seed: int

    def masked(self, texts: TokenStore, step: int) -> tuple[TokenStore, TokenStore]:
        """Return the texts with places masked, and what stood there: :data:`UNMASKED` at all other places.

        Of the masked places 80% get the mask, 10% any token, 10% keep theirs (arXiv 1810.04805). What happens to a
        text does not depend on the others of its batch.
        """
        ids_N = np.asarray(texts.ids)
        place_N = np.arange(len(ids_N)) - np.repeat(texts.offsets[:-1], texts.lengths_R)
        key_R = mix64(texts.text_hashes_R ^ np.uint64(derive_seed(self.seed, "masking", step)))
        key_N = np.repeat(key_R, texts.lengths_R) + place_N.astype(np.uint64)
        chosen_N = (_uniform(key_N, 1) < self.probability) & ~np.isin(ids_N, self.special_ids)
        others_N = self._words[(_uniform(key_N, 3) * len(self._words)).astype(np.int64)]
        what_N = _uniform(key_N, 2)
        put_N = np.where(
            what_N < _MASK_SHARE, self.mask_id, np.where(what_N < _MASK_SHARE + _RANDOM_SHARE, others_N, ids_N)
        )
        changed = np.where(chosen_N, put_N, ids_N).astype(np.int32)
        labels = np.where(chosen_N, ids_N, UNMASKED).astype(np.int32)
        return replace(texts, ids=changed), replace(texts, ids=labels, padding_id=UNMASKED)

    @cached_property
    def _words(self) -> NDArray[np.int32]:
        """All tokens that are not special."""
        return np.setdiff1d(np.arange(self.vocabulary, dtype=np.int32), np.asarray(self.special_ids, dtype=np.int32))


def _uniform(key_N: NDArray[np.uint64], draw: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that follow from the keys; each ``draw`` gives others."""
    bits_N = mix64(mix64(key_N) ^ mix64(np.array([draw], dtype=np.uint64)))
    return (bits_N >> np.uint64(11)).astype(np.float64) * 2.0**-53


class MaskedLanguageHead(nn.Module):
    """From states to tokens, as in BERT (arXiv 1810.04805): dense layer, GELU, norm, then the embedding of the tokens.

    The last matrix is that of the input embedding, which is trained by both.

    Args:
        embedding: The embedding of the tokens [V, E]; it stays the encoder's.
        width: Width H of the states.
        epsilon: Of the norm.
    """

    def __init__(self, embedding: nn.Embedding, width: int, epsilon: float = 1e-12) -> None:
        super().__init__()
        vocabulary, embedding_width = embedding.weight.shape
        self.dense = nn.Linear(width, embedding_width)
        self.norm = nn.LayerNorm(embedding_width, eps=epsilon)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)
        self._tied = [embedding]  # in a list: the weights belong to the encoder alone

    def loss_sum(self, states_MH: Tensor, labels_M: Tensor) -> Tensor:
        """Return the sum of the cross-entropies; logits exist for a few places at a time, and are computed twice."""
        total = torch.zeros((), device=states_MH.device)
        for states, labels in zip(*(torch.split(one, _PLACES_AT_ONCE) for one in (states_MH, labels_M)), strict=True):
            total = total + checkpoint(self._part, states, labels, use_reentrant=False, preserve_rng_state=False)
        return total

    def _part(self, states_MH: Tensor, labels_M: Tensor) -> Tensor:
        transformed_ME = self.norm(functional.gelu(self.dense(states_MH)))
        logits_MV = functional.linear(transformed_ME, self._tied[0].weight, self.bias)
        return functional.cross_entropy(logits_MV.float(), labels_M, reduction="sum")

    def take_over(self, published: Any, lacking: Sequence[str]) -> bool:
        """Take the weights of the head of a masked language model; return whether it has one of a known form.

        Args:
            published: The model as transformers loads it.
            lacking: Names of weights that its file lacked.
        """
        weights = published.state_dict()
        for dense, norm, bias in _PUBLISHED_HEADS:
            names = {
                "dense.weight": f"{dense}.weight",
                "dense.bias": f"{dense}.bias",
                "norm.weight": f"{norm}.weight",
                "norm.bias": f"{norm}.bias",
                "bias": bias,
            }
            found = {own: weights[name] for own, name in names.items() if name in weights and name not in lacking}
            if len(found) == len(names) and len(found["bias"]) == len(self.bias):
                self.load_state_dict(found)
                return True
        return False


def take_over_published_head(head: MaskedLanguageHead, folder: Path, name: str) -> bool:
    """Put the weights of the pretrained head in a model folder into ``head``; return whether the folder has any.

    Args:
        head: The head.
        folder: Where ``config.json`` and the weights lie.
        name: Name of the model, for messages.

    Raises:
        UserError: If the model cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    from hybridbatch.backbones.encoders.hub import readable_loading_errors
    from hybridbatch.backbones.encoders.model_files import has_old_weights

    with readable_loading_errors(name, "model"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_encoder_decoder", False):
            return False
        model, report = AutoModelForMaskedLM.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            dtype=torch.float32,
            use_safetensors=not has_old_weights(folder),
            weights_only=True,
            output_loading_info=True,
        )
    return head.take_over(model, sorted(report["missing_keys"]))
