"""Searching a corpus from the terminal: here or on Ray, with a progress bar for each stage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import TaskID

from hybridbatch.evaluation.corpus_evaluation import CorpusResult, SearchSettings, search_corpus
from hybridbatch.evaluation.parts_of_work import LocalRunner, Runner
from hybridbatch.evaluation.run_file import check_run_path, write_run
from hybridbatch.evaluation.score_files import write_scores
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.evaluation_run import check_device
from hybridbatch.terminal.named_model import model_folder
from hybridbatch.terminal.progress_bars import progress_bars


def run_search(
    model: str,
    source: SourceSettings,
    location: DataLocation,
    home: HomeFolder,
    settings: SearchSettings,
    *,
    workers: int | None,
    local: bool,
    address: str | None,
    no_token: bool = False,
    output: Path | None,
    scores: Path | None,
    verbose: bool,
) -> CorpusResult:
    """Search with a model; write lists and scores when asked to.

    Args:
        model: Folder, hub name, ``STUDY/NUMBER`` or ``STUDY/best``.
        source: The data set.
        location: Where data lies and copies are kept.
        home: The home folder.
        settings: How to search.
        workers: Worker processes; None takes what fits.
        local: In this process, one shard after the other, without Ray.
        address: Address of a Ray cluster.
        no_token: Show no token to the cluster.
        output: File for the lists, ``.parquet`` or ``.trec``.
        scores: File for the score of every question.
        verbose: Leave the chatter of libraries on the terminal.
    """
    if output is not None:
        check_run_path(output)
    if local:
        check_device(settings.device)
    folder = model_folder(model, home)
    with quiet_terminal(home.logs / "search.log", verbose, on_stderr=True) as console:
        gpus = int(settings.device.startswith("cuda"))
        with _runner(home, local, address, no_token, workers, gpus) as runner, Stages(console) as stages:
            result = search_corpus(folder, source, location, settings, runner, stages.told)
    if output is not None:
        write_run(result.task, result.best, output)
    if scores is not None:
        write_scores(result.scores, scores)
    return result


@contextmanager
def _runner(
    home: HomeFolder, local: bool, address: str | None, no_token: bool, workers: int | None, gpus: int
) -> Iterator[Runner]:
    if local:
        yield LocalRunner(os.cpu_count() or 1)
        return
    from hybridbatch.cluster.driver import connected
    from hybridbatch.cluster.sharded_search import RayRunner

    with connected(home.logs, address, no_token=no_token):
        yield RayRunner.fitting(workers, gpus)


class Stages:
    """A progress bar for each stage, over all its shards."""

    def __init__(self, console: Console) -> None:
        self._bars = progress_bars(console)
        self._shards: dict[str, dict[int, tuple[int, int]]] = {}
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Stages:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def told(self, stage: str, shard: int, done: int, total: int) -> None:
        """Show what is done of a shard; a shard that is done again begins anew."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=None)
        shards = self._shards.setdefault(stage, {})
        shards[shard] = (done, total)
        completed, in_all = (sum(one[place] for one in shards.values()) for place in (0, 1))
        self._bars.update(self._tasks[stage], completed=completed, total=in_all)
