"""A corpus searched on Ray: the same lists and ranks whatever befalls a worker; what no retry mends is said at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.command_line import CommandLine
from tests.made_corpus import MadeCorpus, random_corpus, same
from tests.unfortunate_shard import UnfortunateShard

from hybridbatch.cluster.sharded_search import RayRunner
from hybridbatch.evaluation.corpus_ranks import ranks_from
from hybridbatch.evaluation.corpus_search import BestPassages
from hybridbatch.evaluation.embedding_files import EmbeddingFile, split
from hybridbatch.evaluation.parts_of_work import LocalRunner
from hybridbatch.evaluation.shard_search import SearchRequest, SearchShard, ShardAnswer
from hybridbatch.foundation.errors import StoreError, UserError
from hybridbatch.spec.folders import HomeFolder

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),  # of Ray
]
TILE_BYTES = 1 << 20


@pytest.fixture(scope="module")
def corpus() -> MadeCorpus:
    """Twenty thousand passages, a thousand of them copies."""
    return random_corpus(11, (100, 20_000, 64), None, copies=1000)


@pytest.fixture(scope="module")
def files(corpus: MadeCorpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddingFile, ...]:
    return corpus.write(tmp_path_factory.mktemp("corpus"), (7000, 9000))


def parts_of(files: tuple[EmbeddingFile, ...]) -> list[SearchShard]:
    return [SearchShard(shard, 1, TILE_BYTES) for shard in split(files, 4)]


def outcome(answers: list[ShardAnswer]) -> tuple[BestPassages, Any, list[int]]:
    standing = [answer.standing for answer in answers if answer.standing is not None]
    best = BestPassages.merged([answer.best for answer in answers])
    return best, ranks_from(standing), [answer.cost.attempts for answer in answers]


def test_a_worker_that_is_killed_or_hangs_changes_nothing_but_the_time(
    corpus: MadeCorpus, files: tuple[EmbeddingFile, ...], cluster: Path, tmp_path: Path
) -> None:
    request, parts = SearchRequest(corpus.questions_QD, 50, corpus.relevant(files)), parts_of(files)
    here = outcome(LocalRunner(1).run(parts, request, lambda *state: None))
    work: list[Any] = list(parts)
    for place, misfortune in ((1, "killed"), (2, "hung")):
        (tmp_path / misfortune).mkdir()
        work[place] = UnfortunateShard(parts[place], misfortune, tmp_path / misfortune)
    told: list[tuple[int, int, int]] = []
    on_ray = outcome(RayRunner(2, 1, hung_seconds=20).run(work, request, lambda *state: told.append(state)))
    assert on_ray[2] == [1, 2, 2, 1], "a shard is searched again when its worker died, and no other one is"
    assert same(on_ray[0], here[0])
    assert same(on_ray[1], here[1])
    assert {number for number, _, _ in told} <= {0, 1, 2, 3}
    (hung,) = (tmp_path / "hung").iterdir()
    assert ended(int(hung.name)), "a worker that was given up goes on holding its memory"


def ended(process: int) -> bool:
    """Return whether a process is over within seconds."""
    for _ in range(100):
        if not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_a_shard_that_kills_every_worker_is_given_up(
    corpus: MadeCorpus, files: tuple[EmbeddingFile, ...], cluster: Path, tmp_path: Path
) -> None:
    (part,) = [SearchShard(shard, 1) for shard in split(files, 1)]
    work = [UnfortunateShard(part, "killed", tmp_path, times=99)]
    with pytest.raises(StoreError, match="cost one worker after the other") as refused:
        RayRunner(1, 1).run(work, SearchRequest(corpus.questions_QD, 5), lambda *state: None)
    assert refused.value.path == "shard 0"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_shard_whose_memory_runs_out_is_said_at_once(
    corpus: MadeCorpus, files: tuple[EmbeddingFile, ...], cluster: Path, tmp_path: Path
) -> None:
    (part,) = [SearchShard(shard, 1) for shard in split(files, 1)]
    work = [UnfortunateShard(part, "out of memory", tmp_path)]
    with pytest.raises(StoreError, match="a part of the work failed") as refused:
        RayRunner(1, 1).run(work, SearchRequest(corpus.questions_QD, 5), lambda *state: None)
    assert (refused.value.path, refused.value.seen) == ("shard 0", "MemoryError: no room")
    (process,) = tmp_path.iterdir()
    assert any(
        "MemoryError: no room" in log.read_text() for log in (cluster / "logs").glob(f"worker-*{process.name}.err")
    )


def test_a_broken_file_is_said_at_once_and_not_tried_again(corpus: MadeCorpus, cluster: Path, tmp_path: Path) -> None:
    files = corpus.write(tmp_path, (7000,))
    files[1].path.write_bytes(files[1].path.read_bytes()[:-1])
    with pytest.raises(UserError, match="not whole") as refused:
        RayRunner(2, 1).run(parts_of(files), SearchRequest(corpus.questions_QD, 5), lambda *state: None)
    assert Path(str(refused.value.file)) == files[1].path


def test_workers_fill_the_cluster_and_no_more_than_fit_are_promised(cluster: Path) -> None:
    assert [RayRunner.fitting(workers).threads for workers in (1, 2, None)] == [2, 1, 2]
    with pytest.raises(UserError, match="so many workers do not fit") as refused:
        RayRunner.fitting(3)
    assert refused.value.allowed == "what the cluster has: 2 CPUs, 0 GPUs on 1 nodes"
    with pytest.raises(UserError, match="so many workers do not fit"):
        RayRunner.fitting(None, gpus=1)


def test_the_command_gives_on_ray_what_it_gives_here_and_what_evaluate_gives(
    command_line: CommandLine, finished: HomeFolder, cluster: Path, tmp_path: Path
) -> None:
    # Without a prefix no two passages are nearer to each other than the 1e-7 by which embeddings differ between the two
    # commands, which encode in other batches: at a near tie, measures of whole rankings would differ by a swap.
    data = ["small/0", "-d", "parallel-pairs", "--set", "path=small_report.csv", "--question-prefix", "", "--json"]
    measured = command_line("evaluate", *data, "--home", finished.path).json
    costs = {"seconds", "encoded", "encoding", "searching"}
    found = {}
    for name, options in (("here", ["--local"]), ("ray", ["--workers", 2])):
        model = str(finished.study("small").trial(0).model)
        arguments = ["search", model, *data[1:], "--home", tmp_path / name, "--shards", 3, *options]
        done = command_line(*arguments, "--output", tmp_path / f"{name}.trec")
        assert done.code == 0, done.err
        found[name] = done.json
    assert (tmp_path / "ray.trec").read_text() == (tmp_path / "here.trec").read_text()
    assert {k: v for k, v in found["ray"].items() if k not in costs} == {
        k: v for k, v in found["here"].items() if k not in costs
    }
    assert found["ray"]["encoded"] == measured["questions"] + measured["candidates"]
    assert found["here"]["answer_languages"] == measured["answer_languages"]
    for key in set(measured) - {"seconds", "answer_languages"}:
        assert found["here"][key] == pytest.approx(measured[key], abs=1e-6), key
