"""Studies as jobs of a cluster: a real head with its dashboard and a token, and clients that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.ray_head import ON_LOOPBACK, TOKEN, Head, free_ports, ray_head
from tests.small_study import experiment, write_file
from tests.study_fixtures import Watcher, content, figures

from hybridbatch.cluster.jobs import Address, ClusterJobs
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.local import run_local
from hybridbatch.search.session import StudySession
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.training.progress import read_progress

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(1200),  # a driver of its own for every job, each with torch, ray and mlflow to import
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
LONG = {"training.steps": 2000, "training.evaluate_every": 100, "search.trials": 2}
PATIENCE = 600.0  # seconds


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head() as running:
        yield running


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")  # the address that is named counts, not this one


@pytest.fixture
def command_line(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    return command_line


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.2)


def in_training(home: HomeFolder, study: str) -> bool:
    now = [read_progress(one.progress) for one in home.study(study).trials()]
    return any(one is not None and one.phase == "training" and one.step > 0 for one in now)


def test_a_submitted_study_is_the_study_it_is_here_and_submitting_again_goes_on(
    head: Head, home: HomeFolder, small_data: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    changes = {"search.trials": 2}
    file = write_file(tmp_path, changes)
    to = ("--address", head.url, "--home", home.path, "--data", small_data)
    first = command_line("submit", file, *to)
    assert first.code == 0, first
    job = next(line.split()[-1] for line in first.out.splitlines() if line.startswith("submitted: "))
    assert job.startswith("hybridbatch-small-")
    assert job.endswith("-1")
    assert f"{job}: succeeded" in first.out
    assert "trials: " in first.out, "the job's own words are shown"
    assert str(home.path) in first.out
    elsewhere = HomeFolder(tmp_path / "elsewhere")
    here = StudySession(experiment(changes), elsewhere, small_data, None, Watcher())
    run_local(here)
    here.close()
    assert figures(home.study("small")) == figures(here.folder)

    before = content(home.study("small").path, "trials/*/result.json")
    again = command_line("submit", file, *to)
    assert again.code == 0, again
    assert f"{job.removesuffix('1')}2: succeeded" in again.out
    assert content(home.study("small").path, "trials/*/result.json") == before, "no trial ran twice"

    jobs = command_line("status", "small", "--address", head.url, "--json").json
    assert [(one["job"], one["state"], one["exit_code"]) for one in jobs if one["home"] == str(home.path)] == [
        (f"{job.removesuffix('1')}2", "succeeded", 0),
        (job, "succeeded", 0),
    ]
    shown = command_line("status", "--address", head.url)
    assert (shown.code, job in shown.out) == (0, True)
    later = command_line("follow", job, "--address", head.url)
    assert later.code == 0
    assert "trials: " in later.out
    over = command_line("stop", job, "--address", head.url)
    assert (over.code, "is over already: succeeded" in over.out) == (0, True)


def leaves_by_ctrl_c(arguments: list[str]) -> None:
    """Check that a client which is told to stop following says that the job goes on."""
    with client_of(arguments, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline(), "it shows what the job has printed"
        client.send_signal(signal.SIGINT)
        said = client.stdout.read()
        assert client.wait(60) == 130, said
    assert "goes on without you. Follow it: hybridbatch follow hybridbatch-long-" in said


def client_of(arguments: list[str], **options: Any) -> subprocess.Popen[Any]:
    code = "from hybridbatch.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], **options)


def test_a_killed_client_a_second_submission_and_a_stop(
    head: Head,
    home: HomeFolder,
    small_data: Path,
    tmp_path: Path,
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write_file(tmp_path, LONG, name="long")
    arguments = ["submit", str(file), "--address", head.url, "--home", str(home.path), "--data", str(small_data)]
    client = client_of(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: client.poll() is not None or in_training(home, "long"))
        assert client.poll() is None, "the client follows what runs"
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    twice = command_line(*arguments)
    words = ("hybridbatch-long-", "hybridbatch stop")
    twice.is_message(f"{head.url} -> long", "has a job on this cluster that is not over", *words)
    with monkeypatch.context() as faster:  # somebody else submits between a client's look and its own submission
        faster.setattr(ClusterJobs, "all", lambda jobs: [])
        with pytest.raises(UserError, match="has a job on this cluster that is not over"):
            ClusterJobs(Address.parse(head.url)).submit("long", str(home.path), "true", tmp_path)
    leaves_by_ctrl_c(["follow", "long", "--address", head.url])
    wait_until(lambda: any(True for _ in home.study("long").results()))  # the study goes on

    stopped = command_line("stop", "long", "--address", head.url)
    assert (stopped.code, ": stopped" in stopped.out) == (0, True), stopped
    state = command_line("status", "long", "--home", home.path, "--json").json
    assert state["trials"]["running"] == 0, "trials were given back"
    assert state["trials"]["waiting"] + state["trials"]["complete"] == 3
    followed = command_line("follow", "long", "--address", head.url)
    assert (followed.code, "nothing is lost" in followed.out) == (130, True), followed

    detached = command_line(*arguments, "--detach")
    assert (detached.code, "follow it with: hybridbatch follow hybridbatch-long-" in detached.out) == (0, True)
    ended = command_line("follow", "long", "--address", head.url)
    assert (ended.code, "-2: succeeded" in ended.out) == (0, True), ended
    state = command_line("status", "long", "--home", home.path, "--json").json
    assert state["trials"]["complete"] == 3


def test_a_driver_on_this_machine_shows_the_token_too(
    head: Head, home: HomeFolder, small_data: Path, tmp_path: Path
) -> None:
    file = write_file(tmp_path, {"search.trials": 0}, name="direct")
    arguments = ["run", str(file), "--address", head.address, "--home", str(home.path), "--data", str(small_data)]
    code = "from hybridbatch.cli import main; main()"  # in a process of its own: Ray reads its settings once
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **ON_LOOPBACK},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.state for one in home.study("direct").results()] == ["complete"]


def test_a_driver_talks_to_no_cluster_elsewhere_without_a_token(
    home: HomeFolder, tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write_file(tmp_path)
    refused = command_line("run", file, "--home", home.path, "--address", "198.51.100.1:6379")
    refused.is_message("--address", "there is no token for this cluster", "198.51.100.1", "--no-token")


def test_a_mistake_on_the_cluster_ends_the_client_with_its_exit_code(
    head: Head, home: HomeFolder, tmp_path: Path, command_line: CommandLine
) -> None:
    file = write_file(tmp_path, name="lost")
    nowhere = ("--home", home.path, "--data", tmp_path / "nowhere")
    refused = command_line("submit", file, "--address", head.url, *nowhere)
    assert refused.code == 2, refused
    assert "small.csv" in refused.out, "the job's message is shown"


def test_a_wrong_or_missing_token_is_refused_with_words(
    head: Head, home: HomeFolder, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another-token-0123456789abcdef-012345")
    wrong = command_line("status", "--address", head.url)
    wrong.is_message(head.url, "the cluster refuses this token", "RAY_AUTH_TOKEN")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    missing = command_line("status", "--address", head.url)
    missing.is_message(head.url, "the cluster asks for a token", "auth_token")


def test_what_is_no_cluster_is_refused_with_words(command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path)
    (port,) = free_ports(1)
    nobody = command_line("submit", file, "--address", f"http://127.0.0.1:{port}")
    nobody.is_message(f"http://127.0.0.1:{port}", "no Ray cluster answers here", "ray start --head")

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>not Ray</html>")

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        other = command_line("submit", file, "--address", url)
        server.shutdown()
    other.is_message(url, "what answers here is not Ray's Jobs API", "6379")


@pytest.mark.parametrize("address", ["ray://cluster:10001", "http://", "http://host:port", "http://host:8265/jobs/x"])
def test_what_is_no_address_is_refused(address: str, command_line: CommandLine) -> None:
    command_line("status", "--address", address).is_message("--address", "not the address of a cluster", "8265")


def test_a_cluster_elsewhere_needs_a_token_paths_of_its_own_and_stores_that_it_reaches(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write_file(tmp_path)
    to = ("--address", "http://198.51.100.1:8265")  # an address of nobody's: it must not come to asking it
    command_line("submit", file, *to).is_message("--home", "the home folder has to be named", "all its nodes share")
    command_line("submit", file, *to, "--home", "here").is_message("--home", "must be absolute", "'here'")
    command_line("submit", file, *to, "--home", "/shared").is_message("--address", "there is no token", "--no-token")
    stored = write_file(tmp_path, {"stores.tracking": "http://me:s3cret@127.0.0.1:5000"}, name="stored")
    refused = command_line("submit", stored, *to, "--home", "/shared")
    refused.is_message(f"{stored} -> stores.tracking", "the cluster cannot reach it", "me:***@127.0.0.1")


def test_a_broken_file_is_refused_before_anybody_is_asked(command_line: CommandLine, tmp_path: Path) -> None:
    file = write_file(tmp_path, {"training.stepps": 3})
    refused = command_line("submit", file, "--address", "http://127.0.0.1:1")
    refused.is_message(f"{file} -> training.stepps", "unknown key")
