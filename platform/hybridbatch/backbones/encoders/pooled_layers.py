"""The states of every layer of an encoder, pooled as its embeddings are.

Shape legend: B texts, T tokens, K layers with the embedding output, H width of the transformer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridbatch.backbones.encoders.text_encoder import TextEncoder, pool
from hybridbatch.foundation.errors import UserError


class PooledLayers(nn.Module):
    """Token ids to one vector a layer; layer 0 is the embedding output, before the first transformer layer.

    What an encoder has after pooling (dense layers, unit length) is left out: layers are looked at as they are.

    Args:
        encoder: The encoder, whose pooling is taken for all layers.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.train(encoder.training)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the pooled states, one layer after the other, [B, K * H].

        Raises:
            UserError: If the model gives no states of its layers.
        """
        try:
            output = self.encoder.body(input_ids=ids_BT, attention_mask=mask_BT, output_hidden_states=True)
        except TypeError as error:  # a body that knows nothing of layers
            raise _no_layers(self.encoder) from error
        states_KBTH = getattr(output, "hidden_states", None)
        if not states_KBTH:
            raise _no_layers(self.encoder)
        pooled = [pool(states_BTH.float(), mask_BT, self.encoder.pooling) for states_BTH in states_KBTH]
        return torch.cat(pooled, dim=1)

    def layers(self) -> int:
        """Return the number of layers K, the embedding output among them.

        Raises:
            UserError: If the model gives no states of its layers.
        """
        device = next(self.encoder.parameters()).device
        ids_BT = torch.zeros(1, 2, dtype=torch.int64, device=device)
        was_training = self.encoder.training
        self.encoder.eval()
        with torch.inference_mode():
            mask_BT = torch.ones_like(ids_BT)
            width = int(self.forward(ids_BT, mask_BT).shape[1])
            one = int(self.encoder.body(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state.shape[2])
        self.encoder.train(was_training)
        if width % one:
            raise UserError("the layers of this model differ in width", seen=f"{width} in all, the last {one}")
        return width // one


def _no_layers(encoder: TextEncoder) -> UserError:
    return UserError(
        "this model gives no states of its layers",
        seen=type(encoder.body).__name__,
        allowed="a transformer that returns hidden_states",
    )
