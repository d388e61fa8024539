"""InfoNCE by hand, and against torch's own cross entropy.

Shape legend: B pairs, D width of the embedding.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hybridbatch.training.dual_encoder import DualEncoder
from hybridbatch.training.losses import ABSENT, Shard, info_nce

HALF = torch.tensor(0.5)


def unit(rows: int, seed: int, width: int = 6) -> Tensor:
    values_BD = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(values_BD, dim=-1)


def test_two_pairs_by_hand():
    # Scores of question 0: 1 and 0, of question 1: 0.6 and 0.8; divided by 0.5: 2 and 0, 1.2 and 1.6.
    questions = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    passages = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    first = math.log(1 + math.exp(0 - 2))
    second = math.log(1 + math.exp(1.2 - 1.6))
    loss = info_nce(questions, passages, HALF, both_directions=False)
    assert float(loss) == pytest.approx((first + second) / 2, rel=1e-6)
    back_first = math.log(1 + math.exp(1.2 - 2))  # passage 0 scores 2 with question 0, 1.2 with question 1
    back_second = math.log(1 + math.exp(0 - 1.6))
    both = info_nce(questions, passages, HALF, both_directions=True)
    assert float(both) == pytest.approx((first + second + back_first + back_second) / 4, rel=1e-6)


def test_against_cross_entropy():
    questions, passages, temperature = unit(7, 1), unit(7, 2), torch.tensor(0.05, dtype=torch.float64)
    scores_BB = questions @ passages.T / temperature
    there = functional.cross_entropy(scores_BB, torch.arange(7))
    back = functional.cross_entropy(scores_BB.T, torch.arange(7))
    assert float(info_nce(questions, passages, temperature, both_directions=False)) == pytest.approx(float(there))
    both = info_nce(questions, passages, temperature, both_directions=True)
    assert float(both) == pytest.approx(float((there + back) / 2))


def test_equal_passages_are_not_each_others_negatives():
    questions, passages = unit(4, 1), unit(4, 2)
    hashes = torch.tensor([11, 22, 11, 33])
    keep = [[0, 1, 3], [0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]
    scores = (questions @ passages.T / 0.5).tolist()
    by_hand = [
        -scores[row][row] + math.log(sum(math.exp(scores[row][column]) for column in columns))
        for row, columns in enumerate(keep)
    ]
    loss = info_nce(questions, passages, HALF, both_directions=False, keys_C=hashes)
    assert float(loss) == pytest.approx(sum(by_hand) / 4, rel=1e-6)
    back = info_nce(passages, questions, HALF, both_directions=False, keys_C=hashes)
    both = info_nce(questions, passages, HALF, both_directions=True, keys_C=hashes)
    assert float(both) == pytest.approx(float(loss + back) / 2)


def test_masks_change_nothing_where_all_passages_differ_and_leave_zero_where_all_are_equal():
    questions, passages = unit(4, 1), unit(4, 2)
    plain = info_nce(questions, passages, HALF, both_directions=True)
    masked = info_nce(questions, passages, HALF, both_directions=True, keys_C=torch.arange(4))
    assert torch.equal(plain, masked)
    questions.requires_grad_()
    alone = info_nce(questions, passages, HALF, both_directions=True, keys_C=torch.zeros(4, dtype=torch.int64))
    alone.backward()
    assert alone.item() == 0
    assert torch.isfinite(questions.grad).all()


def test_hard_negatives_are_further_candidates_of_every_question_and_choose_nothing():
    questions, passages, negatives = unit(3, 1), unit(3, 2), unit(5, 3)
    scores_BC = questions @ torch.cat([passages, negatives]).T / 0.5
    there = functional.cross_entropy(scores_BC, torch.arange(3))
    loss = info_nce(questions, passages, HALF, both_directions=False, negatives_ND=negatives)
    assert float(loss) == pytest.approx(float(there))
    back = functional.cross_entropy((questions @ passages.T / 0.5).T, torch.arange(3))
    both = info_nce(questions, passages, HALF, both_directions=True, negatives_ND=negatives)
    assert float(both) == pytest.approx(float((there + back) / 2))


def test_a_hard_negative_with_the_key_of_the_passage_is_left_out_for_its_question_alone():
    questions, passages, negatives = unit(2, 1), unit(2, 2), unit(1, 3)
    keys = torch.tensor([7, 8, 7])
    scores = (questions @ torch.cat([passages, negatives]).T / 0.5).tolist()
    by_hand = [
        -scores[row][row] + math.log(sum(math.exp(scores[row][column]) for column in columns))
        for row, columns in enumerate([[0, 1], [0, 1, 2]])
    ]
    loss = info_nce(questions, passages, HALF, both_directions=False, negatives_ND=negatives, keys_C=keys)
    assert float(loss) == pytest.approx(sum(by_hand) / 2)
    plain = info_nce(questions, passages, HALF, both_directions=True)
    both = info_nce(questions, passages, HALF, both_directions=True, negatives_ND=negatives, keys_C=keys)
    assert float(both) > float(plain), "one more candidate"


def test_widths_are_the_mean_of_the_losses_of_what_is_cut_and_brought_to_unit_length():
    questions, passages = unit(4, 1), unit(4, 2)
    cut = [functional.normalize(one[:, :2], dim=-1) for one in (questions, passages)]
    losses = [info_nce(*both, HALF, both_directions=True) for both in (cut, (questions, passages))]
    loss = info_nce(questions, passages, HALF, both_directions=True, widths=(2,))
    assert float(loss) == pytest.approx(float(sum(losses) / 2))


def test_a_part_of_the_global_batch_counts_its_own_rows_against_all(monkeypatch: pytest.MonkeyPatch):
    questions, passages, hashes = unit(6, 1), unit(6, 2), torch.tensor([1, 2, 1, 3, 4, 5])
    whole = info_nce(questions, passages, HALF, both_directions=True, keys_C=hashes)
    parts = []
    for rank in range(3):
        everything = iter((questions, passages))
        monkeypatch.setattr(
            "hybridbatch.training.losses.gather_with_gradient", lambda local, workers, all_=everything: next(all_)
        )
        own = slice(2 * rank, 2 * rank + 2)
        shard = Shard(rank, 3)
        parts.append(info_nce(questions[own], passages[own], HALF, both_directions=True, keys_C=hashes, shard=shard))
    assert float(sum(parts) / 3) == pytest.approx(float(whole))


def test_the_gradient_is_that_of_finite_differences():
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    questions, passages = unit(3, 1, width=2).requires_grad_(), unit(3, 2, width=2).requires_grad_()

    def loss(questions_BD: Tensor, passages_BD: Tensor, temperature: Tensor) -> Tensor:
        return info_nce(questions_BD, passages_BD, temperature, both_directions=True)

    assert torch.autograd.gradcheck(loss, (questions, passages, temperature))


@pytest.mark.parametrize("learn", [True, False])
def test_the_temperature_is_learnt_when_asked_for_and_starts_where_it_is_set(learn: bool):
    model = DualEncoder(torch.nn.Identity(), temperature=0.05, learn_temperature=learn)
    assert model.log_temperature.exp().item() == pytest.approx(0.05)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained == (["log_temperature"] if learn else [])


def test_a_learnt_temperature_falls_while_pairs_are_found_and_rises_while_they_are_not():
    for passages, sign in ((unit(4, 1), 1), (unit(4, 1).roll(1, 0), -1)):
        model = DualEncoder(torch.nn.Identity(), temperature=0.5, learn_temperature=True)
        info_nce(unit(4, 1), passages, model.log_temperature.exp(), both_directions=False).backward()
        assert math.copysign(1, float(model.log_temperature.grad)) == sign


@pytest.mark.parametrize(("start", "lowest"), [(0.05, 0.01), (0.01, 0.01), (0.004, 0.004)])
def test_a_learnt_temperature_does_not_fall_below_a_hundredth_or_its_start(start: float, lowest: float):
    model = DualEncoder(torch.nn.Identity(), temperature=start, learn_temperature=True)
    for reached, kept in ((start, start), (0.5, 0.5), (0.001, lowest)):
        model.log_temperature.data.fill_(math.log(reached))
        model.bound_temperature()
        assert model.temperature.item() == pytest.approx(kept)
    fixed = DualEncoder(torch.nn.Identity(), temperature=0.05, learn_temperature=False)
    before = fixed.log_temperature.clone()
    fixed.bound_temperature()
    assert torch.equal(fixed.log_temperature, before)


def test_an_absent_candidate_is_a_negative_of_no_question():
    questions, passages, negatives = unit(3, 1), unit(3, 2), unit(2, 3)
    keys = torch.tensor([1, 2, 3, ABSENT, 4])
    loss = info_nce(questions, passages, HALF, both_directions=True, negatives_ND=negatives, keys_C=keys)
    alone = info_nce(
        questions, passages, HALF, both_directions=True, negatives_ND=negatives[1:], keys_C=keys[[0, 1, 2, 4]]
    )
    assert float(loss) == pytest.approx(float(alone), rel=1e-12)
    present = torch.tensor([1, 2, 3, 5, 4])
    both = info_nce(questions, passages, HALF, both_directions=True, negatives_ND=negatives, keys_C=present)
    assert float(both) > float(loss)
