"""From embeddings to the score of every question.

The table of scores has one row for each question and language that answers it (setting ``mono`` when it is the
question's own language, else ``cross``) and one for each question and the pool of all candidates (setting ``multi``),
in those settings that say something in the task:

=====================  ======================================================================================
``item``               item of the question: the same question in another language has the same
``question_language``  language of the question
``setting``            ``mono``, ``cross`` or ``multi``
``answer_language``    language of the candidates that are ranked, ``*`` for all of them
``relevant``           number of relevant candidates in that ranking
``rank``               1-based rank of the best of them in that ranking
``pool_rank``          1-based rank of the best of them among all candidates
``ties``               number of them that tie exactly with another candidate of the pool
``best_language``      in ``multi`` the language of the best of them, else null
one column a metric    score by every ranking metric, null in settings that it is not reported in; then every bias and
                       every fairness metric, null where undefined and outside ``multi``, since they are properties of
                       the pooled ranking
``right_score``        in a task with wrong choices: the score of the right candidate
``wrong_score``        that of the wrong one; null where there is none
``right_first``        1 where the right one ranks before the wrong one, else 0
=====================  ======================================================================================

The table says in its metadata what it was measured on (:mod:`hybridbatch.evaluation.measured_task`). Questions without
a relevant candidate have no row. Every figure of a result is a mean over this table
(:func:`hybridbatch.evaluation.means.summarise`).

Shape legend: Q questions, N candidates, D dimensions, L languages, P relevant pairs, C pairs of a question and a wrong
candidate, G rows of one kind, R most relevant candidates that a row has, K places at the top of the pooled ranking.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.means import POOLED, summarise
from hybridbatch.evaluation.measured_task import MeasuredTask
from hybridbatch.evaluation.rank import Ranks
from hybridbatch.evaluation.task_ranks import TaskRanks, arrow_column, contrast_pairs, language_codes, rank_task
from hybridbatch.foundation.registries import BIAS_METRICS, FAIRNESS_METRICS, RANKING_METRICS
from hybridbatch.metrics.bias import best_language
from hybridbatch.metrics.fairness import PooledTop
from hybridbatch.spec.trial import DatasetResult

if TYPE_CHECKING:
    import pyarrow as pa

    from hybridbatch.evaluation.rank import Embeddings

Integers = NDArray[np.int64]
_SETTINGS = ("mono", "cross", "multi")


def evaluate_embeddings(
    task: RetrievalTask, questions_QD: Embeddings, candidates_ND: Embeddings
) -> tuple[DatasetResult, pa.Table]:
    """Return every measure of a retrieval task and the scores of its questions.

    Args:
        task: The task.
        questions_QD: Embeddings of its questions; the score is the dot product.
        candidates_ND: Embeddings of its candidates.

    Returns:
        The result, whose ``seconds`` are those of ranking and scoring, and the table of scores.

    Raises:
        TrialError: If an embedding is not finite.
        ValueError: If the number of embeddings is not that of the task's texts.
    """
    start = time.perf_counter()
    for name, texts, embeddings in (
        ("questions", task.questions, questions_QD),
        ("candidates", task.candidates, candidates_ND),
    ):
        if len(texts) != len(embeddings):
            raise ValueError(f"one embedding per text must hold, but got {len(embeddings)} for {len(texts)} {name}")
    return evaluate_ranks(task, rank_task(task, questions_QD, candidates_ND), start)


def evaluate_ranks(task: RetrievalTask, ranks: TaskRanks, start: float) -> tuple[DatasetResult, pa.Table]:
    """Return every measure of a retrieval task and the scores of its questions, from ranks.

    Args:
        task: The task.
        ranks: Ranks of its relevant pairs and of its wrong choices.
        start: When ranking began, by ``time.perf_counter``.
    """
    table = MeasuredTask.of(task).noted_in(score_table(task, ranks))
    means = summarise(table)
    result = DatasetResult(
        dataset=task.name,
        questions=len(task.questions),
        candidates=len(task.candidates),
        summary=means.summary,
        cells=means.cells,
        multi=means.multi,
        bias=means.bias,
        answer_languages=means.answer_languages,
        more_cells=means.more_cells,
        seconds=time.perf_counter() - start,
    )
    return result, table


def score_table(task: RetrievalTask, ranks: TaskRanks) -> pa.Table:
    """Return the score of every question in every setting, as the module describes.

    Args:
        task: The task.
        ranks: Ranks of its relevant pairs and of its wrong choices.
    """
    import pyarrow as pa  # pyarrow takes long to import

    languages = len(task.languages)
    question_P = np.repeat(np.arange(len(task.questions)), np.diff(task.relevant_offsets))
    answer_P = language_codes(task, task.candidates)[task.relevant_candidates]
    own_Q = language_codes(task, task.questions)
    grades_P = np.ones_like(task.relevant_candidates) if task.grades_P is None else task.grades_P
    # two kinds of rows: by question and answer language, and by question
    single = _grouped(question_P * languages + answer_P, ranks.relevant.language_P, grades_P, ranks.relevant)
    pooled = _grouped(question_P, ranks.relevant.pool_P, grades_P, ranks.relevant)
    question_G = np.concatenate([single.key_G // languages, pooled.key_G])
    answer_G = np.concatenate([single.key_G % languages, np.full(len(pooled.key_G), languages)])
    setting_G = np.where(answer_G == languages, 2, np.where(answer_G == own_Q[question_G], 0, 1))
    items = arrow_column(task.questions, "item").combine_chunks().cast(pa.string())
    names = pa.array([*task.languages, POOLED])
    relevant_QL = np.zeros((len(task.questions), languages), dtype=np.int64)
    relevant_QL.reshape(-1)[single.key_G] = np.count_nonzero(single.ranks_GR, axis=1)
    best_rank_QL = np.zeros_like(relevant_QL)
    best_rank_QL.reshape(-1)[single.key_G] = single.pool_rank_G
    best_G = np.where(setting_G == 2, best_language(best_rank_QL)[question_G], 0)
    columns: dict[str, pa.Array] = {
        "item": items.take(pa.array(question_G)),
        "question_language": names.take(pa.array(own_Q[question_G])),
        "setting": pa.array(_SETTINGS).take(pa.array(setting_G)),
        "answer_language": names.take(pa.array(answer_G)),
        "relevant": pa.array(np.concatenate([np.count_nonzero(rows.ranks_GR, axis=1) for rows in (single, pooled)])),
        "rank": pa.array(np.concatenate([rows.ranks_GR[:, 0] for rows in (single, pooled)])),
        "pool_rank": pa.array(np.concatenate([rows.pool_rank_G for rows in (single, pooled)])),
        "ties": pa.array(np.concatenate([rows.ties_G for rows in (single, pooled)])),
    }
    columns["best_language"] = names.take(pa.array(best_G, mask=setting_G != 2))
    for name, metric in RANKING_METRICS.entries().items():
        if task.is_bitext or not metric.only_bitext:
            score_G = np.concatenate([metric.kernel(rows.ranks_GR, rows.grades_GR) for rows in (single, pooled)])
            reported = np.array([setting in metric.settings for setting in _SETTINGS])
            columns[name] = pa.array(score_G, mask=np.isnan(score_G) | ~reported[setting_G])
    figures = _pooled_figures(task, ranks.relevant, best_rank_QL, relevant_QL, pooled.key_G)
    for name, figure_Q in figures.items():
        figure_G = np.concatenate([np.full(len(single.key_G), np.nan), figure_Q])
        columns[name] = pa.array(figure_G, mask=np.isnan(figure_G))
    if ranks.contrasts is not None:
        columns |= _contrast_columns(task, ranks.relevant, ranks.contrasts, single.key_G, len(question_G))
    said = np.array([setting in task.settings for setting in _SETTINGS])
    return pa.table(columns).filter(pa.array(said[setting_G]))


def _pooled_figures(
    task: RetrievalTask, ranks: Ranks, best_rank_QL: Integers, relevant_QL: Integers, asked_G: Integers
) -> dict[str, NDArray[np.float64]]:
    """Return every measure of bias and of fairness of the questions ``asked_G``."""
    own_Q = language_codes(task, task.questions)
    figures = {
        name: bias.kernel(best_rank_QL, own_Q, len(task.candidates))[asked_G]
        for name, bias in BIAS_METRICS.entries().items()
    }
    if ranks.leading_QK.shape[1]:
        top = _pooled_top(task, ranks.leading_QK, relevant_QL, asked_G)
        figures |= {name: fairness.kernel(top) for name, fairness in FAIRNESS_METRICS.entries().items()}
    return figures


def _pooled_top(task: RetrievalTask, leading_QK: Integers, relevant_QL: Integers, asked_G: Integers) -> PooledTop:
    """Return the top of the pooled ranking of the questions ``asked_G``."""
    import pyarrow.compute as pc  # pyarrow takes long to import

    candidate_GK = leading_QK[asked_G]
    there_GK = candidate_GK >= 0
    pair_P = task.relevant_candidates + len(task.candidates) * np.repeat(
        np.arange(len(task.questions)), np.diff(task.relevant_offsets)
    )
    place_GK = candidate_GK + len(task.candidates) * asked_G[:, None]
    items = arrow_column(task.questions, "item").combine_chunks()
    return PooledTop(
        candidate_QK=candidate_GK,
        language_QK=np.where(there_GK, language_codes(task, task.candidates)[candidate_GK], -1),
        is_relevant_QK=there_GK & np.isin(place_GK, pair_P),
        relevant_QL=relevant_QL[asked_G],
        item_Q=pc.dictionary_encode(items).indices.to_numpy().astype(np.int64)[asked_G],
    )


def _contrast_columns(
    task: RetrievalTask, relevant: Ranks, contrasts: Ranks, single_G: Integers, rows: int
) -> dict[str, pa.Array]:
    """Return scores of right and wrong candidates, and which of them ranks first, for rows by answer language."""
    import pyarrow as pa  # pyarrow takes long to import

    languages, codes_N = len(task.languages), language_codes(task, task.candidates)
    question_P = np.repeat(np.arange(len(task.questions)), np.diff(task.relevant_offsets))
    question_C, candidate_C = contrast_pairs(task)
    right_P = np.searchsorted(single_G, question_P * languages + codes_N[task.relevant_candidates])
    wrong_C = np.searchsorted(single_G, question_C * languages + codes_N[candidate_C])  # each has a right one there
    right, wrong = (np.full(rows, np.nan, dtype=np.float32) for _ in range(2))
    right_rank, wrong_rank = (np.zeros(rows, dtype=np.int64) for _ in range(2))
    right[right_P], right_rank[right_P] = relevant.score_P, relevant.language_P
    wrong[wrong_C], wrong_rank[wrong_C] = contrasts.score_P, contrasts.language_P
    none = np.isnan(wrong) | np.isnan(right)
    return {
        "right_score": pa.array(right, mask=none),
        "wrong_score": pa.array(wrong, mask=none),
        "right_first": pa.array((right_rank < wrong_rank).astype(np.float64), mask=none),
    }


def count_ties(table: pa.Table) -> int:
    """Return how many relevant pairs tie exactly with another candidate of the pool; the lower row ranks first."""
    import pyarrow.compute as pc  # pyarrow takes long to import

    return pc.sum(table.filter(pc.equal(table["setting"], "multi"))["ties"]).as_py() or 0


class _Rows(NamedTuple):
    """Rows of one kind, ascending by key.

    Attributes:
        key_G: What the relevant candidates of a row have in common.
        ranks_GR: Their ranks, ascending, padded at the right with 0.
        grades_GR: Their grades.
        pool_rank_G: The best of their ranks among all candidates.
        ties_G: How many of them tie with another candidate.
    """

    key_G: Integers
    ranks_GR: Integers
    grades_GR: Integers
    pool_rank_G: Integers
    ties_G: Integers


def _grouped(key_P: Integers, rank_P: Integers, grades_P: Integers, ranks: Ranks) -> _Rows:
    order_P = np.lexsort((rank_P, key_P))
    key_G, start_G, size_G = np.unique(key_P[order_P], return_index=True, return_counts=True)
    shape = (len(key_G), int(size_G.max(initial=1)))
    ranks_GR, grades_GR = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    row_P, place_P = np.repeat(np.arange(len(key_G)), size_G), np.arange(len(order_P)) - np.repeat(start_G, size_G)
    ranks_GR[row_P, place_P], grades_GR[row_P, place_P] = rank_P[order_P], grades_P[order_P]
    tied_P = (ranks.tied_P[order_P] > 0).astype(np.int64)
    if not len(key_G):  # reduceat takes no empty array
        return _Rows(key_G, ranks_GR, grades_GR, key_G, key_G)
    # ranks in one language and in the pool are in the same order, so the first is the best in both
    return _Rows(key_G, ranks_GR, grades_GR, ranks.pool_P[order_P][start_G], np.add.reduceat(tied_P, start_G))
