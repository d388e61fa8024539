"""Probes on made-up states: what each form can read, what none may, and that gradients are right."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from hybridbatch.evaluation import linear_probe as module
from hybridbatch.evaluation.linear_probe import FORMS, FormName, Readings, cosine_picks, trained_probe
from hybridbatch.evaluation.probe_examples import ProbeExamples

N, H = 4, 12
Floats = NDArray[np.float32]


def examples(random: np.random.Generator, texts: range, count: int) -> ProbeExamples:
    """Return examples in which question i is answered by passage i, and no passage stands twice."""
    question_E = random.choice(texts, count)
    right_E = random.integers(N, size=count)
    passages_EN = np.empty((count, N), dtype=np.int64)
    for row, (question, right) in enumerate(zip(question_E, right_E, strict=True)):
        others = random.choice([one for one in texts if one != question], N - 1, replace=False)
        passages_EN[row] = np.insert(others, right, question)
    return ProbeExamples(
        question_E, passages_EN, right_E, random.integers(N, size=count), question_E, np.zeros(count, dtype=np.int64)
    )


def accuracy(
    form: FormName, states: tuple[Floats, Floats], parts: list[ProbeExamples], asked: str = "right_E"
) -> float:
    training, validation, test = ((Readings(*states, one), getattr(one, asked)) for one in parts)
    probe = trained_probe(FORMS[form], training, validation)
    return float(np.mean(probe.picks(test[0]) == test[1]))


@pytest.fixture
def parts() -> list[ProbeExamples]:
    random = np.random.default_rng(0)
    sizes = ((range(150), 600), (range(150, 250), 200), (range(250, 500), 600))
    return [examples(random, texts, count) for texts, count in sizes]


def matching(noise: float, turned: bool = False) -> tuple[Floats, Floats]:
    """Return states of which question and passage i share a code, the latter in other dimensions when ``turned``."""
    random = np.random.default_rng(1)
    codes_UH = random.normal(size=(500, H))
    passages_VH = codes_UH + noise * random.normal(size=(500, H))
    return codes_UH.astype(np.float32), (passages_VH[:, ::-1] if turned else passages_VH).astype(np.float32)


def test_the_names_of_the_forms() -> None:
    assert tuple(FORMS) == get_args(FormName)


def test_only_the_product_reads_that_question_and_passage_fit(parts: list[ProbeExamples]) -> None:
    states = matching(noise=0.3)
    assert accuracy("product", states, parts) > 0.95
    assert accuracy("concatenation", states, parts) == pytest.approx(1 / N, abs=0.06)
    picked_E = cosine_picks(*states, parts[2])
    assert np.mean(picked_E == parts[2].right_E) > 0.95


def test_the_product_weighs_dimensions_which_the_cosine_does_not(parts: list[ProbeExamples]) -> None:
    questions_UH, passages_VH = matching(noise=0.3)
    random = np.random.default_rng(3)
    loud_UH, loud_VH = (10 * random.normal(size=(500, H)).astype(np.float32) for _ in range(2))
    states = np.hstack([questions_UH, loud_UH]), np.hstack([passages_VH, loud_VH])
    assert np.mean(cosine_picks(*states, parts[2]) == parts[2].right_E) < 0.4
    scaled = tuple(one / one.std(axis=0) for one in states)
    assert accuracy("product", (scaled[0], scaled[1]), parts) > 0.9


def test_neither_form_turns_dimensions(parts: list[ProbeExamples]) -> None:
    states = matching(noise=0.0, turned=True)
    for form in FORMS:
        assert accuracy(form, states, parts) == pytest.approx(1 / N, abs=0.08)


def test_both_forms_read_what_answers_look_like(parts: list[ProbeExamples]) -> None:
    """Where passages that answer look different, whatever was asked, the paper's probe picks them."""
    random = np.random.default_rng(2)
    states = random.normal(size=(2, 1000, H)).astype(np.float32)
    answers_VH = states[1].copy()
    answers_VH[:500, 3] += 5
    marked = []
    for one in parts:  # passages 500 and on never answer
        passages_EN = one.passages_EN + 500
        passages_EN[np.arange(len(one)), one.right_E] -= 500
        fields = one.question_E, passages_EN, one.right_E, one.control_E, one.item_E, one.cell_E
        marked.append(ProbeExamples(*fields))
    for form in FORMS:
        assert accuracy(form, (states[0], answers_VH), marked) > 0.9


def test_labels_drawn_at_random_are_learnt_by_heart_and_not_otherwise(parts: list[ProbeExamples]) -> None:
    random = np.random.default_rng(4)
    states = tuple(random.normal(size=(500, 200)).astype(np.float32) for _ in range(2))
    training, validation, test = parts
    for form in FORMS:
        clean = accuracy(form, (states[0], states[1]), [training, validation, test], "control_E")
        assert clean == pytest.approx(1 / N, abs=0.06), "no text of the test part was seen in training"
    leaking = accuracy("concatenation", (states[0], states[1]), [training, training, training], "control_E")
    assert leaking > 0.9, "what was seen in training gives the control away"


def test_the_validation_part_chooses_the_penalty(parts: list[ProbeExamples]) -> None:
    random = np.random.default_rng(8)
    noise = (random.normal(size=(500, 200)).astype(np.float32) for _ in range(2))
    states = [np.hstack(both) for both in zip(matching(noise=1.0), noise, strict=True)]
    training, validation, test = ((Readings(states[0], states[1], one), one.right_E) for one in parts)

    def measured(*penalties: float) -> tuple[float, float]:
        probe = trained_probe(FORMS["product"], training, validation, penalties)
        return probe.penalty, float(np.mean(probe.picks(test[0]) == test[1]))

    chosen, accuracy_of_chosen = measured(100.0, 1.0, 0.0001)
    assert chosen == 1.0
    assert accuracy_of_chosen > max(measured(0.0001)[1], 1 / N) + 0.04


def test_the_concatenation_is_one_linear_layer_over_question_and_passages(parts: list[ProbeExamples]) -> None:
    random = np.random.default_rng(5)
    states = matching(noise=1.0)
    readings, form = Readings(*states, parts[1]), FORMS["concatenation"]
    weights_W = random.normal(size=form.weights(readings)).astype(np.float32)
    blocks = weights_W[:-N].reshape(N + 1, N, H)
    layer = np.concatenate(list(blocks), axis=1)  # N x (N + 1) H
    for row in (0, 7):
        one = parts[1]
        z = np.concatenate([states[0][one.question_E[row]], *states[1][one.passages_EN[row]]])
        expected = layer @ z + weights_W[-N:]
        assert form.scores(weights_W, readings)[row] == pytest.approx(expected, abs=1e-4)
    assert form.biases(readings) == N


def test_the_product_is_one_layer_for_all_passages(parts: list[ProbeExamples]) -> None:
    random = np.random.default_rng(6)
    states = matching(noise=1.0)
    readings, form = Readings(*states, parts[1]), FORMS["product"]
    weights_W = random.normal(size=form.weights(readings)).astype(np.float32)
    question_H, passages_NH = states[0][parts[1].question_E[3]], states[1][parts[1].passages_EN[3]]
    expected = passages_NH @ weights_W[:H] + (passages_NH * question_H) @ weights_W[H:]
    assert form.scores(weights_W, readings)[3] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("form", list(FORMS))
def test_gradients(form: FormName, parts: list[ProbeExamples]) -> None:
    random = np.random.default_rng(7)
    readings, kind = Readings(*matching(noise=1.0), parts[1]), FORMS[form]
    weights_W = random.normal(size=kind.weights(readings)).astype(np.float32)
    change_EN = random.normal(size=(len(parts[1]), N)).astype(np.float32)
    gradient_W = kind.pulled_back(change_EN, readings)
    for place in random.choice(len(weights_W), 20, replace=False):
        step_W = np.zeros_like(weights_W)
        step_W[place] = 1  # scores are linear in the weights
        by_hand = np.sum(change_EN * (kind.scores(weights_W + step_W, readings) - kind.scores(weights_W, readings)))
        assert gradient_W[place] == pytest.approx(by_hand, rel=1e-2, abs=2e-2)


def test_products_that_are_made_in_tiles_are_the_same(
    parts: list[ProbeExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    states = matching(noise=1.0)
    whole = accuracy("product", states, parts)
    monkeypatch.setattr(module, "_PRODUCTS", 0)
    monkeypatch.setattr(module, "_TILE", 40 * 4 * N * H)
    tiles = [part for part, _ in Readings(*states, parts[0]).products()]
    assert len(tiles) == 15
    assert accuracy("product", states, parts) == pytest.approx(whole, abs=0.01)


def test_cross_entropy_by_hand() -> None:
    scores_EN = np.log(np.array([[1, 3], [1, 1]], dtype=np.float32))
    loss, change_EN = module._cross_entropy(scores_EN, np.array([1, 0]))
    assert loss == pytest.approx((-np.log(0.75) - np.log(0.5)) / 2)
    assert change_EN == pytest.approx(np.array([[0.25, -0.25], [-0.5, 0.5]]) / 2)
