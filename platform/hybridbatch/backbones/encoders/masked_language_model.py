"""Masked language models as they are published, asked for the words of labels alone.

Shape legend: B prompts, T tokens, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hybridbatch.backbones.encoders.hub import model_folder, readable_loading_errors
from hybridbatch.backbones.encoders.pretrained import load_tokenizer
from hybridbatch.backbones.encoders.text_encoder import most_tokens
from hybridbatch.foundation.errors import UserError

_CLOSE = 1e-4  # of logits: what float32 leaves when a matrix product has other columns


@dataclass(frozen=True)
class MaskedLanguageModel:
    """A masked language model with its tokenizer.

    Attributes:
        name: Folder or hub name.
        tokenizer: Its Hugging Face tokenizer, which has a mask token.
        network: Token ids and mask to logits of the whole vocabulary.
        longest: Longest text in tokens that it has positions for.
    """

    name: str
    tokenizer: Any
    network: Any
    longest: int


def load_masked_language_model(name: str) -> MaskedLanguageModel:
    """Return a masked language model in the layout of Hugging Face: config, tokenizer, safetensors weights.

    Args:
        name: Folder or hub name.

    Raises:
        UserError: If it cannot be loaded, has no head that predicts words, or its tokenizer has no mask token.
    """
    from transformers import AutoModelForMaskedLM

    tokenizer = load_tokenizer(name, None)
    folder = model_folder(name, None)
    with readable_loading_errors(name, "masked language model"):
        network, report = AutoModelForMaskedLM.from_pretrained(
            folder, trust_remote_code=False, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            "not the weights of a masked language model",
            file=name,
            seen=f"{len(missing)} tensors are missing, such as {missing[0]}",
            allowed="weights with the head that predicts words",
            remedy="give the model as it was pretrained: retrievers are kept without that head",
        )
    if tokenizer.mask_token_id is None:
        raise UserError("the tokenizer has no mask token", file=name, allowed="a masked language model")
    rows = network.get_input_embeddings().weight.shape[0]
    if rows < len(tokenizer):
        raise UserError(
            "the tokenizer does not match the weights",
            file=name,
            seen=f"{len(tokenizer)} tokens, but embeddings for {rows}",
            allowed="an embedding for every token",
        )
    longest = most_tokens(network) or getattr(network.config, "max_position_embeddings", None) or 512
    return MaskedLanguageModel(name, tokenizer, network.eval(), longest)


class LabelWordScorer(nn.Module):
    """Prompts to the logits of label words at their mask.

    The layer that gives a logit to every word of the vocabulary is replaced by its rows for the label words: the other
    250,000 logits of XLM-R, at every token, are never computed. The model cannot be asked for other words afterwards.

    Args:
        model: The model.
        word_ids: Token of each label's word.

    Raises:
        UserError: If the head of this architecture cannot be cut down.
    """

    def __init__(self, model: MaskedLanguageModel, word_ids: Sequence[int]) -> None:
        super().__init__()
        self.network, self._mask_id = model.network, int(model.tokenizer.mask_token_id)
        ids_BT = torch.tensor([[self._mask_id, *word_ids]])
        expected_BTC = self._logits(ids_BT)[..., list(word_ids)]
        _cut_to_words(model, word_ids)
        try:
            is_same = torch.allclose(self._logits(ids_BT), expected_BTC, atol=_CLOSE, rtol=_CLOSE)
        except RuntimeError:  # a head that multiplies with the whole vocabulary in another place
            is_same = False
        if not is_same:
            raise _other_head(model)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the logits [B, C] of the label words at the one mask of each prompt."""
        logits_BTC: Tensor = self.network(input_ids=ids_BT, attention_mask=mask_BT).logits
        place_B = (ids_BT == self._mask_id).int().argmax(dim=1)
        return logits_BTC[torch.arange(len(place_B), device=place_B.device), place_B]

    def _logits(self, ids_BT: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            logits_BTV: Tensor = self.network(input_ids=ids_BT.to(device)).logits
            return logits_BTV.cpu()


def _cut_to_words(model: MaskedLanguageModel, word_ids: Sequence[int]) -> None:
    whole = model.network.get_output_embeddings()
    if not isinstance(whole, nn.Linear):
        raise _other_head(model)
    rows, has_bias = list(word_ids), whole.bias is not None
    cut = nn.Linear(whole.in_features, len(rows), bias=has_bias, device=whole.weight.device)
    with torch.no_grad():
        cut.weight.copy_(whole.weight[rows])
        if has_bias:
            cut.bias.copy_(whole.bias[rows])
    model.network.set_output_embeddings(cut)


def _other_head(model: MaskedLanguageModel) -> UserError:
    return UserError(
        "the head of this masked language model is not supported",
        file=model.name,
        seen=type(model.network).__name__,
        allowed="one that ends in a linear layer over the vocabulary, such as that of BERT, XLM-R or DeBERTa",
    )
