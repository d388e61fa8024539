"""The encoder of LASER2: an embedding and a bidirectional LSTM, whose states are pooled by their maximum.

Shape legend: B texts, T tokens, E width of the embedding, H width of the states of all directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.laser_files import LaserConfig, read_weights, weights_file, write_weights
from hybridbatch.backbones.encoders.model_files import read_note
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation.errors import UserError


@dataclass(frozen=True)
class TokenStates:
    """What :class:`LaserBody` returns, by the name that Hugging Face gives it."""

    last_hidden_state: Tensor


class LaserBody(nn.Module):
    """Token ids to states, with the published names of weights (arXiv 1812.10464, section 3).

    Texts may be as long as they like, and a state does not depend on the padding or on other texts of the batch.

    Args:
        config: Its sizes.
        dropout: Dropout between the layers.
    """

    def __init__(self, config: LaserConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.num_embeddings, config.embed_dim, padding_idx=config.padding_idx)
        self.lstm = nn.LSTM(
            config.embed_dim,
            config.hidden_size,
            num_layers=config.num_layers,
            bidirectional=config.bidirectional,
            dropout=dropout if config.num_layers > 1 else 0.0,  # there is nothing between the layers of one
            batch_first=True,
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TokenStates:
        """Return the states [B, T, H] of ids [B, T]; the mask is 1 for tokens, 0 for padding on the right."""
        lengths_B = attention_mask.sum(dim=1).cpu()  # packing asks for them there
        embedded_BTE = self.embed_tokens(input_ids)
        packed = pack_padded_sequence(embedded_BTE, lengths_B, batch_first=True, enforce_sorted=False)
        states_BTH, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=input_ids.shape[1])
        return TokenStates(states_BTH)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding of the tokens, by the name that Hugging Face gives it."""
        return self.embed_tokens

    def save_pretrained(self, folder: Path) -> None:
        """Write what :func:`load_laser_encoder` reads, tokenizer apart."""
        write_weights(self.config, self.state_dict(), folder)


def laser_outline(folder: Path) -> LaserBody:
    """Return the LASER encoder in ``folder`` without weights.

    Raises:
        UserError: If a file is missing or broken.
    """
    with torch.device("meta"):
        return LaserBody(read_weights(folder)[0])


def load_laser_encoder(folder: Path, pooling: PoolingName | None, dropout: float | None) -> TextEncoder:
    """Return the LASER encoder in ``folder`` with its weights.

    Args:
        folder: A folder as :mod:`hybridbatch.backbones.encoders.laser_files` describes it.
        pooling: Overrides what the folder says, and the published maximum.
        dropout: Dropout between the layers; None for none, as published.

    Raises:
        UserError: If a file is missing or broken, or the weights are not those of the sizes stated.
    """
    config, weights = read_weights(folder)
    try:
        body = LaserBody(config, dropout or 0.0)
        body.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            "the weights do not match the stated sizes",
            file=weights_file(folder),
            seen=str(error).strip().splitlines()[-1].strip(),
            allowed="the names and shapes that these sizes have: " + ", ".join(f"{k}={v}" for k, v in config),
        ) from error
    note = read_note(folder)
    return TextEncoder(body, pooling or (note.pooling if note else "max"))
