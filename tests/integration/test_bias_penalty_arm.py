"""The penalty on ranks that disagree: its arithmetic, what it encodes, and a bias that nothing else takes away."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.made_languages import settings, write_model, write_pairs
from tests.small_study import drop_language, experiment
from tests.tiny_trial import make_workshop, run

from hybridbatch.batching.plan import Batch
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import ArmContext, StepBatch
from hybridbatch.training.losses import Shard
from hybridbatch.training.rank_agreement import RankAgreement, rank_distances
from hybridbatch.training.workshop import Workshop

LANGUAGES = ("en", "xx", "yy")
STEPS = 40
OWN = torch.tensor([[0.9, 0.5, 0.1], [0.3, 0.8, 0.2]])
OTHER = torch.tensor([[0.4, 0.6, 0.7], [0.8, 0.8, 0.1]])
EVERY = torch.ones(3, dtype=torch.bool)


def distances(own: torch.Tensor, other: torch.Tensor, has: torch.Tensor = EVERY, softness: float = 1e-4) -> list[float]:
    found: list[float] = rank_distances(own, other, has, 0, softness).tolist()
    return found


def test_with_little_softness_ranks_are_counted():
    # question 0: its passage at 0.9 is first; at 0.4 it is behind 0.5, 0.6 and 0.7. question 1: both at 0.8 are ranked
    # among 0.3, 0.2, 0.8 and 0.1, that is equally, whatever half a place before the equal one
    assert distances(OWN, OTHER) == [pytest.approx(math.log(4)), 0]


def test_a_passage_that_is_not_there_stands_before_nobody():
    has = torch.tensor([True, True, False])
    assert distances(OWN, OTHER, has)[0] == pytest.approx(math.log(3))


def test_a_soft_rank_is_the_sum_of_sigmoids():
    own, other = torch.tensor([[0.9, 0.5]]), torch.tensor([[0.4, 0.6]])
    sigmoid = [1 / (1 + math.exp(-difference / 0.1)) for difference in (0.5 - 0.9, 0.6 - 0.9, 0.5 - 0.4, 0.6 - 0.4)]
    expected = abs(math.log(1 + sigmoid[0] + sigmoid[1]) - math.log(1 + sigmoid[2] + sigmoid[3]))
    assert distances(own, other, EVERY[:2], softness=0.1) == [pytest.approx(expected, rel=1e-5)]


def test_the_passage_that_is_behind_is_drawn_forward():
    own, other = OWN[:1].clone().requires_grad_(), OTHER[:1].clone().requires_grad_()
    rank_distances(own, other, EVERY, 0, 0.1).sum().backward()
    assert own.grad is not None
    assert other.grad is not None
    assert other.grad[0, 0] < 0 < own.grad[0, 0]


@pytest.fixture(scope="module")
def few_in_spanish(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The small study in which most items are in German alone."""
    made = make_workshop(tmp_path_factory.mktemp("few"))
    for language in ("en", "es"):
        drop_language(made.location.root / "small.csv", language, 6)
    return made


def term_of(workshop: Workshop, changes: dict[str, Any] | None = None) -> RankAgreement:
    return RankAgreement(ArmContext(experiment(changes), workshop, Shard(), "cpu"), 1.0, 0.05)


def test_an_item_in_one_language_has_its_own_passage_and_no_part_in_the_penalty(few_in_spanish: Workshop):
    (tokens,) = few_in_spanish.training_tokens(experiment())
    row_IL, de = tokens.pairs.row_IL, tokens.pairs.languages.index("de")
    alone = np.flatnonzero((row_IL >= 0).sum(axis=1) == 1)[:3]
    several = np.flatnonzero((row_IL >= 0).sum(axis=1) == 3)[:1]
    german = np.full(4, de)
    step = StepBatch(Batch(0, "monolingual", 0, np.concatenate([alone, several]), german, german), slice(0, 4))
    term = term_of(few_in_spanish)
    (store,) = term.texts(step).values()
    own = tokens.passages.chosen(row_IL[step.batch.items_B, de])
    assert (store.text_hashes_R == own.text_hashes_R).tolist() == [True, True, True, False]
    embeddings = {
        role: torch.nn.functional.normalize(torch.randn(4, 5, generator=torch.Generator().manual_seed(one)), dim=-1)
        for one, role in enumerate(["questions", "passages", "bias-penalty passages"])
    }
    has = torch.tensor([False, False, False, True])
    questions, own_GD, other_GD = embeddings.values()
    (expected,) = rank_distances(questions[3:] @ own_GD.T, questions[3:] @ other_GD.T, has, 3, 0.05).tolist()
    assert term.loss(embeddings, step, torch.tensor(0.05)).item() == pytest.approx(expected, rel=1e-5)
    without = StepBatch(Batch(0, "monolingual", 0, alone, german[:3], german[:3]), slice(0, 3))
    assert term.texts(without) == {}
    assert term.loss({"questions": questions}, without, torch.tensor(0.05)).item() == 0


def test_which_language_is_drawn_follows_seed_step_and_item(few_in_spanish: Workshop, tmp_path: Path):
    workshop = make_workshop(tmp_path)
    languages = np.zeros(30, dtype=np.int64)
    drawn = [
        next(iter(term_of(workshop, {"training.seed": seed}).texts(StepBatch(batch, own)).values())).text_hashes_R
        for seed, step, own in [(0, 0, slice(0, 30)), (0, 0, slice(10, 30)), (0, 1, slice(0, 30)), (1, 0, slice(0, 30))]
        for batch in [Batch(step, "monolingual", 0, np.arange(30), languages, languages)]
    ]
    assert (drawn[0][10:] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[0] != drawn[3]).any()


def test_plan_refuses_training_sets_without_parallel_passages(few_in_spanish: Workshop):
    train = [{"dataset": "parallel-pairs", "path": "small.csv", "languages": ["de"]}]
    changes = {"data.train": train, "data.report": [], "batches.mix": {"monolingual": 1.0}, "search.baselines": {}}
    with pytest.raises(UserError, match=r"arms\.bias-penalty: no item of the training sets has passages in two lang"):
        check_study(experiment({**changes, "arms.bias-penalty": {}}), few_in_spanish.location)


def test_the_bias_penalty_lowers_rank_distance_at_equal_mono_map(tmp_path: Path):
    data = tmp_path / "data"
    write_pairs(data / "train.csv", 300, LANGUAGES, seed=1)
    write_pairs(data / "test.csv", 60, LANGUAGES, seed=2)
    write_model(data / "model", LANGUAGES)
    workshop = Workshop(DataLocation(data, tmp_path / "cache"))
    measured = {}
    for name, arm in {"with": {}, "without": {"weight": 0.0}}.items():
        made = settings(
            "model", LANGUAGES, LANGUAGES, **{"batches.mix": {"monolingual": 1.0}, "arms.bias-penalty": arm}
        )
        training = {"steps": STEPS, "learning_rate": 0.01, "evaluate_every": STEPS}
        measured[name] = run(workshop, tmp_path / name, {**made, "training": training}).rungs[-1].summary
    assert measured["with"]["rank_distance"] < 20
    assert measured["without"]["rank_distance"] > 80, "of at most 179"
    assert measured["with"]["map_mono"] > measured["without"]["map_mono"] - 0.02
