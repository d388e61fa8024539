"""What the connected cluster has, what its autoscaler may add, and waiting for it."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hybridbatch.cluster.placement import Autoscaler, Cluster, NodeType, in_words, needs_of_worker
from hybridbatch.spec.resources import Resources

STEADY = "steady"
"""Custom resource of nodes that are not taken away without need: drivers and owners of groups run there."""

_HEAD = "node:__internal_head__"
_LOOK_SECONDS = 120  # for the head to be looked at
_SAY_SECONDS = 5.0  # between two looks at what is waited for
_OUTSIDE = "outside"


def look_at_cluster() -> Cluster:
    """Return what the connected cluster has and may get."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    head = next((node for node in nodes if _HEAD in node["Resources"]), nodes[0])
    others = tuple(node["Resources"] for node in nodes if node is not head)
    autoscaler = _autoscaler(head["NodeID"])
    if autoscaler is not None and autoscaler.types is None and len(others) >= autoscaler.most:
        autoscaler = None  # all that may come are there
    return Cluster(head["Resources"], others, autoscaler)


def has_steady_nodes() -> bool:
    """Return whether the connected cluster has nodes that say they are steady."""
    return any(node["Alive"] and node["Resources"].get(STEADY) for node in ray.nodes())


def _autoscaler(head: str) -> Autoscaler | None:
    gcs = ray.get_runtime_context().gcs_address
    if not ray.util.client.ray.is_connected() and ray.get_runtime_context().get_node_id() == head:
        found = read_autoscaler(gcs)
    else:
        there = NodeAffinitySchedulingStrategy(head, soft=False)
        look = ray.remote(num_cpus=0)(read_autoscaler).options(scheduling_strategy=there)
        found = ray.get(look.remote(gcs), timeout=_LOOK_SECONDS)
    return parse_autoscaler(found)


def read_autoscaler(gcs: str) -> dict[str, Any] | str | None:
    """Return the configuration of the autoscaler of the cluster at ``gcs``; to be called on its head.

    The head's monitor says on its command line which file it follows; without one it only watches. A head without a
    monitor has its autoscaler elsewhere, as in Kubernetes.
    """
    port = f":{gcs.rpartition(':')[2]}"
    for process in psutil.process_iter(["cmdline"]):
        words: list[str] = process.info["cmdline"] or []
        if not any(word.endswith("/monitor.py") for word in words):
            continue
        said = dict(word.lstrip("-").partition("=")[::2] for word in words if word.startswith("--"))
        if not said.get("gcs-address", "").endswith(port):
            continue
        if "autoscaling-config" not in said:
            return None
        content = yaml.safe_load(Path(said["autoscaling-config"]).expanduser().read_text(encoding="utf-8"))
        keys = ("available_node_types", "head_node_type", "max_workers")
        return {key: content[key] for key in keys if key in content}
    return _OUTSIDE if os.environ.get("RAY_USAGE_STATS_KUBERAY_IN_USE") == "1" else None


def parse_autoscaler(found: Mapping[str, Any] | str | None) -> Autoscaler | None:
    """Return what an autoscaler with this configuration may do; None for none.

    Kinds of nodes whose resources are not written down are not known, such as machines of one's own.
    """
    if found is None:
        return None
    if isinstance(found, str):
        return Autoscaler(types=None, most=sys.maxsize)
    most = found.get("max_workers", 2)  # Ray's own default
    kinds = {name: kind for name, kind in found["available_node_types"].items() if name != found.get("head_node_type")}
    if most and not all(kind.get("resources") for kind in (kinds or {"own machines": {}}).values()):
        return Autoscaler(types=None, most=most)
    types = [
        NodeType(name, kind["resources"], min(most, kind.get("max_workers", most))) for name, kind in kinds.items()
    ]
    return Autoscaler(tuple(types), most)


def wait_for_nodes(resources: Resources, tell: Callable[[str], None]) -> None:
    """Wait until the nodes of one trial are there, which an autoscaler is about to add; tell what it does meanwhile."""
    needs = needs_of_worker(resources)
    group = placement_group([needs] * resources.fewest_workers)
    try:
        said = None
        while not group.wait(_SAY_SECONDS):
            words = f"waiting for nodes: {resources.fewest_workers} workers of {in_words(needs)}; {_what_is_pending()}"
            if words != said:
                tell(words)
                said = words
        tell("the nodes of the first trial are there")
    finally:
        remove_placement_group(group)


def _what_is_pending() -> str:
    """Return what the autoscaler is about to add, as far as it tells."""
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.experimental.internal_kv import _internal_kv_get

    text = _internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(text).get("autoscaler_report") if text else None
    if not report:
        return "`ray status` on the head says what its autoscaler does"
    pending = Counter(kind for _, kind, _ in report["pending_nodes"])
    pending.update(report["pending_launches"])
    failed = Counter(kind for _, kind in report["failed_nodes"])
    words = [f"starting {_listed(pending)}" if pending else "the autoscaler has started none yet"]
    words += [f"failed lately: {_listed(failed)}"] if failed else []
    return ", ".join(words)


def _listed(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
