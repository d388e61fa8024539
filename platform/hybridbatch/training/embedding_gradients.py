"""Gradients of a loss over embeddings: the encoder's memory is bounded, the number of negatives is not touched.

The loss sees the embeddings of the whole batch, the encoder a part of its texts at a time (GradCache, Gao et al.,
"Scaling deep contrastive learning batch size under memory limited setup", arXiv 2101.06983). The last part keeps the
graph of its first pass, so that a batch that fits whole is encoded once.

Shape legend: R texts of this worker, T tokens, D width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from torch import Tensor, nn

from hybridbatch.backbones.encoders.packing import Packing
from hybridbatch.foundation.errors import OneWorkerError, first_line
from hybridbatch.training.text_passes import TextPass, parts_of

LossOfEmbeddings = Callable[[Tensor], Tensor]
Seeding = Callable[[int], None]
T = TypeVar("T")


class EmbeddingGradients:
    """Runs the encoder forth and back.

    A part that does not fit into memory is halved and done again. This needs no other worker: all that workers do
    together happens between the passes, in the loss, which is computed once whatever the parts.

    Args:
        encode: Token ids, and mask or packing, to embeddings [R, D]; what is trained.
        parameters: The parameters that the embeddings depend on and that are trained.
        computing: Opens what the encoder computes in, such as a precision.
        most_tokens: Tokens of a part, padding included; None means the whole batch.
    """

    def __init__(
        self,
        encode: Callable[[Tensor, Tensor | None, Packing | None], Tensor],
        parameters: Sequence[nn.Parameter],
        *,
        computing: Callable[[], AbstractContextManager[object]],
        most_tokens: int | None,
    ) -> None:
        self._encode, self._parameters = encode, list(parameters)
        self._computing, self.most_tokens = computing, most_tokens

    def backward(self, passes: Sequence[TextPass], loss_of: LossOfEmbeddings, seeding: Seeding) -> Tensor:
        """Add the gradients of ``loss_of`` to the parameters; return the loss, detached.

        Args:
            passes: The texts; one of more than ``most_tokens`` is cut.
            loss_of: Embeddings [R, D] of all texts, in their own order, to the loss. What else it depends on gets its
                gradient, too.
            seeding: Called with the number of a pass before it: a pass that is done again draws the same dropout,
                unless memory ran out meanwhile and passes are cut.

        Raises:
            OneWorkerError: If not even one text fits into the accelerator's memory.
        """
        leaf_RD, last_part = self._within_memory(lambda: self._embeddings(passes, seeding), passes)
        leaf_RD.requires_grad_()
        loss = loss_of(leaf_RD)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient_RD = leaf_RD.grad
        if gradient_RD is None:
            raise ValueError("the loss does not depend on the embeddings")
        graphs = [last_part]  # for the first attempt alone: what is done again starts from nothing
        del last_part
        self._within_memory(
            lambda: self._backward(passes, gradient_RD, graphs.pop() if graphs else None, seeding), passes
        )
        return loss.detach()

    def _embeddings(self, passes: Sequence[TextPass], seeding: Seeding) -> tuple[Tensor, list[Tensor]]:
        """Return the embeddings of all texts, detached, and with their graphs those of the passes of the last part."""
        parts = parts_of(passes, self.most_tokens)
        found: list[Tensor] = []
        for part in parts:
            with torch.set_grad_enabled(part is parts[-1]), self._computing():
                found += [self._one(number, texts, seeding) for number, texts in part]
        embeddings_RD = torch.cat([one.detach() for one in found])
        leaf_RD = torch.empty_like(embeddings_RD)
        leaf_RD[torch.cat([texts.rows_R for part in parts for _, texts in part])] = embeddings_RD
        return leaf_RD, found[len(found) - len(parts[-1]) :]

    def _backward(
        self, passes: Sequence[TextPass], gradient_RD: Tensor, last_part: list[Tensor] | None, seeding: Seeding
    ) -> None:
        for parameter in self._parameters:  # of an attempt that did not fit
            parameter.grad = None
        for part in reversed(parts_of(passes, self.most_tokens)):
            embeddings = last_part
            if embeddings is None:
                with self._computing():
                    embeddings = [self._one(number, texts, seeding) for number, texts in part]
            torch.autograd.backward(embeddings, [gradient_RD[texts.rows_R] for _, texts in part])
            last_part = embeddings = None

    def _one(self, number: int, texts: TextPass, seeding: Seeding) -> Tensor:
        seeding(number)
        return self._encode(texts.ids, texts.mask_RT, texts.packing)

    def _within_memory(self, work: Callable[[], T], passes: Sequence[TextPass]) -> T:
        """Return what ``work`` returns, with parts halved until it fits."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                reason = first_line(error)
            self._halve(passes, reason)  # outside the handler: the error holds on to what did not fit

    def _halve(self, passes: Sequence[TextPass], reason: str) -> None:
        parts = parts_of(passes, self.most_tokens)
        largest = max(parts, key=_size)
        if len(largest) == 1 and len(largest[0][1].lengths) == 1:
            raise OneWorkerError(
                "not even one text fits into the accelerator's memory",
                path="training, backbone",
                seen=reason,
                remedy="make backbone.passage_tokens smaller, or choose a smaller backbone",
            )
        self.most_tokens = _size(largest) // 2
        torch.cuda.empty_cache()


def _size(part: Sequence[tuple[int, TextPass]]) -> int:
    return sum(texts.size for _, texts in part)
