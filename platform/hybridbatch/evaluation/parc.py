"""Prompts augmented by retrieval across languages: what a retriever's neighbours do for a masked language model.

A pair in one language is asked about with a cloze prompt. The retriever finds its neighbours among labelled pairs in
another language, of which a language model knows more; they stand before the prompt, with their labels as words.

Source: PARC, arXiv 2212.09651, and its authors' code.

Shape legend: X pairs in one language, P pairs of the pool, K neighbours, C labels, R prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hybridbatch.datasets.labelled_pairs import LabelledPair
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.neighbours import drawn, nearest
from hybridbatch.evaluation.parc_data import Aggregate, ParcData, ParcSettings, parc_data
from hybridbatch.evaluation.prompts import Prompts, label_word_ids, store_of_prompts
from hybridbatch.evaluation.text_embeddings import TextEmbeddings
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation, SourceSettings

if TYPE_CHECKING:
    from hybridbatch.backbones.encoders.masked_language_model import LabelWordScorer
    from hybridbatch.evaluation.text_embeddings import Role

Arm = Literal["direct", "retrieved", "random", "neighbours"]
ARMS: tuple[Arm, ...] = ("direct", "retrieved", "random", "neighbours")
WORDS: Mapping[str, str] = {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
Shares = NDArray[np.float64]
Progress = Callable[[str, int, int], None]  # what is done, how much, of how much
_LONGEST = 512  # tokens of a prompt, as in the authors' code


@dataclass(frozen=True)
class ParcPlan:
    """What is measured.

    Attributes:
        source: A data set with labelled pairs.
        settings: How neighbours are found and how they enter the prompt.
        words: The word of each label; labels that are not named keep theirs of :data:`WORDS`.
        prefixes: Put before what is searched with and before the pool; None takes what the retriever states.
        device: Where to compute.
    """

    source: SourceSettings
    settings: ParcSettings
    words: Mapping[str, str]
    prefixes: tuple[str | None, str | None] = (None, None)
    device: str = "cpu"


@dataclass(frozen=True)
class ParcOutcome:
    """What was predicted.

    Attributes:
        data: The pairs and the pool.
        words: The word of each label.
        shares_XC: By language and arm, the probability of each label: of the language model without neighbours
            (``direct``), with those of the retriever (``retrieved``) and with random ones (``random``); for
            ``neighbours`` the share of the retriever's neighbours that have it, without a language model.
        predicted_X: By language and arm, the label.
        prompts: Prompts that were asked, the same ones counted once per language and arm.
        cut: How many of them had texts that did not fit.
    """

    data: ParcData
    words: tuple[str, ...]
    shares_XC: Mapping[tuple[str, Arm], Shares]
    predicted_X: Mapping[tuple[str, Arm], NDArray[np.int64]]
    prompts: int
    cut: int


def evaluate_parc(
    retriever: str, language_model: str, plan: ParcPlan, location: DataLocation, progress: Progress | None = None
) -> ParcOutcome:
    """Return what a masked language model predicts with and without neighbours.

    Args:
        retriever: Folder or hub name of the retriever.
        language_model: Folder or hub name of the masked language model.
        plan: What is measured.
        location: Where data lies and copies are kept.
        progress: Called with what is done, how much and of how much.

    Raises:
        UserError: If a model or the data cannot be loaded, a label has no word of one token, or the pool is too small.
    """
    data = parc_data(plan.source, location, plan.settings)
    if len(data.pool) < plan.settings.neighbours:
        raise UserError(
            "the pool has fewer pairs than neighbours are wanted",
            path="--neighbours",
            seen=plan.settings.neighbours,
            allowed=f"at most {len(data.pool)}",
        )
    asking = _asking(language_model, data, plan, progress)
    places = _retrieved(retriever, data, plan, location, progress)
    labels_P = np.array([pair.label for pair in data.pool], dtype=np.int64)
    if plan.settings.labels == "predicted":
        labels_P = asking.direct(data.pool, f"{plan.settings.pool_language}: labels of the pool").argmax(axis=1)
    shares_XC: dict[tuple[str, Arm], Shares] = {}
    predicted_X: dict[tuple[str, Arm], NDArray[np.int64]] = {}
    for language, pairs in data.asked.items():
        names = [(language, pair.item, pair.label) for pair in pairs]
        random_XK = drawn(names, len(data.pool), plan.settings.neighbours, plan.settings.seed)
        shares_XC[language, "direct"] = asking.direct(pairs, f"{language}: direct")
        found: dict[Arm, NDArray[np.int64]] = {"retrieved": places[language], "random": random_XK}
        for arm, places_XK in found.items():
            shares_XC[language, arm] = asking.with_neighbours(pairs, places_XK, labels_P, f"{language}: {arm}")
        shares_XC[language, "neighbours"] = votes(labels_P[places[language]], len(data.labels))
        for arm in ARMS:
            predicted_X[language, arm] = shares_XC[language, arm].argmax(axis=1)
    return ParcOutcome(data, asking.words, shares_XC, predicted_X, asking.asked, asking.prompts.cut)


def aggregated(shares_XKC: Shares, how: Aggregate) -> Shares:
    """Return one probability a label from those of several prompts.

    Args:
        shares_XKC: Probabilities of each prompt.
        how: ``mean`` is their mean; ``vote`` the share of prompts whose best label it is, and the mean decides between
            equal shares.
    """
    mean_XC: Shares = shares_XKC.mean(axis=1)
    if how != "vote":
        return mean_XC
    counts_XC = (shares_XKC.argmax(axis=2)[..., None] == np.arange(shares_XKC.shape[2])).sum(axis=1)
    voted_XC = counts_XC + mean_XC / 2  # less than one vote
    return np.asarray(voted_XC / voted_XC.sum(axis=1, keepdims=True))


def votes(labels_XK: NDArray[np.int64], labels: int) -> Shares:
    """Return the share [X, C] of neighbours that have each label; of equal shares that of the nearest is more."""
    is_label_XKC = labels_XK[..., None] == np.arange(labels)
    nearness_K = 0.5 ** np.arange(1, labels_XK.shape[1] + 1) / 2  # adds up to less than half a neighbour
    counts_XC = (is_label_XKC * (1 + nearness_K[:, None])).sum(axis=1)
    return np.asarray(counts_XC / counts_XC.sum(axis=1, keepdims=True))


class _Asking:
    """Asks a masked language model for labels."""

    def __init__(
        self, scorer: LabelWordScorer, prompts: Prompts, data: ParcData, plan: ParcPlan, padding_id: int,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.prompts, self.asked = prompts, 0
        self.words = tuple(_words(data, plan))
        self._scorer, self._data, self._plan = scorer, data, plan
        self._padding_id, self._progress = padding_id, progress

    def direct(self, pairs: Sequence[LabelledPair], what: str) -> Shares:
        """Return the probabilities [X, C] without neighbours."""
        return self._shares([self.prompts.ids(pair) for pair in pairs], what)

    def with_neighbours(
        self, pairs: Sequence[LabelledPair], places_XK: NDArray[np.int64], labels_P: NDArray[np.int64], what: str
    ) -> Shares:
        """Return the probabilities [X, C] with neighbours from the pool."""
        pool, how = self._data.pool, self._plan.settings.aggregate
        labelled = [[(pool[place], int(labels_P[place])) for place in row] for row in places_XK.tolist()]
        if how == "concatenation":
            return self._shares([self.prompts.ids(*one) for one in zip(pairs, labelled, strict=True)], what)
        prompts = [self.prompts.ids(pair, [one]) for pair, row in zip(pairs, labelled, strict=True) for one in row]
        return aggregated(self._shares(prompts, what).reshape(*places_XK.shape, -1), how)

    def _shares(self, prompts: Sequence[tuple[int, ...]], what: str) -> Shares:
        self.asked += len(prompts)
        told = None if self._progress is None else partial(self._progress, what)
        logits_RC = encode(
            self._scorer, store_of_prompts(prompts, self._padding_id), device=self._plan.device, progress=told
        )
        shares_RC: Shares = logits_RC.double().softmax(dim=1).numpy()
        return shares_RC


def _asking(language_model: str, data: ParcData, plan: ParcPlan, progress: Progress | None) -> _Asking:
    # torch takes seconds to import
    from hybridbatch.backbones.encoders.masked_language_model import LabelWordScorer, load_masked_language_model

    model = load_masked_language_model(language_model)
    word_ids = label_word_ids(model.tokenizer, _words(data, plan))
    wanted = plan.settings.longest
    if wanted is not None and wanted > model.longest:
        raise UserError(
            "the language model has no positions for so long a prompt",
            path="--longest",
            seen=wanted,
            allowed=f"at most {model.longest}",
        )
    longest = wanted or min(_LONGEST, model.longest)
    prompts = Prompts(model.tokenizer, plan.settings.pattern, word_ids, longest)
    model.network.to(plan.device)
    scorer = LabelWordScorer(model, word_ids).eval()
    return _Asking(scorer, prompts, data, plan, int(model.tokenizer.pad_token_id or 0), progress)


def _words(data: ParcData, plan: ParcPlan) -> list[str]:
    """Return the word of each label.

    Raises:
        UserError: If a word is given for no label, or a label has none.
    """
    known = {**WORDS, **plan.words}
    strange = [label for label in plan.words if label not in data.labels]
    without = [label for label in data.labels if label not in known]
    if strange or without:
        raise UserError(
            "a word for no label" if strange else "a label without a word",
            path="--label-word",
            seen=(strange or without)[0],
            allowed=", ".join(f"{label}=WORD" for label in data.labels),
        )
    return [known[label] for label in data.labels]


def _retrieved(
    retriever: str, data: ParcData, plan: ParcPlan, location: DataLocation, progress: Progress | None
) -> dict[str, NDArray[np.int64]]:
    """Return the neighbours [X, K] of the pairs of each language."""
    loaded = load_model(retriever)
    loaded.encoder.to(plan.device)

    def embeddings(role: Role, prefix: str | None) -> TextEmbeddings:
        told = None if progress is None else partial(progress, f"retriever: {role}")
        return TextEmbeddings(loaded, role, location.cache, prefix=prefix, device=plan.device, progress=told)

    of_query, of_passage = embeddings("query", plan.prefixes[0]), embeddings("passage", plan.prefixes[1])
    in_one_language = [plan.settings.pool_language] * len(data.pool)
    pool_PD = of_passage.of([_joined(pair) for pair in data.pool], in_one_language).numpy()
    found = {}
    for language, pairs in data.asked.items():
        texts = [pair.first if plan.settings.retrieve_by == "premise" else _joined(pair) for pair in pairs]
        asked_XD = of_query.of(texts, [language] * len(texts)).numpy()
        found[language] = nearest(asked_XD, pool_PD, plan.settings.neighbours)
    return found


def _joined(pair: LabelledPair) -> str:
    return f"{pair.first} {pair.second}"
