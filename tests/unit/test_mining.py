"""What is mined for each question: every filter by hand, and the search against brute force.

Shape legend: Q questions, D width of an embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybridbatch.training.mining import Filters, mine

# One question looks along the first axis; passage q scores SCORES[q] with it. Its own passage is the first.
SCORES = [0.8, 0.9, 0.79, 0.77, 0.5, 0.3]


def filters(**changed: Any) -> Filters:
    return Filters(**{"depth": 6, "skip": 0, "margin": None, "relative_margin": None, "keep": 6, **changed})


def mined(
    groups: list[int] | None = None, hashes: list[int] | None = None, **changed: Any
) -> tuple[list[int], dict[str, int]]:
    """Return what is mined for the first question of six, and the counts over all."""
    questions_QD = np.tile(np.array([1, 0], np.float32), (6, 1))
    passages_QD = np.array([[score, np.sqrt(1 - score**2)] for score in SCORES], np.float32)
    hashes_Q = np.array(hashes or range(6), np.uint64)
    found, counts = mine(questions_QD, passages_QD, hashes_Q, np.array(groups or range(6)), filters(**changed))
    return [one for one in found[0].tolist() if one >= 0], dict(counts)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"depth": 3}, [1, 2]),  # the own passage is among the three
        ({"depth": 1}, [1]),  # the own passage is not the best
        ({"skip": 2}, [3, 4, 5]),
        ({"margin": 0.0}, [2, 3, 4, 5]),  # at most 0.8
        ({"margin": 0.02}, [3, 4, 5]),  # at most 0.78
        ({"margin": 0.31}, [5]),  # at most 0.49
        ({"relative_margin": 0.05}, [4, 5]),  # at most 0.76
        ({"relative_margin": 0.03}, [3, 4, 5]),  # at most 0.776
        ({"relative_margin": 0.03, "margin": 0.04}, [4, 5]),  # both limits: at most 0.76
        ({"skip": 1, "relative_margin": 0.05}, [4, 5]),  # what is skipped is skipped before the limit
        ({"skip": 4, "relative_margin": 0.05}, [5]),
        ({"keep": 2}, [1, 2]),
        ({"groups": [7, 7, 2, 3, 7, 5]}, [2, 3, 5]),
        ({"groups": [7, 7, 2, 3, 7, 5], "skip": 1}, [3, 5]),  # those of the own group are not counted
        ({"groups": [0, 1, 1, 3, 4, 5], "hashes": [0, 11, 11, 3, 4, 5]}, [1, 3, 4, 5]),  # equal passages stand once
    ],
)
def test_each_filter_by_hand(changed: dict[str, Any], expected: list[int]):
    found, _ = mined(**changed)
    assert found == expected


def test_what_was_left_out_is_counted():
    _, counts = mined(margin=0.0, keep=3, skip=1)
    assert counts == {
        "looked_at": 36,
        "own": 6,
        "skipped": 6,
        # beyond the one skipped: for own scores 0.9, 0.8, 0.79, 0.77, 0.5, 0.3 these many score more
        "too_close": 0 + 0 + 1 + 2 + 3 + 4,
        "not_needed": 1 + 1,
        "kept": 3 + 3 + 3 + 2 + 1 + 0,
        "questions": 6,
        "questions_without": 1,
    }
    assert sum(counts[name] for name in ("own", "skipped", "too_close", "not_needed", "kept")) == counts["looked_at"]


def test_a_share_of_a_negative_score_is_below_it():
    questions_QD = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    passages_QD = np.array([[-0.5, 0.5], [-0.49, 0.5], [-0.6, 0.5]], np.float32)
    three = (np.arange(3, dtype=np.uint64), np.arange(3))
    found, _ = mine(questions_QD, passages_QD, *three, filters(depth=3, keep=3, relative_margin=0.05))
    assert found[0].tolist() == [2, -1, -1], "at most -0.525: -0.49 and, with its sign, -0.475 are not"


def by_hand(scores_QQ: NDArray[np.float32], hashes: list[int], groups: list[int], chosen: Filters) -> list[list[int]]:
    """Return what is mined, one question and passage after the other."""
    firsts = [number for number, one in enumerate(hashes) if hashes.index(one) == number]
    found = []
    for question in range(len(hashes)):
        own = float(scores_QQ[question, hashes.index(hashes[question])])
        ranking = sorted(firsts, key=lambda passage: (-scores_QQ[question, passage], passage))[: chosen.depth]
        others = [one for one in ranking if groups[one] != groups[question]][chosen.skip :]
        limit = own - (chosen.relative_margin or 0) * abs(own) if chosen.relative_margin is not None else np.inf
        limit = min(limit, own - chosen.margin) if chosen.margin is not None else limit
        found.append([one for one in others if scores_QQ[question, one] <= limit][: chosen.keep])
    return found


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_mining_is_exact(data: st.DataObject):
    questions = data.draw(st.integers(1, 40))
    seed = data.draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    # few values, so that scores tie; exact in float32, so that every order of a sum is
    questions_QD, texts_QD = (random.integers(-2, 3, (questions, 3)).astype(np.float32) for _ in range(2))
    text_Q = random.integers(0, questions, questions)
    passages_QD, hashes_Q = texts_QD[text_Q], text_Q.astype(np.uint64) * 7919 % 1009
    groups_Q = text_Q // data.draw(st.integers(1, 3))
    chosen = Filters(
        depth=data.draw(st.integers(1, 45)),
        skip=data.draw(st.integers(0, 3)),
        margin=data.draw(st.sampled_from([None, 0.0, 0.5, 1.0])),
        relative_margin=data.draw(st.sampled_from([None, 0.0, 0.25])),
        keep=data.draw(st.integers(1, 6)),
    )
    found, counts = mine(questions_QD, passages_QD, hashes_Q, groups_Q, chosen)
    listed = [[one for one in row if one >= 0] for row in found.tolist()]
    assert listed == by_hand(questions_QD @ passages_QD.T, hashes_Q.tolist(), groups_Q.tolist(), chosen)
    assert counts["kept"] == sum(map(len, listed))
