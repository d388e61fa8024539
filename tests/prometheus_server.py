"""A real Prometheus with the configuration of this repository, for the tests that need one."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.dashboards import ROOT


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of Prometheus' own checker, which comes with the server."""
    path = shutil.which("promtool")
    if path is None or shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed")
    return path


@dataclass(frozen=True)
class PrometheusServer:
    """A running Prometheus."""

    url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the series that a query gives now; an error of Prometheus is one of the test."""
        asked = urllib.parse.urlencode({"query": promql})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=30) as answer:
            content = json.load(answer)
        assert content["status"] == "success", content
        return content["data"]["result"]

    def values(self, promql: str) -> dict[str, float]:
        """Return the values of a query by the one label that it keeps."""
        found = {}
        for one in self.query(promql):
            (label,) = one["metric"].values()
            found[label] = float(one["value"][1])
        return found

    def targets(self) -> dict[str, str]:
        """Return the health of every address that is scraped."""
        with urllib.request.urlopen(f"{self.url}/api/v1/targets", timeout=30) as answer:
            active = json.load(answer)["data"]["activeTargets"]
        return {one["labels"]["instance"]: one["health"] for one in active}


@contextmanager
def prometheus(folder: Path, nodes: Path) -> Iterator[PrometheusServer]:
    """Run Prometheus with the repository's configuration, which scrapes each second what ``nodes`` lists."""
    configuration = yaml.safe_load((ROOT / "prometheus.yml").read_text(encoding="utf-8"))
    configuration["global"]["scrape_interval"] = "1s"
    for job in configuration["scrape_configs"]:
        for discovery in job["file_sd_configs"]:
            # Not the one of Ray's in /tmp, which may be of anybody's cluster on this machine.
            discovery.update(files=[str(nodes)], refresh_interval="1s")
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data"}
    options |= {"web.listen-address": f"127.0.0.1:{port}", "log.level": "warn"}
    command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
    log = folder / "log"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        wait_for(f"http://127.0.0.1:{port}/-/ready", server, log)
        yield PrometheusServer(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    for _ in range(600):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text(encoding="utf-8"))
