"""The texts of a step as the encoder takes them: texts of like length together, so that little is padding.

Which pairs a batch holds is decided before; here only the order in which its texts are computed changes.

Shape legend: R texts, T tokens of the longest text of a pass, N tokens of all its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridbatch.backbones.encoders.packing import Packing
from hybridbatch.evaluation.token_store import TokenStore, groups_of_like_length


@dataclass(frozen=True)
class TextPass:
    """Texts that go through the encoder together: one after the other (packed), or padded to the longest.

    Attributes:
        rows_R: Which texts of the step they are.
        lengths: Tokens of each.
        ids: Token ids: [N] of all texts one after the other, or [R, T] padded on the right.
        mask_RT: 1 for tokens, 0 for padding; None where there is no padding.
        packing: Where texts begin; None where they are padded.
    """

    rows_R: Tensor
    lengths: tuple[int, ...]
    ids: Tensor
    mask_RT: Tensor | None = None
    packing: Packing | None = None

    @property
    def size(self) -> int:
        """Number of tokens, padding included."""
        return self.ids.numel()

    def to(self, device: str) -> TextPass:
        """Return the pass on ``device``."""
        return self._each(lambda one: one.to(device, non_blocking=True))

    def pinned(self) -> TextPass:
        """Return the pass where an accelerator fetches it from by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> TextPass:
        return TextPass(
            change(self.rows_R),
            self.lengths,
            change(self.ids),
            None if self.mask_RT is None else change(self.mask_RT),
            None if self.packing is None else Packing(change(self.packing.offsets_B1), self.lengths),
        )

    def part(self, first: int, last: int) -> TextPass:
        """Return texts ``first`` to ``last`` (not included) as a pass of their own."""
        rows_R, lengths = self.rows_R[first:last], self.lengths[first:last]
        if self.packing is None:
            longest = max(lengths)
            mask_RT = None if self.mask_RT is None else self.mask_RT[first:last, :longest]
            return TextPass(rows_R, lengths, self.ids[first:last, :longest], mask_RT)
        start = sum(self.lengths[:first])
        offsets_B1 = self.packing.offsets_B1[first : last + 1] - start
        ids_N = self.ids[start : start + sum(lengths)]
        return TextPass(rows_R, lengths, ids_N, packing=Packing(offsets_B1, lengths))


def text_passes(texts: TokenStore, most_tokens: int, *, packed: bool) -> list[TextPass]:
    """Return all of ``texts`` in passes of at most ``most_tokens`` tokens, longest texts first.

    Args:
        texts: The texts of a step.
        most_tokens: Tokens of a pass, padding included; a longer text makes a pass of its own.
        packed: Whether texts lie one after the other, which not every encoder can read.
    """
    return [
        _packed(texts, rows_R) if packed else _padded(texts, rows_R) for rows_R in _groups(texts, most_tokens, packed)
    ]


def _groups(texts: TokenStore, most_tokens: int, packed: bool) -> Iterator[NDArray[np.int64]]:
    if not packed:
        yield from groups_of_like_length(texts.lengths_R, most_tokens)
        return
    order_R = np.argsort(-texts.lengths_R, kind="stable")
    ends_R = texts.lengths_R[order_R].cumsum()
    start = 0
    while start < len(order_R):
        before = ends_R[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends_R, before + most_tokens, side="right")))
        yield order_R[start:end]
        start = end


def _padded(texts: TokenStore, rows_R: NDArray[np.int64]) -> TextPass:
    ids_RT, mask_RT = (torch.from_numpy(one) for one in texts.padded(rows_R))
    return TextPass(torch.from_numpy(rows_R), tuple(texts.lengths_R[rows_R].tolist()), ids_RT, mask_RT)


def _packed(texts: TokenStore, rows_R: NDArray[np.int64]) -> TextPass:
    chosen = texts.chosen(rows_R)
    lengths = tuple(chosen.lengths_R.tolist())
    packing = Packing(torch.from_numpy(chosen.offsets), lengths)
    return TextPass(torch.from_numpy(rows_R), lengths, torch.from_numpy(chosen.ids.astype(np.int64)), packing=packing)


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
    if texts.size <= most_tokens or len(texts.lengths) == 1:
        return [texts]
    half = len(texts.lengths) // 2
    halves = (texts.part(0, half), texts.part(half, len(texts.lengths)))
    return [piece for part in halves for piece in _cut(part, most_tokens)]
