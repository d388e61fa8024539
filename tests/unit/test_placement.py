"""Whether trials can be placed: on what is there, on what may come, and what is said when never."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridbatch.cluster.inventory import parse_autoscaler
from hybridbatch.cluster.placement import Autoscaler, Cluster, NodeType, place
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.resources import Resources

HEAD = {"CPU": 4.0, "memory": 1e9}
GPU_NODE = {"CPU": 8.0, "GPU": 1.0}


def gpu_trial(workers: int = 1, **more: Any) -> Resources:
    return Resources(workers=workers, cpus_per_worker=2, gpus_per_worker=1, **more)


def autoscaler(most: int = 4, **kinds: tuple[dict[str, float], int]) -> Autoscaler:
    return Autoscaler(tuple(NodeType(name, has, limit) for name, (has, limit) in kinds.items()), most)


def test_what_fits_now_and_later() -> None:
    fixed = Cluster(HEAD, (GPU_NODE, GPU_NODE))
    assert (place(gpu_trial(), fixed).now, place(gpu_trial(), fixed).later) == (2, 2)
    assert place(gpu_trial(2), fixed).now == 1
    assert place(gpu_trial(max_concurrent=1), fixed).later == 1
    grows = Cluster(HEAD, (), autoscaler(gpu=(GPU_NODE, 3)))
    assert (place(gpu_trial(), grows).now, place(gpu_trial(), grows).later) == (0, 3)
    assert place(gpu_trial(2), grows).later == 1
    assert place(gpu_trial(max_concurrent=2), grows).later == 2
    both = Cluster(HEAD, (GPU_NODE,), autoscaler(most=2, gpu=(GPU_NODE, 8)))
    assert (place(gpu_trial(), both).now, place(gpu_trial(), both).later) == (1, 2)


def test_an_autoscaler_of_unknown_nodes_is_waited_for() -> None:
    unknown = Cluster(HEAD, (), Autoscaler(types=None, most=0))
    assert (place(gpu_trial(), unknown).now, place(gpu_trial(), unknown).later) == (0, 1)
    assert place(gpu_trial(max_concurrent=5), unknown).later == 5


@pytest.mark.parametrize(
    ("resources", "cluster", "allowed", "remedy"),
    [
        (
            gpu_trial(),
            Cluster(HEAD, (HEAD,)),
            "8 CPUs and 0 GPUs on 2 nodes; the largest node: 4 CPUs and 0 GPUs",
            "set resources.gpus_per_worker to 0",
        ),
        (
            gpu_trial(4),
            Cluster(HEAD, (), autoscaler(most=3, gpu=(GPU_NODE, 8))),
            "what its autoscaler may add: 3 gpu (8 CPUs and 1 GPUs); the largest node: 8 CPUs and 1 GPUs",
            "lower resources.workers to 3 or less",
        ),
        (
            Resources(cpus_per_worker=16),
            Cluster(HEAD, (GPU_NODE,), autoscaler(cpu=({"CPU": 8.0}, 8))),
            "4 cpu (8 CPUs and 0 GPUs)",
            "no node holds one worker",
        ),
    ],
)
def test_what_never_fits_is_refused_with_the_reason(
    resources: Resources, cluster: Cluster, allowed: str, remedy: str
) -> None:
    with pytest.raises(UserError, match="no trial can ever be placed") as refused:
        place(resources, cluster)
    assert refused.value.path == "resources"
    assert allowed in str(refused.value.allowed)
    assert remedy in str(refused.value.remedy)


NODES = st.builds(lambda cpus, gpus: {"CPU": float(cpus), "GPU": float(gpus)}, st.integers(0, 6), st.integers(0, 2))
KINDS = st.lists(st.tuples(NODES, st.integers(0, 3)), max_size=3)


@given(head=NODES, kinds=KINDS, most=st.integers(0, 4), cpus=st.integers(1, 4), gpus=st.integers(0, 1))
def test_the_autoscaler_is_taken_to_add_what_holds_most(
    head: dict[str, float], kinds: list[tuple[dict[str, float], int]], most: int, cpus: int, gpus: int
) -> None:
    """Against every choice of nodes that the autoscaler could make."""
    resources = Resources(cpus_per_worker=cpus, gpus_per_worker=gpus)
    limited = [(node, min(limit, most)) for node, limit in kinds]
    cluster = Cluster(head, (), Autoscaler(tuple(NodeType(str(i), *one) for i, one in enumerate(limited)), most))

    def holds(node: dict[str, float]) -> int:
        return int(min(node["CPU"] // cpus, node["GPU"] // gpus if gpus else 99))

    best = max(
        holds(head) + sum(count * holds(node) for count, (node, _) in zip(counts, limited, strict=True))
        for counts in itertools.product(*(range(limit + 1) for _, limit in limited))
        if sum(counts) <= most
    )
    if best == 0:
        with pytest.raises(UserError, match="no trial can ever be placed"):
            place(resources, cluster)
    else:
        assert place(resources, cluster).later == best


def test_the_file_of_an_autoscaler_is_understood() -> None:
    content: dict[str, Any] = {
        "max_workers": 4,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 4, "steady": 8}},
            "gpu": {"resources": GPU_NODE, "max_workers": 9},
            "cpu": {"resources": {"CPU": 2}, "max_workers": 1},
        },
    }
    assert parse_autoscaler(content) == Autoscaler((NodeType("gpu", GPU_NODE, 4), NodeType("cpu", {"CPU": 2}, 1)), 4)
    assert parse_autoscaler(None) is None


def test_nodes_of_which_nothing_is_written_down_are_not_known() -> None:
    blank = {"gpu": {"resources": GPU_NODE}, "blank": {"node_config": {}}}
    assert parse_autoscaler({"available_node_types": blank, "max_workers": 4}) == Autoscaler(None, 4)
    own = {"available_node_types": {"own": {"resources": {}}}, "head_node_type": "own"}
    assert parse_autoscaler({**own, "max_workers": 3}) == Autoscaler(None, 3)
    assert parse_autoscaler({**own, "max_workers": 0}) == Autoscaler((), 0)
    outside = parse_autoscaler("outside")
    assert outside is not None
    assert outside.types is None
