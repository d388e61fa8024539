"""Whether a trial can be placed on a cluster: on the nodes that are there, or on those that its autoscaler may add.

What can never be placed would wait for ever, so it is refused before anything starts. Nothing here talks to Ray.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.resources import Resources

Amounts = Mapping[str, float]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class NodeType:
    """A kind of node that an autoscaler may start.

    Attributes:
        name: Its name in the autoscaler's configuration.
        resources: What such a node has.
        most: How many there may be at a time.
    """

    name: str
    resources: Amounts
    most: int


@dataclass(frozen=True)
class Autoscaler:
    """What an autoscaler may do.

    Attributes:
        types: Kinds of nodes beside the head; None where what they have is not known.
        most: Nodes beside the head at a time.
    """

    types: tuple[NodeType, ...] | None
    most: int


@dataclass(frozen=True)
class Cluster:
    """What a cluster has and may get.

    Attributes:
        head: Resources of the node with the head, where it is known which that is.
        others: Resources of every other node that is there.
        autoscaler: What may be added; None for a cluster of a fixed size.
    """

    head: Amounts
    others: tuple[Amounts, ...]
    autoscaler: Autoscaler | None = None

    @property
    def nodes(self) -> tuple[Amounts, ...]:
        """The nodes that are there."""
        return (self.head, *self.others)


@dataclass(frozen=True)
class Placement:
    """How many trials fit at a time.

    Attributes:
        now: On the nodes that are there.
        later: When the autoscaler has added what it may; at least :attr:`now`.
    """

    now: int
    later: int


def place(resources: Resources, cluster: Cluster) -> Placement:
    """Return how many trials fit on a cluster at a time.

    Where it is not known which nodes may be added, as many as are wanted are taken to fit: ``max_concurrent``, else one
    more than now.

    Raises:
        UserError: If not a single one ever fits.
    """
    needs = needs_of_worker(resources)
    now = _trials(resources, _workers(needs, cluster.nodes))
    later = max(now, _trials(resources, _most_workers(needs, cluster)))
    if cluster.autoscaler is not None and cluster.autoscaler.types is None:
        later = max(later, resources.max_concurrent or now + 1)
    if later == 0:
        raise _never(resources, needs, cluster)
    limit = resources.max_concurrent or later
    return Placement(min(now, limit), min(later, limit))


def _trials(resources: Resources, workers: int) -> int:
    """Return for how many trials so many workers are enough: an elastic one starts with fewer, rather than none."""
    return workers // resources.most_workers or int(workers >= resources.fewest_workers)


def needs_of_worker(resources: Resources) -> dict[str, float]:
    """Return what Ray reserves for one worker of a trial."""
    needs = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    return {name: amount for name, amount in needs.items() if amount}


def fitting(node: Amounts, needs: Amounts) -> int:
    """Return how many workers fit on a node."""
    return min(math.floor(node.get(name, 0) / amount + _ROUNDING) for name, amount in needs.items())


def _workers(needs: Amounts, nodes: Iterable[Amounts]) -> int:
    return sum(fitting(node, needs) for node in nodes)


def _most_workers(needs: Amounts, cluster: Cluster) -> int:
    """Return how many workers fit when the autoscaler has added the nodes that hold most of them."""
    if cluster.autoscaler is None or cluster.autoscaler.types is None:
        return _workers(needs, cluster.nodes)
    count, room = fitting(cluster.head, needs), cluster.autoscaler.most
    for kind in sorted(cluster.autoscaler.types, key=lambda kind: fitting(kind.resources, needs), reverse=True):
        started = min(room, kind.most)
        count, room = count + started * fitting(kind.resources, needs), room - started
    return count


def _never(resources: Resources, needs: Amounts, cluster: Cluster) -> UserError:
    possible = [*cluster.nodes, *(kind.resources for kind in _kinds(cluster))]
    most = _most_workers(needs, cluster)
    if most:
        remedy = f"lower resources.workers to {most} or less (the global batch does not depend on it), or add nodes"
    elif "GPU" in needs and not any(node.get("GPU") for node in possible):
        remedy = "set resources.gpus_per_worker to 0, or add nodes with GPUs"
    else:
        remedy = "no node holds one worker: lower resources.cpus_per_worker or gpus_per_worker, or add larger nodes"
    return UserError(
        "no trial can ever be placed on this cluster",
        path="resources",
        seen=f"{resources.fewest_workers} workers of {in_words(needs)}",
        allowed=_what_there_is(cluster, possible),
        remedy=remedy,
    )


def _what_there_is(cluster: Cluster, possible: Sequence[Amounts]) -> str:
    total = {name: sum(node.get(name, 0) for node in cluster.nodes) for name in ("CPU", "GPU")}
    largest = max(possible, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)))
    words = f"what the cluster has: {in_words(total)} on {len(cluster.nodes)} nodes"
    if cluster.autoscaler is not None:
        kinds = [
            f"{min(kind.most, cluster.autoscaler.most)} {kind.name} ({in_words(kind.resources)})"
            for kind in _kinds(cluster)
        ]
        words += f"; what its autoscaler may add: {', '.join(kinds) or 'nothing'}"
    return f"{words}; the largest node: {in_words(largest)}"


def _kinds(cluster: Cluster) -> tuple[NodeType, ...]:
    return () if cluster.autoscaler is None else tuple(kind for kind in cluster.autoscaler.types or () if kind.most)


def in_words(amounts: Amounts) -> str:
    """Return CPUs and GPUs as a reader counts them."""
    return f"{amounts.get('CPU', 0):g} CPUs and {amounts.get('GPU', 0):g} GPUs"
