"""Entropic optimal transport between the tokens of two texts, for many pairs of texts at once.

Shape legend: B pairs of texts, S tokens of the longest source, T tokens of the longest target, H width of the states.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cosine_costs(sources_BSH: Tensor, targets_BTH: Tensor) -> Tensor:
    """Return 1 - cosine of every source token and every target token [B, S, T], between 0 and 2, in float32."""
    unit_BSH, unit_BTH = (functional.normalize(states.float(), dim=-1) for states in (sources_BSH, targets_BTH))
    return 1 - unit_BSH @ unit_BTH.transpose(1, 2)


@torch.no_grad()
def transport_plan(
    costs_BST: Tensor, sources_BS: Tensor, targets_BT: Tensor, *, epsilon: float, iterations: int
) -> Tensor:
    """Return the plans [B, S, T] that move the mass of the sources to the targets at the least cost.

    Each text has mass 1, the same share on each token that counts. The plan minimises ``<plan, costs> - epsilon *
    entropy(plan)`` (Cuturi, "Sinkhorn distances", arXiv 1306.0895). Its two potentials are found by turns, as
    logarithms, so that no small ``epsilon`` makes a number overflow. After the last turn the mass that each target
    receives is exact, that of the sources as near as the iterations came.

    Args:
        costs_BST: What it costs to move mass from a source token to a target token.
        sources_BS: True for tokens that count; at least one in each text.
        targets_BT: The same of the targets.
        epsilon: Weight of the entropy, in units of the costs: the smaller, the nearer to a matching and the more
            iterations are needed.
        iterations: How often both potentials are renewed.
    """
    kernel_BST = -costs_BST.float() / epsilon
    mass_BS, mass_BT = _log_mass(sources_BS), _log_mass(targets_BT)
    to_BT = torch.zeros_like(mass_BT).masked_fill(~targets_BT, float("-inf"))
    from_BS = torch.zeros_like(mass_BS)
    for _ in range(iterations):
        from_BS = mass_BS - torch.logsumexp(kernel_BST + to_BT[:, None, :], dim=2)
        to_BT = mass_BT - torch.logsumexp(kernel_BST + from_BS[:, :, None], dim=1)
    return torch.exp(kernel_BST + from_BS[:, :, None] + to_BT[:, None, :])


def transport_costs(
    sources_BSH: Tensor, targets_BTH: Tensor, sources_BS: Tensor, targets_BT: Tensor, *, epsilon: float, iterations: int
) -> Tensor:
    """Return what it costs to move the token states of each source to those of its target [B]: <plan, costs>.

    The plan is taken as given. At the optimum of the entropic problem this gradient is the whole one: the plan does
    not change its objective to first order (the envelope theorem).
    """
    costs_BST = cosine_costs(sources_BSH, targets_BTH)
    plans_BST = transport_plan(costs_BST.detach(), sources_BS, targets_BT, epsilon=epsilon, iterations=iterations)
    return (plans_BST * costs_BST).sum(dim=(1, 2))


def _log_mass(counted_BN: Tensor) -> Tensor:
    mass_BN = counted_BN.float() / counted_BN.sum(dim=1, keepdim=True)
    return mass_BN.log()  # -inf for tokens that do not count
