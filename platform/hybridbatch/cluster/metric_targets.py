"""Where Prometheus finds the nodes of the cluster that a driver works on.

The head of a Ray cluster writes such a file too, but not the Ray that a driver starts for itself, which has no
dashboard and other ports each time.
"""

from __future__ import annotations

import json
from pathlib import Path

import ray

from hybridbatch.foundation import atomic


def write_targets(file: Path) -> None:
    """Write the addresses at which the nodes of the connected cluster serve their figures.

    The form is that of Prometheus' file-based service discovery, and of Ray's own file.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["MetricsExportPort"]]
    targets = sorted(_address(node["NodeManagerAddress"], node["MetricsExportPort"]) for node in nodes)
    content = json.dumps([{"labels": {"job": "ray"}, "targets": targets}]) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != content:
        atomic.write_text(file, content, durable=False)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
