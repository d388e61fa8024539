"""``hybridbatch ui`` as a process: two pages while it runs, nothing left when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
from tests.command_line import CommandLine

from hybridbatch.spec.folders import HomeFolder

COMMAND = "import sys; from hybridbatch import cli; sys.argv[0] = 'hybridbatch'; cli.main()"


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def experiments(port: int) -> list[str]:
    """Ask MLflow's server for the names of its experiments."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": 10}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return [one["name"] for one in json.load(answer)["experiments"]]


def studies(port: int) -> list[str]:
    """Ask optuna-dashboard for the names of its studies."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
        return [one["study_name"] for one in json.load(answer)["study_summaries"]]


def test_both_pages_show_the_study_and_end_with_the_command(finished: HomeFolder, tmp_path: Path) -> None:
    home = shutil.copytree(finished.path, tmp_path / "home")
    mlflow, optuna = free_ports(2)
    options = ["ui", "--home", str(home), "--mlflow-port", str(mlflow), "--optuna-port", str(optuna)]
    with subprocess.Popen([sys.executable, "-c", COMMAND, *options], stdout=subprocess.PIPE, text=True) as command:
        try:
            assert command.stdout is not None
            said = [command.stdout.readline() for _ in range(3)]
            assert said == [
                f"MLflow            http://127.0.0.1:{mlflow}\n",
                f"optuna-dashboard  http://127.0.0.1:{optuna}\n",
                "Ctrl-C ends both\n",
            ]
            assert "small" in experiments(mlflow)
            assert studies(optuna) == ["small"]
            servers = psutil.Process(command.pid).children(recursive=True)
            assert len(servers) >= 2
            os.kill(command.pid, signal.SIGINT)
            assert command.wait(30) == 0
            assert [one for one in servers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
        finally:
            command.kill()


def test_a_port_that_is_taken_is_named(command_line: CommandLine, finished: HomeFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command_line("ui", "--home", finished.path, "--mlflow-port", port)
    done.is_message(None, "the port of MLflow is taken", str(port), "--mlflow-port")


def test_without_a_study_there_is_nothing_to_show(command_line: CommandLine, tmp_path: Path) -> None:
    command_line("ui", "--home", tmp_path).is_message(str(tmp_path), "there is no study", "hybridbatch run FILE")
