"""The arm ``optical``: what it learns from bitext alone, its term, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests import second_language
from tests.small_study import BITEXT, experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, run

from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.spec.trial import TrialResult
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.transport import transport_costs
from hybridbatch.training.transport_distillation import TransportDistillation
from hybridbatch.training.workshop import Workshop

pytestmark = pytest.mark.usefixtures("one_torch_thread")

OPTICAL: dict[str, Any] = {"bitext": {"dataset": "bitext", "path": BITEXT}, "batch_size": 12, "weight": 0.5}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of two languages and, in ``en``, a trial that was trained in English."""
    folder = tmp_path_factory.mktemp("planted")
    second_language.write(folder / "data", seed=0)
    backbone = {"kind": "scratch", **second_language.ENCODER, **second_language.LENGTHS}
    run(shop(folder), folder / "en", second_language.changes(80, backbone=backbone))
    return folder


def shop(folder: Path) -> Workshop:
    return Workshop(DataLocation(folder / "data", folder / "cache"))


def cells(result: TrialResult) -> dict[str, float]:
    """Return the mean average precision of each language of questions and answers."""
    assert result.state == "complete", result.reason
    return result.report["report"].cells


def test_bitext_aligns_a_second_language_that_training_pairs_do_not_have(planted: Path, tmp_path: Path):
    backbone = {"kind": "huggingface", "name": str(planted / "en" / "00000" / "model"), **second_language.LENGTHS}
    optical = {"bitext": {"dataset": "bitext", "path": "bitext.csv"}, "batch_size": 16}
    found = {}
    for name, arm in (("without", None), ("with", optical)):
        changes = second_language.changes(80, backbone=backbone, **{"arms.optical": arm})
        found[name] = cells(run(shop(planted), tmp_path / name, changes))
    assert found["without"]["en-en"] > 0.9, "English has been learnt before"
    for cell in ("xx-xx", "en-xx", "xx-en"):
        assert found["without"][cell] < 0.35, "forty candidates: about 0.11 by chance"
        assert found["with"][cell] > 0.8
    assert found["with"]["en-en"] > 0.9


def trained(workshop: Workshop, **changes: Any) -> Trainer:
    return make_trainer(workshop, {"arms.optical": OPTICAL, **changes})


def term_of(trainer: Trainer) -> TransportDistillation:
    (term,) = trainer.objective._state_terms.values()
    assert isinstance(term, TransportDistillation)
    return term


def gradients_of_the_term(
    trainer: Trainer, step: int, computing: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.train()
    loss = trainer.objective.backward_of_state_terms(step, computing)
    found = {name: one.grad.clone() for name, one in trainer.model.named_parameters() if one.grad is not None}
    trainer.model.zero_grad()
    return float(loss), found


@pytest.mark.parametrize("chunk", [1, 50])
def test_parts_that_wait_change_neither_term_nor_gradient(workshop: Workshop, chunk: int):
    (loss, whole), (loss_in_parts, parts) = (
        gradients_of_the_term(trained(workshop, **{"training.chunk_tokens": size}), 3) for size in ("auto", chunk)
    )
    assert loss > 0.01
    assert loss_in_parts == pytest.approx(loss, abs=1e-6)
    assert whole.keys() == parts.keys()
    assert max(float(one.abs().max()) for one in whole.values()) > 1e-3
    for name, gradient in whole.items():
        assert torch.allclose(parts[name], gradient, atol=1e-5), name


def test_the_term_is_the_mean_over_pairs_that_are_encoded_alone(workshop: Workshop):
    trainer = trained(workshop)
    term, encoder = term_of(trainer), trainer.model.encoder.train()
    pairs = term._pairs
    chosen = term._plan.batch(5)
    assert len(chosen) == 12
    assert {pairs.rows["language"][row] for row in pairs.pivot_P} == {"en"}
    costs = []
    with torch.no_grad():
        for pair in chosen.tolist():
            states, counted = [], []
            for sentences, row in ((term._teacher.sentences, pairs.pivot_P), (term._student, pairs.translation_P)):
                ids, mask = (torch.from_numpy(one) for one in sentences.tokens.padded(row[[pair]]))
                states.append(encoder.token_states(ids, mask)[:, 1:-1])  # without [CLS] and [SEP]
                counted.append(mask[:, 1:-1].bool())
            costs.append(float(transport_costs(*states, *counted, epsilon=0.05, iterations=50)))
    loss, _ = gradients_of_the_term(trainer, 5)
    assert loss == pytest.approx(0.5 * sum(costs) / 12, abs=1e-5)


def test_tokens_that_belong_to_no_sentence_have_no_mass(workshop: Workshop):
    sentences = term_of(trained(workshop))._student
    ids = torch.tensor([[2, 7, 1, 3, 0], [2, 3, 0, 0, 0]])  # [CLS] .. [UNK] [SEP] [PAD], and nothing between
    counted = sentences.counted(ids, (ids != 0).long())
    assert counted.tolist() == [[False, True, True, False, False], [True, True, False, False, False]]


def test_the_teacher_stays_what_the_encoder_was_before_training(workshop: Workshop):
    trainer = trained(workshop)
    before = {name: one.clone() for name, one in trainer.model.encoder.state_dict().items()}
    trainer.train_until(3, lambda point: None)
    teacher = term_of(trainer)._teacher.encoder
    assert not teacher.training
    assert all(torch.equal(one, before[name]) for name, one in teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    moved = trainer.model.encoder.state_dict()
    assert any(not torch.equal(one, before[name]) for name, one in moved.items())


def test_an_interrupted_trial_ends_as_if_it_had_not_been(workshop: Workshop, tmp_path: Path):
    changes = {"backbone.dropout": 0.3, "arms.optical": OPTICAL, "training.steps": 6}
    run(workshop, tmp_path / "whole", changes)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", changes, Rungs(interrupt_at=4))
    run(Workshop(workshop.location), tmp_path / "parts", changes)
    whole, parts = (load_file(tmp_path / name / "00000" / "model" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    run(workshop, tmp_path / "off", {**changes, "arms.optical": None})
    off = load_file(tmp_path / "off" / "00000" / "model" / "model.safetensors")
    assert any(not torch.equal(whole[name], off[name]) for name in whole)


def test_bfloat16_changes_the_term_by_little(workshop: Workshop):
    trainer = trained(workshop, **{"training.precision": "bf16", "training.chunk_tokens": 50})
    rough, rough_gradients = gradients_of_the_term(trainer, 3, trainer._computing)
    exact, gradients = gradients_of_the_term(trained(workshop), 3)
    assert rough == pytest.approx(exact, abs=0.01)
    # Not the term: on some processors its rounded sum is the exact one.
    assert any(not torch.equal(rough_gradients[name], gradient) for name, gradient in gradients.items())
    for name, gradient in gradients.items():
        assert torch.allclose(rough_gradients[name], gradient, atol=0.01), name


def test_a_teacher_brings_its_own_tokenizer(planted: Path, workshop: Workshop):
    model = planted / "en" / "00000" / "model"
    optical = {**OPTICAL, "teacher": str(model)}
    changes = {"backbone.width": second_language.ENCODER["width"], "arms.optical": optical}
    trainer = trained(workshop, **changes)
    term = term_of(trainer)
    assert term._teacher.sentences.tokens.ids.tolist() != term._student.tokens.ids.tolist()
    saved = load_file(model / "model.safetensors")
    assert all(torch.equal(one, term._teacher.encoder.body.get_parameter(name)) for name, one in saved.items())
    trainer.train_until(2, lambda point: None)
    with pytest.raises(UserError, match="32 of the teacher, 16 of the backbone") as caught:
        trained(workshop, **{"arms.optical": optical})
    assert caught.value.path == "arms.optical.teacher"


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        ({"bitext": {"dataset": "bitext", "path": "nowhere.csv"}}, "arms.optical.bitext", "no such file"),
        ({"pivot": "fr"}, "arms.optical.bitext", "no sentence has a translation from or into fr"),
        ({"batch_size": 1000}, "arms.optical.batch_size", "a batch is larger than the bitext"),
        ({"teacher": "no/such/folder"}, "arms.optical.teacher", "model"),
    ],
)
def test_what_cannot_run_is_refused_before_the_first_trial(
    workshop: Workshop, change: dict[str, Any], path: str, problem: str
):
    made = experiment({"search.baselines": {}, "arms.optical": {**OPTICAL, **change}})
    with pytest.raises(UserError, match=problem) as caught:
        check_study(made, workshop.location)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"bitext": {"dataset": "bitexts"}}, "arms.optical.bitext.dataset: unknown data set"),
        ({"bitext": {"dataset": "bitext"}}, "arms.optical.bitext.path: this key is missing"),
        ({**OPTICAL, "epsilonn": 1}, "arms.optical.epsilonn: unknown key"),
        ({}, "arms.optical.bitext: this key is missing"),
        ({**OPTICAL, "batch_size": 0}, "arms.optical.batch_size: out of range"),
    ],
)
def test_mistakes_in_the_file_are_told_at_their_key(arm: dict[str, Any], message: str):
    with pytest.raises(UserError, match=re.escape(message)):
        experiment({"arms.optical": arm})


def test_a_teacher_of_another_width_is_refused_before_the_first_trial(planted: Path, workshop: Workshop):
    made = experiment({"arms.optical": {**OPTICAL, "teacher": str(planted / "en" / "00000" / "model")}})
    with pytest.raises(UserError, match="32 of the teacher, 16 of the backbone"):
        check_study(made, workshop.location)


def test_searched_settings_are_tried_before_the_first_trial(workshop: Workshop):
    space = {"arms.optical.batch_size": {"integer": [4, 1000]}}
    made = experiment({"search.baselines": {}, "arms.optical": OPTICAL, "search.space": space})
    with pytest.raises(UserError, match=r"with arms\.optical\.batch_size 1000"):
        check_study(made, workshop.location)
