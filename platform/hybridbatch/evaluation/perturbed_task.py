"""A retrieval task whose texts, or whose pool of candidates, were perturbed.

Shape legend: N candidates, L languages, E passages of the extra pool in one language, Q questions, B of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hybridbatch.datasets.arrow_cache import cached_table, column_of, table_fingerprint
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_identity import identity_keys
from hybridbatch.evaluation.text_change import ChangeCounts, TextChange
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.perturbations import Nearness, PoolPerturbation, Side, TextPerturbation
from hybridbatch.spec.sources import DataLocation

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hybridbatch.evaluation.rank import Embeddings

Embed = Callable[[Sequence[str], Sequence[str], bool], "Embeddings"]
"""Returns the embeddings of texts, given their languages and whether they are questions."""
ALL = "*"  # all languages together
_BLOCK = 256  # questions compared with the extra pool at a time


@dataclass(frozen=True)
class PerturbedTask:
    """A perturbed task.

    Attributes:
        task: The task, with a fingerprint of its own.
        changes: What became of the texts that were perturbed, by language and of :data:`ALL`.
        added: Passages added to the candidates, by language and of :data:`ALL`.
    """

    task: RetrievalTask
    changes: dict[str, TextChange]
    added: dict[str, int]


def perturb_texts(
    task: RetrievalTask, perturbation: TextPerturbation, side: Side, location: DataLocation
) -> PerturbedTask:
    """Return ``task`` with the texts of one side, or both, perturbed; the relevance stays.

    Args:
        task: The task.
        perturbation: What happens to each text, already located.
        side: Whose texts it happens to.
        location: Where copies are kept.
    """
    changed: dict[str, Dataset] = {}
    pairs: dict[str, list[tuple[str, str]]] = {language: [] for language in task.languages}
    for name, rows in (("questions", task.questions), ("candidates", task.candidates)):
        if side in (name, "both") or (side, name) == ("passages", "candidates"):
            languages, before = (column_of(rows, column).to_pylist() for column in ("language", "text"))
            after = [perturbation.perturbed(text, language) for language, text in zip(languages, before, strict=True)]
            for language, text, other in zip(languages, before, after, strict=True):
                pairs[language].append((text, other))
            if after != before:
                changed[name] = _stored(_with_texts(rows, after), f"{task.name}-{perturbation.kind}", location)
    counts = {language: ChangeCounts.of(found) for language, found in pairs.items()}
    changes = {
        language: found.shares for language, found in ({ALL: ChangeCounts.sum(counts.values())} | counts).items()
    }
    return PerturbedTask(_changed(task, **changed), changes, {})


def add_passages(
    task: RetrievalTask, perturbation: PoolPerturbation, extra: ExtraPool, location: DataLocation
) -> PerturbedTask:
    """Return ``task`` with passages added to its candidates; each stands after those of its language.

    Args:
        task: The task.
        perturbation: Which passages are added.
        extra: The passages to choose from.
        location: Where copies are kept.
    """
    import pyarrow as pa  # pyarrow takes long to import

    languages_N = np.array(column_of(task.candidates, "language").to_pylist())
    table = task.candidates.data.table
    parts: list[pa.Table] = []
    row_N = np.zeros(len(languages_N), dtype=np.int64)
    added = {ALL: 0}
    total = 0
    for language in task.languages:
        own = np.flatnonzero(languages_N == language)
        texts = extra.texts[language]
        chosen = perturbation.chosen(texts, language, len(own), extra.nearness.get(language))
        row_N[own] = np.arange(total, total + len(own))
        passages = {"language": [language] * len(chosen), "text": [texts[row] for row in chosen]}
        parts += [table.take(pa.array(own)), pa.table(passages, schema=table.schema.remove_metadata())]
        total += len(own) + len(chosen)
        added[language] = len(chosen)
        added[ALL] += len(chosen)
    if not added[ALL]:
        return PerturbedTask(task, {}, added)
    candidates = pa.concat_tables([part.replace_schema_metadata(None) for part in parts]).combine_chunks()
    contrasts, ignored = task.contrasts_QL, task.ignored_Q
    perturbed = replace(
        _changed(task, candidates=_stored(candidates, f"{task.name}-{perturbation.kind}", location)),
        relevant_candidates=row_N[task.relevant_candidates],
        contrasts_QL=None if contrasts is None else np.where(contrasts < 0, contrasts, row_N[contrasts]),
        ignored_Q=None if ignored is None else np.where(ignored < 0, ignored, row_N[ignored]),
    )
    return PerturbedTask(perturbed, {}, added)


@dataclass(frozen=True)
class ExtraPool:
    """Passages that may be added to a task: in its languages, each once, none that says the same as a candidate.

    Attributes:
        texts: The passages by language.
        nearness: How near they are to the task's questions, by language; empty where nobody asks.
    """

    texts: dict[str, list[str]]
    nearness: dict[str, Nearness]

    @classmethod
    def of(cls, task: RetrievalTask, pool: RetrievalTask) -> ExtraPool:
        """Return the candidates of ``pool`` that may be added to ``task``.

        Texts are compared without case, punctuation and spaces. What is relevant to a question is a candidate already,
        so it is never added.

        Raises:
            UserError: If the pool has no passage for any of the task's languages.
        """
        known = set(identity_keys(column_of(task.candidates, "text").to_pylist()).tolist())
        languages, texts = (column_of(pool.candidates, column).to_pylist() for column in ("language", "text"))
        keys = identity_keys(texts).tolist()
        found: dict[str, list[str]] = {language: [] for language in task.languages}
        for language, text, key in zip(languages, texts, keys, strict=True):
            if language in found and key not in known:
                known.add(key)
                found[language].append(text)
        if not any(found.values()):
            raise UserError(
                "the pool has no passage to add",
                file=pool.name,
                path="distractors.pool",
                seen=f"languages {', '.join(pool.languages)}",
                allowed=f"passages in {', '.join(task.languages)} that are no candidates of {task.name} already",
            )
        return cls(found, {})

    def measured(self, task: RetrievalTask, embed: Embed) -> ExtraPool:
        """Return the pool with how near its passages are to the questions in their language.

        Where a language has no questions, those of all languages count.

        Args:
            task: The task.
            embed: The encoder.
        """
        languages, questions = (column_of(task.questions, column).to_pylist() for column in ("language", "text"))
        nearness = {}
        for language, texts in self.texts.items():
            if texts:
                own = [row for row, one in enumerate(languages) if one == language] or range(len(questions))
                asked = embed([questions[row] for row in own], [languages[row] for row in own], True)
                nearness[language] = nearness_of(asked, embed(texts, [language] * len(texts), False))
        return replace(self, nearness=nearness)


def nearness_of(questions_QD: Embeddings, passages_ED: Embeddings) -> Nearness:
    """Return for every passage its best rank for any question, and its best score; ties go to the lower row."""
    questions, passages = np.asarray(questions_QD, dtype=np.float32), np.asarray(passages_ED, dtype=np.float32)
    rank_E = np.full(len(passages), len(passages) + 1, dtype=np.int64)
    score_E = np.full(len(passages), -np.inf, dtype=np.float32)
    for start in range(0, len(questions), _BLOCK):
        scores_BE = questions[start : start + _BLOCK] @ passages.T
        order_BE = np.argsort(-scores_BE, axis=1, kind="stable")
        ranks_BE = np.empty_like(order_BE)
        np.put_along_axis(ranks_BE, order_BE, np.arange(1, len(passages) + 1)[None, :], axis=1)
        rank_E = np.minimum(rank_E, ranks_BE.min(axis=0))
        score_E = np.maximum(score_E, scores_BE.max(axis=0))
    return Nearness(rank_E, score_E)


def _changed(task: RetrievalTask, **tables: Dataset) -> RetrievalTask:
    """Return ``task`` with other questions or candidates, and the fingerprint that follows; itself without any."""
    if not tables:
        return task
    content = {name: table_fingerprint(rows.data.table) for name, rows in tables.items()}
    return replace(task, fingerprint=fingerprint.of_json([task.fingerprint, content]), **tables)


def _with_texts(rows: Dataset, texts: Sequence[str]) -> pa.Table:
    import pyarrow as pa  # pyarrow takes long to import

    table = rows.data.table.replace_schema_metadata(None)
    return table.set_column(table.column_names.index("text"), "text", pa.array(texts, table.schema.field("text").type))


def _stored(table: pa.Table, name: str, location: DataLocation) -> Dataset:
    return cached_table(location.cache, f"{name}-{table_fingerprint(table)}", lambda: [table])
