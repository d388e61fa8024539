"""How many trials fit on a cluster at a time."""

from __future__ import annotations

import math

import ray

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.resources import Resources


def concurrent_trials(resources: Resources) -> int:
    """Return how many trials the connected cluster can run at a time.

    Raises:
        UserError: If not a single one fits.
    """
    there = ray.cluster_resources()
    needs = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    workers = sum(_fitting(node, needs) for node in nodes)
    fit = workers // resources.most_workers or int(workers >= resources.fewest_workers)
    if fit == 0:
        raise UserError(
            "no trial can ever be placed on this cluster",
            path="resources",
            seen=f"{resources.fewest_workers} workers of {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs",
            allowed=f"what the cluster has: {there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs "
            f"on {len(nodes)} nodes",
            remedy="ask for less, or add nodes",
        )
    return min(fit, resources.max_concurrent or fit)


def _fitting(node: dict[str, float], needs: dict[str, float]) -> int:
    return min(math.floor(node.get(name, 0) / amount + 1e-9) for name, amount in needs.items() if amount)
