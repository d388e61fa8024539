"""A model measured on a corpus of any size: encode in shards, search in shards, count ranks in shards.

Shape legend: Q questions, D dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.approximate_search import ApproximateAnswer, SearchApproximately, make_index, recall
from hybridbatch.evaluation.corpus_encoding import (
    EncodedChunks,
    EncodingRequest,
    embedding_folder,
    encoding_parts,
)
from hybridbatch.evaluation.corpus_ranks import RelevantPassages, ranks_from, without_ignored
from hybridbatch.evaluation.corpus_search import BestPassages, check_search, memory_bound
from hybridbatch.evaluation.embedding_cache import model_fingerprint
from hybridbatch.evaluation.embedding_files import EmbeddingFile, EmbeddingShard, open_files, split
from hybridbatch.evaluation.parts_of_work import Runner
from hybridbatch.evaluation.score import evaluate_ranks
from hybridbatch.evaluation.shard_search import PartCost, SearchRequest, SearchShard, ShardAnswer
from hybridbatch.evaluation.task_ranks import PairsToRank, language_offsets, leading_places
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.spec.trial import DatasetResult

if TYPE_CHECKING:
    import pyarrow as pa

RECALLS = (1, 10, 100)
"""Lengths of list at which the recall of an approximate index is measured."""


@dataclass(frozen=True)
class SearchSettings:
    """How a corpus is searched.

    Attributes:
        shards: Number of parts that the corpus is encoded and searched in.
        top: Length of the lists.
        indices: Approximate indices to build beside the exact search, as
            :mod:`hybridbatch.evaluation.approximate_search` names them.
        dtype: How embeddings are stored: ``float32`` or ``float16``.
        prefixes: Put before questions and passages; None takes what the model states.
        device: Where to encode.
    """

    shards: int
    top: int
    indices: tuple[str, ...] = ()
    dtype: str = "float32"
    prefixes: tuple[str | None, str | None] = (None, None)
    device: str = "cpu"


@dataclass(frozen=True)
class IndexReport:
    """What an approximate index is worth.

    Attributes:
        index: Its name.
        recall: Share of the exactly best k passages that it finds, by k.
        build_seconds: Building, all shards together.
        search_seconds: Asking, all shards together.
        index_bytes: Size, all shards together.
        costs: What each shard took.
    """

    index: str
    recall: dict[int, float]
    build_seconds: float
    search_seconds: float
    index_bytes: int
    costs: tuple[PartCost, ...]


@dataclass(frozen=True)
class CorpusResult:
    """What a search came to.

    Attributes:
        task: The task.
        result: Its measures, over whole rankings.
        scores: The score of every question.
        best: The best passages of every question.
        encoded: Number of texts that were encoded; the embeddings of the others were there.
        encoding: What encoding each shard took.
        searching: What searching each shard took.
        memory_bound: Most bytes that searching a shard may add to a process.
        indices: The approximate indices.
    """

    task: RetrievalTask
    result: DatasetResult
    scores: pa.Table
    best: BestPassages
    encoded: int
    encoding: tuple[PartCost, ...]
    searching: tuple[PartCost, ...]
    memory_bound: int
    indices: tuple[IndexReport, ...]


Told = Callable[[str, int, int, int], None]
"""Called with the stage (``questions``, ``passages``, ``search``, the name of an index), the number of a shard, what is
done of it and what it has in all."""


def search_corpus(
    model: str, source: SourceSettings, location: DataLocation, settings: SearchSettings, runner: Runner, told: Told
) -> CorpusResult:
    """Encode, search and measure; the measures are those of :func:`hybridbatch.evaluation.score.evaluate_embeddings`.

    Args:
        model: Folder or hub name, in the layout of Hugging Face or sentence-transformers.
        source: The data set.
        location: Where data lies and copies are kept; embeddings go to its cache.
        settings: How.
        runner: Who does it.
        told: Told of progress.

    Raises:
        UserError: If model or data cannot be loaded, or an index cannot be built.
        StoreError: If workers keep dying.
    """
    start = time.perf_counter()
    task = source.task(location)
    files, encoded, encoding = _encoded(model, task, location.cache, settings, runner, told)
    questions_QD = np.concatenate(
        [np.lib.format.open_memmap(file.path, mode="r") for file in files["questions"]]
    ).astype(np.float32)
    shards = split(files["passages"], settings.shards)
    check_search(questions_QD, shards[0].dimensions, settings.top)
    for index in settings.indices:  # before the search, which takes long
        make_index(index, shards[0].dimensions)
    pairs, leading = PairsToRank.of(task), leading_places(task)
    relevant = RelevantPassages.scored(
        questions_QD,
        files["passages"],
        language_offsets=language_offsets(task),
        relevant_offsets=pairs.offsets,
        relevant_candidates=pairs.candidates,
    )
    longest = max(settings.top, leading) + (task.ignored_Q is not None)
    answers: list[ShardAnswer] = runner.run(
        [SearchShard(shard, runner.threads) for shard in shards],
        SearchRequest(questions_QD, longest, relevant),
        lambda *state: told("search", *state),
    )
    best = BestPassages.merged([answer.best for answer in answers])
    whole = best.first(settings.top)  # what an approximate index is compared with
    standing = [answer.standing for answer in answers if answer.standing is not None]
    ranks = ranks_from(standing)
    if task.ignored_Q is not None:
        ranks = without_ignored(ranks, relevant, task.ignored_Q, questions_QD, files["passages"])
        best = best.without(task.ignored_Q)
    ranks = replace(ranks, score_P=relevant.scores_P, leading_QK=best.index_QK[:, :leading])
    result, scores = evaluate_ranks(task, pairs.sorted_out(ranks), start)
    best = best.first(settings.top)
    return CorpusResult(
        task=task,
        result=result,
        scores=scores,
        best=best,
        encoded=encoded,
        encoding=encoding,
        searching=tuple(answer.cost for answer in answers),
        memory_bound=memory_bound(len(questions_QD), shards[0].dimensions, longest, len(relevant.index_P)),
        indices=tuple(
            measure_index(index, shards, questions_QD, whole, runner, lambda *state, name=index: told(name, *state))
            for index in settings.indices
        ),
    )


def measure_index(
    index: str,
    shards: tuple[EmbeddingShard, ...],
    questions_QD: NDArray[np.float32],
    exact: BestPassages,
    runner: Runner,
    watch: Callable[[int, int, int], None],
) -> IndexReport:
    """Build an approximate index over every shard, search it, and compare with the exact lists.

    Args:
        index: Its name, as :mod:`hybridbatch.evaluation.approximate_search` has it.
        shards: The corpus.
        questions_QD: Embeddings of the questions.
        exact: The exact lists.
        runner: Who does it.
        watch: Told of progress.

    Raises:
        UserError: If the index cannot be built.
    """
    top = exact.index_QK.shape[1]
    answers: list[ApproximateAnswer] = runner.run(
        [SearchApproximately(shard, index, runner.threads) for shard in shards], SearchRequest(questions_QD, top), watch
    )
    found = BestPassages.merged([answer.best for answer in answers])
    return IndexReport(
        index=index,
        recall={k: recall(found, exact, k) for k in sorted({*(k for k in RECALLS if k < top), top})},
        build_seconds=sum(answer.build_seconds for answer in answers),
        search_seconds=sum(answer.search_seconds for answer in answers),
        index_bytes=sum(answer.index_bytes for answer in answers),
        costs=tuple(answer.cost for answer in answers),
    )


def _encoded(
    model: str, task: RetrievalTask, cache: Path, settings: SearchSettings, runner: Runner, told: Told
) -> tuple[dict[str, tuple[EmbeddingFile, ...]], int, tuple[PartCost, ...]]:
    """Return the files of questions and passages, how many texts were encoded, and what each shard of passages took."""
    from hybridbatch.backbones.encoders.hub import model_folder

    stated = from_folder_or_name(model)
    folder = model_folder(model, None)
    model_id = model_fingerprint(folder)
    files: dict[str, tuple[EmbeddingFile, ...]] = {}
    encoded, costs = 0, tuple[PartCost, ...]()
    for what, texts, given in (
        ("questions", task.questions, settings.prefixes[0]),
        ("passages", task.candidates, settings.prefixes[1]),
    ):
        prefix, tokens = stated.prefix_and_tokens(what == "questions", given)
        # questions are few: they are kept in full precision
        dtype = settings.dtype if what == "passages" else "float32"
        content, device = f"{task.fingerprint} {what}", settings.device
        place = embedding_folder(cache, model_id, content, prefix=prefix, tokens=tokens, dtype=dtype, device=device)
        request = EncodingRequest(str(folder), texts, prefix, tokens, place, dtype, device)
        parts = encoding_parts(request, settings.shards if what == "passages" else 1, runner.threads)
        answers: list[EncodedChunks] = runner.run(parts, request, lambda *state, stage=what: told(stage, *state))
        files[what] = open_files(request.files)
        encoded += sum(answer.encoded for answer in answers)
        costs = tuple(answer.cost for answer in answers)
    return files, encoded, costs
