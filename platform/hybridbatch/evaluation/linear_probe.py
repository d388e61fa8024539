"""Linear probes that pick one of N passages for a question, from the states of one layer.

Shape legend: E examples, N passages of an example, T examples of a tile, H width of the states, U questions, V
passages, W weights of a probe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.probe_examples import ProbeExamples

Floats = NDArray[np.float32]
FormName = Literal["concatenation", "product"]
# L2 penalties that are tried, strongest first, each from where the one before ended
PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)
_PRODUCTS = 256 << 20  # bytes of products that are kept; beyond, they are made again for each step
_TILE = 16 << 20  # bytes of products that are made at a time
_STEPS = 200  # of the optimiser at most
_GAIN = 1e-6  # relative gain of a step at which the optimiser stops


@dataclass(frozen=True)
class Readings:
    """The states of one layer as examples see them.

    Attributes:
        questions_UH: States of questions, standardised.
        passages_VH: States of passages, standardised.
        examples: The examples.
    """

    questions_UH: Floats
    passages_VH: Floats
    examples: ProbeExamples

    @cached_property
    def _kept(self) -> list[tuple[slice, Floats]] | None:
        bytes_in_all = 4 * self.examples.passages_EN.size * self.passages_VH.shape[1]
        return list(self._made()) if bytes_in_all <= _PRODUCTS else None

    def products(self) -> Iterator[tuple[slice, Floats]]:
        """Yield examples, and question times passage [T, N, H], number by number, of each of their passages."""
        yield from self._made() if self._kept is None else self._kept

    def _made(self) -> Iterator[tuple[slice, Floats]]:
        rows, passages = self.examples.passages_EN.shape
        tile = max(1, _TILE // (4 * passages * self.passages_VH.shape[1]))
        for start in range(0, rows, tile):
            part = slice(start, min(start + tile, rows))
            questions_TH = self.questions_UH[self.examples.question_E[part]]
            yield part, self.passages_VH[self.examples.passages_EN[part]] * questions_TH[:, None]


class ProbeForm(Protocol):
    """How the scores of N passages follow linearly from states."""

    name: ClassVar[FormName]

    def weights(self, readings: Readings) -> int:
        """Return the number of weights W, biases among them."""

    def biases(self, readings: Readings) -> int:
        """Return how many of the weights, the last ones, are not held back."""

    def scores(self, weights_W: Floats, readings: Readings) -> Floats:
        """Return the scores [E, N]."""

    def pulled_back(self, change_EN: Floats, readings: Readings) -> Floats:
        """Return the gradient [W] of the weights, given that of the scores."""


class Concatenation:
    r"""The probe of the paper: one linear layer from the question and all passages to N scores.

    .. math:: u = W [q; p_1; \dots; p_N] + b, \quad W \in R^{N \times (N+1)H}

    Whatever it learns, the score of a passage never depends on question *and* passage together: a term that adds up
    cannot say that these two fit. Where a passage is as often right as wrong, as here, it is at chance; above chance it
    has read what passages that answer look like, whatever was asked.

    Source: arXiv 2505.07166 (and the authors' code), after arXiv 2402.11035.
    """

    name: ClassVar[FormName] = "concatenation"

    def weights(self, readings: Readings) -> int:
        """Return N (N + 1) H + N."""
        passages, width = _shape(readings)
        return passages * (passages + 1) * width + passages

    def biases(self, readings: Readings) -> int:
        """Return N."""
        return _shape(readings)[0]

    def scores(self, weights_W: Floats, readings: Readings) -> Floats:
        """Return the scores [E, N]: each text is multiplied once, however many examples it stands in."""
        questions_NH, places_NNH, bias_N = self._parts(weights_W, readings)
        examples = readings.examples
        scores_EN: Floats = (readings.questions_UH @ questions_NH.T)[examples.question_E] + bias_N
        for place, weights_NH in enumerate(places_NNH):
            scores_EN += (readings.passages_VH @ weights_NH.T)[examples.passages_EN[:, place]]
        return scores_EN

    def pulled_back(self, change_EN: Floats, readings: Readings) -> Floats:
        """Return the gradient [W]."""
        examples = readings.examples
        parts = [_summed(change_EN, examples.question_E, len(readings.questions_UH)).T @ readings.questions_UH]
        for place in range(change_EN.shape[1]):
            change_VN = _summed(change_EN, examples.passages_EN[:, place], len(readings.passages_VH))
            parts.append(change_VN.T @ readings.passages_VH)
        return np.concatenate([*(part.ravel() for part in parts), change_EN.sum(axis=0)])

    def _parts(self, weights_W: Floats, readings: Readings) -> tuple[Floats, Floats, Floats]:
        passages, width = _shape(readings)
        blocks = weights_W[:-passages].reshape(passages + 1, passages, width)
        return blocks[0], blocks[1:], weights_W[-passages:]


class Product:
    r"""A probe that can say that question and passage fit: the same linear layer for each passage.

    .. math:: u_i = w \cdot p_i + v \cdot (q \circ p_i)

    Over ``[q; p; q * p]``, whose part of the question alone adds the same to all scores and is left out. A dot product
    of both states with a weight for each dimension is what it learns; that without weights, which is how the model
    scores, is one of them.
    """

    name: ClassVar[FormName] = "product"

    def weights(self, readings: Readings) -> int:
        """Return 2 H."""
        return 2 * _shape(readings)[1]

    def biases(self, readings: Readings) -> int:
        """Return 0: a bias adds the same to all scores."""
        return 0

    def scores(self, weights_W: Floats, readings: Readings) -> Floats:
        """Return the scores [E, N]."""
        passage_H, product_H = np.split(weights_W, 2)
        scores_EN = (readings.passages_VH @ passage_H)[readings.examples.passages_EN]
        for part, products_TNH in readings.products():
            scores_EN[part] += products_TNH @ product_H
        return scores_EN

    def pulled_back(self, change_EN: Floats, readings: Readings) -> Floats:
        """Return the gradient [W]."""
        rows, width = readings.examples.passages_EN.ravel(), readings.passages_VH.shape[1]
        passage_H = _summed(change_EN.reshape(-1, 1), rows, len(readings.passages_VH))[:, 0] @ readings.passages_VH
        product_H = np.zeros(width, dtype=np.float32)
        for part, products_TNH in readings.products():
            product_H += change_EN[part].ravel() @ products_TNH.reshape(-1, width)
        return np.concatenate([passage_H, product_H])


FORMS: Mapping[FormName, ProbeForm] = {one.name: one for one in (Concatenation(), Product())}


@dataclass(frozen=True)
class Probe:
    """A trained probe.

    Attributes:
        form: Its form.
        weights_W: Its weights.
        penalty: The penalty that was chosen on the validation part.
    """

    form: ProbeForm
    weights_W: Floats
    penalty: float

    def picks(self, readings: Readings) -> NDArray[np.int64]:
        """Return the place [E] of the best passage of each example; of equals the first."""
        picked_E: NDArray[np.int64] = self.form.scores(self.weights_W, readings).argmax(axis=1)
        return picked_E


def trained_probe(
    form: ProbeForm,
    training: tuple[Readings, NDArray[np.int64]],
    validation: tuple[Readings, NDArray[np.int64]],
    penalties: tuple[float, ...] = PENALTIES,
) -> Probe:
    r"""Return the probe with the least cross-entropy plus penalty, and the penalty that serves unseen items best.

    .. math:: \min_W \frac{1}{E} \sum_e -\log \mathrm{softmax}(u_e)_{y_e} + \frac{\lambda}{2} \lVert W \rVert^2

    This is convex, and found by L-BFGS from zero: the same examples give the same probe. Penalties are tried from the
    strongest on until the cross-entropy of the validation part no longer falls.

    Args:
        form: The form.
        training: What it is trained on, and the places asked for.
        validation: What chooses the penalty, and the places asked for.
        penalties: The penalties, strongest first.
    """
    readings, asked_E = training
    weights_W = np.zeros(form.weights(readings), dtype=np.float32)
    best, least = Probe(form, weights_W, np.inf), np.inf
    for penalty in penalties:
        weights_W = _minimised(form, readings, asked_E, penalty, weights_W)
        loss = _cross_entropy(form.scores(weights_W, validation[0]), validation[1])[0]
        if loss >= least:
            break
        best, least = Probe(form, weights_W, penalty), loss
    return best


def cosine_picks(questions_UH: Floats, passages_VH: Floats, examples: ProbeExamples) -> NDArray[np.int64]:
    """Return the place [E] of the passage whose state has the greatest cosine with the question's: nothing is learnt.

    Args:
        questions_UH: States of questions as they are.
        passages_VH: States of passages as they are.
        examples: The examples.
    """
    unit = [states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12) for states in
            (questions_UH, passages_VH)]  # fmt: skip
    readings = Readings(unit[0], unit[1], examples)
    picked_E = np.empty(len(examples), dtype=np.int64)
    for part, products_TNH in readings.products():
        picked_E[part] = products_TNH.sum(axis=2).argmax(axis=1)
    return picked_E


def _minimised(
    form: ProbeForm, readings: Readings, asked_E: NDArray[np.int64], penalty: float, start_W: Floats
) -> Floats:
    from scipy.optimize import minimize  # scipy takes a while to import

    held_back_W = np.ones(len(start_W), dtype=np.float32)
    held_back_W[len(start_W) - form.biases(readings) :] = 0.0

    def loss_and_gradient(point_W: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights_W = point_W.astype(np.float32)
        loss, change_EN = _cross_entropy(form.scores(weights_W, readings), asked_E)
        held_W = weights_W * held_back_W
        gradient_W = form.pulled_back(change_EN, readings) + penalty * held_W
        return loss + penalty / 2 * float(held_W @ held_W), gradient_W.astype(np.float64)

    found = minimize(
        loss_and_gradient,
        start_W.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": _STEPS, "ftol": _GAIN},
    )
    return np.asarray(found.x, dtype=np.float32)


def _shape(readings: Readings) -> tuple[int, int]:
    """Return the number of passages N and the width H."""
    return int(readings.examples.passages_EN.shape[1]), int(readings.passages_VH.shape[1])


def _cross_entropy(scores_EN: Floats, asked_E: NDArray[np.int64]) -> tuple[float, Floats]:
    """Return the mean cross-entropy, and its gradient [E, N] by the scores."""
    scores_EN = scores_EN.astype(np.float64)
    scores_EN -= scores_EN.max(axis=1, keepdims=True)
    shares_EN = np.exp(scores_EN)
    sums_E1 = shares_EN.sum(axis=1, keepdims=True)
    shares_EN /= sums_E1
    rows_E = np.arange(len(asked_E))
    loss = float(np.mean(np.log(sums_E1[:, 0]) - scores_EN[rows_E, asked_E]))
    shares_EN[rows_E, asked_E] -= 1
    return loss, (shares_EN / len(asked_E)).astype(np.float32)


def _summed(change_EC: Floats, row_E: NDArray[np.int64], rows: int) -> Floats:
    """Return the sum [rows, C] of the changes that belong to each row."""
    order_E = np.argsort(row_E, kind="stable")
    distinct, first = np.unique(row_E[order_E], return_index=True)
    sums_RC = np.zeros((rows, change_EC.shape[1]), dtype=np.float32)
    if len(distinct):
        sums_RC[distinct] = np.add.reduceat(change_EC[order_E], first, axis=0)
    return sums_RC
