"""Transport plans between token states: against exact solvers, by hand, and whatever stands in the padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from torch import Tensor

from hybridbatch.training.transport import cosine_costs, transport_costs, transport_plan


def everything(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


def some_costs(pairs: int, sources: int, targets: int, seed: int = 0) -> Tensor:
    return 2 * torch.rand(pairs, sources, targets, generator=torch.Generator().manual_seed(seed))


def exact_cost(costs_ST: np.ndarray) -> float:
    """Return the least cost of moving uniform masses, by linear programming."""
    sources, targets = costs_ST.shape
    rows = np.kron(np.eye(sources), np.ones(targets))
    columns = np.kron(np.ones(sources), np.eye(targets))
    masses = np.concatenate([np.full(sources, 1 / sources), np.full(targets, 1 / targets)])
    solved = linprog(costs_ST.ravel(), A_eq=np.vstack([rows, columns]), b_eq=masses)
    assert solved.success
    return float(solved.fun)


def test_two_tokens_each_by_hand():
    # By symmetry the plan is [[p, q], [q, p]] with p + q = 1/2 and p / q = exp(1 / epsilon): the costs differ by 1.
    costs = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    plan = transport_plan(costs, everything(1, 2), everything(1, 2), epsilon=1 / math.log(3), iterations=1)
    assert plan[0].tolist() == [pytest.approx([0.375, 0.125]), pytest.approx([0.125, 0.375])]
    assert float((plan * costs).sum()) == pytest.approx(0.25)


def test_one_token_gives_its_mass_to_all():
    plan = transport_plan(some_costs(1, 1, 4), everything(1, 1), everything(1, 4), epsilon=0.1, iterations=3)
    assert plan[0, 0].tolist() == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0])
def test_masses_are_uniform_on_both_sides(epsilon: float):
    plan = transport_plan(some_costs(5, 7, 11), everything(5, 7), everything(5, 11), epsilon=epsilon, iterations=2000)
    assert torch.allclose(plan.sum(dim=2), torch.full((5, 7), 1 / 7), atol=1e-4)
    assert torch.allclose(plan.sum(dim=1), torch.full((5, 11), 1 / 11), atol=1e-4)
    assert (plan >= 0).all()


@pytest.mark.parametrize(("sources", "targets"), [(3, 5), (4, 4), (6, 2)])
def test_the_cost_comes_near_the_least_one_as_epsilon_falls(sources: int, targets: int):
    costs = some_costs(1, sources, targets, seed=sources)
    exact = exact_cost(costs[0].double().numpy())
    found = []
    for epsilon in (1.0, 0.1, 0.01):
        plan = transport_plan(costs, everything(1, sources), everything(1, targets), epsilon=epsilon, iterations=1000)
        found.append(float((plan * costs).sum()))
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(exact, abs=2e-3)
    assert found[0] > exact + 0.02


def test_a_small_epsilon_finds_the_best_matching():
    costs = some_costs(1, 6, 6, seed=9)
    plan = transport_plan(costs, everything(1, 6), everything(1, 6), epsilon=0.01, iterations=1000)
    rows, columns = linear_sum_assignment(costs[0].numpy())
    assert plan[0].argmax(dim=1).tolist() == columns.tolist()
    assert float((plan * costs).sum()) == pytest.approx(float(costs[0].numpy()[rows, columns].mean()), abs=2e-3)


def test_costs_of_no_difference_and_of_a_tiny_epsilon_stay_finite():
    for costs in (torch.zeros(1, 3, 3), torch.full((1, 3, 3), 2.0), some_costs(1, 3, 3)):
        plan = transport_plan(costs, everything(1, 3), everything(1, 3), epsilon=1e-4, iterations=100)
        assert torch.isfinite(plan).all()
        assert float(plan.sum()) == pytest.approx(1, abs=1e-3)


def test_what_does_not_count_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    sources, targets = torch.randn(2, 4, 8, generator=generator), torch.randn(2, 5, 8, generator=generator)
    settings = {"epsilon": 0.1, "iterations": 40}
    alone = [
        transport_costs(
            sources[pair : pair + 1, :length],
            targets[pair : pair + 1],
            everything(1, length),
            everything(1, 5),
            **settings,
        )
        for pair, length in ((0, 4), (1, 2))
    ]
    counted = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    junk = torch.cat([targets, torch.full((2, 3, 8), 1e4)], dim=1).requires_grad_()
    junk_counted = torch.cat([everything(2, 5), ~everything(2, 3)], dim=1)
    together = transport_costs(sources, junk, counted, junk_counted, **settings)
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)
    together.sum().backward()
    assert junk.grad is not None
    assert (junk.grad[:, 5:] == 0).all()
    assert (junk.grad[:, :5] != 0).any(dim=2).all()


def test_states_in_half_precision_are_compared_in_float32():
    states = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(2)).bfloat16()
    costs = cosine_costs(states, states)
    assert costs.dtype == torch.float32
    assert costs.diagonal(dim1=1, dim2=2).abs().max() < 1e-6


def test_the_gradient_is_that_of_the_entropic_problem():
    # finite differences of min <plan, costs> - epsilon entropy(plan), by each target state
    generator = torch.Generator().manual_seed(4)
    sources, targets = torch.randn(1, 3, 2, generator=generator), torch.randn(1, 4, 2, generator=generator)
    epsilon, masks = 0.5, (everything(1, 3), everything(1, 4))

    def objective(states: Tensor) -> float:
        costs = cosine_costs(sources, states)
        plan = transport_plan(costs, *masks, epsilon=epsilon, iterations=100)
        return float((plan.double() * (costs.double() + epsilon * plan.double().log())).sum())

    leaf = targets.clone().requires_grad_()
    transport_costs(sources, leaf, *masks, epsilon=epsilon, iterations=100).sum().backward()
    assert leaf.grad is not None
    for token in range(4):
        for place in range(2):
            step = torch.zeros_like(targets)
            step[0, token, place] = 2e-3
            slope = (objective(targets + step) - objective(targets - step)) / 4e-3
            assert float(leaf.grad[0, token, place]) == pytest.approx(slope, abs=1e-3)
