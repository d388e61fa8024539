"""The texts of a step as the encoder takes them: texts of like length together, so that little is padding.

Which pairs a batch holds is decided before; here only the order in which its texts are computed changes.

Shape legend: R texts, T tokens of the longest text of a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridbatch.evaluation.token_store import TokenStore, groups_of_like_length


@dataclass(frozen=True)
class TextPass:
    """Texts that go through the encoder together.

    Attributes:
        rows_R: Which texts of the step they are.
        ids_RT: Token ids, padded on the right.
        mask_RT: 1 for tokens, 0 for padding.
    """

    rows_R: Tensor
    ids_RT: Tensor
    mask_RT: Tensor

    @property
    def size(self) -> int:
        """Number of tokens, padding included."""
        return self.ids_RT.numel()

    def to(self, device: str) -> TextPass:
        """Return the pass on ``device``."""
        return TextPass(*(one.to(device, non_blocking=True) for one in (self.rows_R, self.ids_RT, self.mask_RT)))


def text_passes(texts: TokenStore, most_tokens: int, *, pinned: bool = False) -> list[TextPass]:
    """Return all of ``texts`` in passes of at most ``most_tokens`` tokens, longest texts first.

    Args:
        texts: The texts of a step.
        most_tokens: Tokens of a pass, padding included; a longer text makes a pass of its own.
        pinned: Whether tensors are put where an accelerator fetches them from by itself.
    """
    passes = []
    for rows_R in groups_of_like_length(texts.lengths_R, most_tokens):
        tensors = [torch.from_numpy(one) for one in (rows_R, *texts.padded(rows_R))]
        passes.append(TextPass(*(one.pin_memory() if pinned else one for one in tensors)))
    return passes


def parts_of(passes: Sequence[TextPass], most_tokens: int | None) -> list[list[tuple[int, TextPass]]]:
    """Return numbered passes in parts of at most ``most_tokens`` tokens; None makes one part of all.

    A pass that is larger is cut; a single text never is.
    """
    parts: list[list[tuple[int, TextPass]]] = [[]]
    tokens = 0
    cut = [piece for one in passes for piece in ([one] if most_tokens is None else _cut(one, most_tokens))]
    for number, one in enumerate(cut):
        if parts[-1] and most_tokens is not None and tokens + one.size > most_tokens:
            parts.append([])
            tokens = 0
        parts[-1].append((number, one))
        tokens += one.size
    return parts


def _cut(texts: TextPass, most_tokens: int) -> list[TextPass]:
    if texts.size <= most_tokens or len(texts.rows_R) == 1:
        return [texts]
    half = len(texts.rows_R) // 2
    return [piece for part in (slice(half), slice(half, None)) for piece in _cut(_rows(texts, part), most_tokens)]


def _rows(texts: TextPass, rows: slice) -> TextPass:
    longest = int(texts.mask_RT[rows].sum(dim=1).max())
    return TextPass(texts.rows_R[rows], texts.ids_RT[rows, :longest], texts.mask_RT[rows, :longest])
