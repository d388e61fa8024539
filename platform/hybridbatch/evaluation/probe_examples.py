"""What a layer probe is trained and tested on: a question, N passages of which one answers it, and which one.

The N passages of an item in a language are the same whatever language asks, so that languages of the question can be
compared. What stands beside the passage that answers are passages that answer other items of the same part. So a text
is as often right as it is wrong, and nothing in its looks says which.

Shape legend: Q questions, P relevant pairs, A answers (relevant candidates), I items, L languages, G groups of items, C
columns, E examples of one setting and part, N passages of an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.pairs_split import linked_items
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.datasets.text_identity import LEAST_EVIDENCE, identity_keys
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.settings import Settings

Part = Literal["training", "validation", "test"]
ProbeSetting = Literal["mono", "cross"]
Negatives = Literal["same-language", "any-language"]
NEGATIVES: tuple[Negatives, ...] = ("same-language", "any-language")
PARTS: tuple[Part, ...] = ("training", "validation", "test")
PROBE_SETTINGS: tuple[ProbeSetting, ...] = ("mono", "cross")
Numbers = NDArray[np.int64]


class ProbeSettings(Settings):
    """How examples are drawn, and how many.

    Attributes:
        passages: Passages N of an example, one of them relevant (the authors' code: 5).
        negatives: Whether the others are in the language of the relevant one, or in any.
        test_share: Share of the items that probes are tested on.
        validation_share: Share of the other items that chooses how strongly a probe is held back.
        items: At most so many items are looked at, drawn by the seed; None: all.
        training_examples: At most so many examples of a setting train a probe, and as many choose its penalty.
        seed: Seed of the split, of what is drawn, and of the control task.
    """

    passages: Annotated[int, Field(ge=2)] = 5
    negatives: Negatives = "same-language"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    items: Annotated[int, Field(ge=1)] | None = None
    training_examples: Annotated[int, Field(ge=1)] = 10_000
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class ProbeExamples:
    """Examples of one setting and part.

    Attributes:
        question_E: The question, a row of :attr:`ProbeTask.questions`.
        passages_EN: The passages, rows of :attr:`ProbeTask.passages`.
        right_E: Place of the passage that answers the question.
        control_E: Place of the passage that the control task asks for.
        item_E: The item.
        cell_E: Languages of question and relevant passage, a place in :attr:`ProbeTask.cells`.
    """

    question_E: Numbers
    passages_EN: Numbers
    right_E: Numbers
    control_E: Numbers
    item_E: Numbers
    cell_E: Numbers

    def __len__(self) -> int:
        return len(self.question_E)

    def chosen(self, rows: Numbers) -> ProbeExamples:
        """Return some of the examples."""
        return ProbeExamples(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class ProbeTask:
    """Every example, and the texts that they are made of.

    Attributes:
        questions: The distinct questions.
        passages: The distinct passages.
        cells: Language of the question, language of the relevant passage.
        items: Number of items of each part.
        examples: By setting and part; a setting without examples is left out.
    """

    questions: tuple[str, ...]
    passages: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    items: Mapping[Part, int]
    examples: Mapping[ProbeSetting, Mapping[Part, ProbeExamples]]


def probe_task(task: RetrievalTask, settings: ProbeSettings) -> ProbeTask:
    """Return the examples of a task.

    Items that share a relevant passage, or a question long enough to mean something on its own, are in the same part
    (compared without case, punctuation and spaces), each with all its translations: no passage is on both sides.
    The control task (Hewitt and Liang, arXiv 1909.03368) asks for a passage drawn at random, the same one whenever the
    same N passages are shown: it can be learnt by heart, and by nothing else.

    Raises:
        UserError: If a part has too few items for N passages in a language.
    """
    return _Drawing(task, settings).task()


@dataclass(frozen=True)
class _Drawing:
    """The drawing of the examples of one task."""

    source: RetrievalTask
    settings: ProbeSettings

    def task(self) -> ProbeTask:
        found = {setting: self._examples(setting) for setting in PROBE_SETTINGS}
        if not any(len(examples) for parts in found.values() for examples in parts.values()):
            raise UserError("no question has a relevant passage", file=self.source.name)
        questions, passages = _Renumbered(self._question_texts), _Renumbered(self._answer_texts)
        renumbered = {
            setting: {
                part: ProbeExamples(
                    questions(one.question_E), passages(one.passages_EN), one.right_E, one.control_E, one.item_E,
                    one.cell_E,
                )
                for part, one in parts.items()
            }
            for setting, parts in found.items()
            if len(parts["test"])
        }  # fmt: skip
        languages = self.source.languages
        return ProbeTask(
            questions=tuple(questions.texts),
            passages=tuple(passages.texts),
            cells=tuple((question, answer) for question in languages for answer in languages),
            items={part: int((self._part_I == number).sum()) for number, part in enumerate(PARTS)},
            examples=renumbered,
        )

    @cached_property
    def _items(self) -> tuple[list[str], Numbers]:
        """Names of the items, and the item of every question."""
        number: dict[str, int] = {}
        item_Q = [number.setdefault(name, len(number)) for name in column_of(self.source.questions, "item").to_pylist()]
        return list(number), np.array(item_Q, dtype=np.int64)

    @cached_property
    def _question_texts(self) -> list[str]:
        return list(column_of(self.source.questions, "text").to_pylist())

    @cached_property
    def _question_language_Q(self) -> Numbers:
        return _places(column_of(self.source.questions, "language").to_pylist(), self.source.languages)

    @cached_property
    def _pairs(self) -> tuple[Numbers, Numbers, Numbers]:
        """Question, answer and language of the first relevant candidate of each question in each language.

        Answers are numbered: places in :attr:`_answer_rows`.
        """
        task = self.source
        question_P = np.repeat(np.arange(len(task.relevant_offsets) - 1), np.diff(task.relevant_offsets))
        rows_A, answer_P = np.unique(task.relevant_candidates, return_inverse=True)
        language_A = _places(column_of(task.candidates, "language").take(rows_A).to_pylist(), task.languages)
        # candidates ascend within a question: the first of a language is the one with the lowest row
        _, first = np.unique(question_P * len(task.languages) + language_A[answer_P], return_index=True)
        return question_P[first], answer_P[first], language_A[answer_P[first]]

    @cached_property
    def _answer_texts(self) -> list[str]:
        rows_A = np.unique(self.source.relevant_candidates)
        return list(column_of(self.source.candidates, "text").take(rows_A).to_pylist())

    @cached_property
    def _group_I(self) -> Numbers:
        """Which items are linked by a text that they share."""
        names, item_Q = self._items
        task = self.source
        question_P = np.repeat(np.arange(len(item_Q)), np.diff(task.relevant_offsets))
        _, answer_P = np.unique(task.relevant_candidates, return_inverse=True)
        key_Q = identity_keys(self._question_texts, least=LEAST_EVIDENCE)
        key_A = identity_keys(self._answer_texts)
        items, keys = np.concatenate([item_Q, item_Q[question_P]]), np.concatenate([key_Q, key_A[answer_P]])
        return np.unique(linked_items(len(names), items, keys), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def _part_I(self) -> Numbers:
        """The part of each item, -1 for one that is not used; whole groups go to a part."""
        settings, size_G = self.settings, np.bincount(self._group_I)
        order_G = np.random.default_rng(derive_seed(settings.seed, "probe parts")).permutation(len(size_G))
        before_G = np.empty_like(size_G)  # items in groups that come before in this order
        before_G[order_G] = size_G[order_G].cumsum() - size_G[order_G]
        used = min(settings.items or int(size_G.sum()), int(size_G.sum()))
        tested = settings.test_share * used
        validated = tested + settings.validation_share * (used - tested)
        place_I = before_G[self._group_I]
        return np.select([place_I >= used, place_I < tested, place_I < validated], [-1, 2, 1], default=0)

    def _examples(self, setting: ProbeSetting) -> dict[Part, ProbeExamples]:
        """Return the examples of a setting by part, at most as many as the settings say where they train."""
        question_P, answer_P, language_P = self._pairs
        is_own_P = language_P == self._question_language_Q[question_P]
        chosen = is_own_P if setting == "mono" else ~is_own_P
        found = {}
        for number, part in enumerate(PARTS):
            _, item_Q = self._items
            wanted = np.flatnonzero(chosen & (self._part_I[item_Q[question_P]] == number))
            if part != "test" and len(wanted) > self.settings.training_examples:
                random = np.random.default_rng(derive_seed(self.settings.seed, "probe examples", setting, part))
                wanted = np.sort(random.choice(wanted, self.settings.training_examples, replace=False))
            found[part] = self._with_passages(question_P[wanted], answer_P[wanted], language_P[wanted], part)
        return found

    def _with_passages(self, question_E: Numbers, answer_E: Numbers, language_E: Numbers, part: Part) -> ProbeExamples:
        _, item_Q = self._items
        item_E = item_Q[question_E]
        drawn = [self._beside(*one, part) for one in zip(item_E.tolist(), language_E.tolist(), strict=True)]
        others_EN = np.array([one.others for one in drawn], dtype=np.int64).reshape(
            len(drawn), self.settings.passages - 1
        )
        right_E = np.array([one.right for one in drawn], dtype=np.int64)
        rows_E, shape = np.arange(len(drawn)), (len(drawn), self.settings.passages)
        passages_EN, is_other = np.empty(shape, dtype=np.int64), np.ones(shape, dtype=np.bool_)
        is_other[rows_E, right_E] = False
        passages_EN[rows_E, right_E] = answer_E
        passages_EN[is_other] = others_EN.ravel()
        return ProbeExamples(
            question_E=question_E,
            passages_EN=passages_EN,
            right_E=right_E,
            control_E=np.array([one.control for one in drawn], dtype=np.int64),
            item_E=item_E,
            cell_E=self._question_language_Q[question_E] * len(self.source.languages) + language_E,
        )

    @cached_property
    def _group_A(self) -> Numbers:
        """The group of items that an answer belongs to."""
        _, item_Q = self._items
        question_P, answer_P, _ = self._pairs
        group_A = np.full(len(self._answer_texts), -1, dtype=np.int64)
        group_A[answer_P] = self._group_I[item_Q[question_P]]
        return group_A

    @cached_property
    def _choices(self) -> dict[tuple[int, int], tuple[list[int], list[int], int]]:
        """Answers that negatives are drawn from, their groups, and how many groups, by part and language (-1: any).

        An answer of several items stands there as often as it answers.
        """
        _, item_Q = self._items
        question_P, answer_P, language_P = self._pairs
        keys = np.stack([item_Q[question_P], language_P, answer_P], axis=1)
        item_A, language_A, answer_A = np.unique(keys, axis=0).T
        found = {}
        for part in range(len(PARTS)):
            for language in (-1, *range(len(self.source.languages))):
                is_one = (self._part_I[item_A] == part) & ((language == -1) | (language_A == language))
                answers = answer_A[is_one]
                groups = self._group_A[answers]
                found[part, language] = answers.tolist(), groups.tolist(), len(np.unique(groups))
        return found

    @cached_property
    def _asked_ILC(self) -> Numbers:
        """Place of the relevant passage, and of the one that the control asks for, by item and language of passages.

        In each part and language all places are asked for equally often: who always picks the same is right 1/N of the
        time, and there is nothing to gain by knowing which place came up most.
        """
        settings, languages = self.settings, self.source.languages
        _, item_Q = self._items
        question_P, _, language_P = self._pairs
        asked_ILC = np.zeros((len(self._part_I), len(languages), 2), dtype=np.int64)
        for number, part in enumerate(PARTS):
            for place, language in enumerate(languages):
                items = np.unique(item_Q[question_P[language_P == place]])
                items = items[self._part_I[items] == number]
                for column, what in enumerate(("right", "control")):
                    random = np.random.default_rng(derive_seed(settings.seed, "probe places", what, part, language))
                    asked_ILC[random.permutation(items), place, column] = np.arange(len(items)) % settings.passages
        return asked_ILC

    @cached_property
    def _drawn(self) -> dict[tuple[int, int], _Drawn]:
        return {}

    def _beside(self, item: int, language: int, part: Part) -> _Drawn:
        """Return what is drawn for an item and a language of its passages, once for all languages that ask."""
        if (item, language) in self._drawn:
            return self._drawn[item, language]
        from_any = self.settings.negatives == "any-language"
        answers, groups, there = self._choices[PARTS.index(part), -1 if from_any else language]
        if there < self.settings.passages:
            raise self._too_few(part, language, there)
        name = self._items[0][item]
        seed = derive_seed(self.settings.seed, "probe passages", name, self.source.languages[language])
        random = np.random.default_rng(seed)
        taken = {int(self._group_I[item])}
        others: list[int] = []
        while len(others) < self.settings.passages - 1:
            drawn = int(random.integers(len(answers)))
            if groups[drawn] not in taken:
                taken.add(groups[drawn])
                others.append(answers[drawn])
        right, control = self._asked_ILC[item, language].tolist()
        self._drawn[item, language] = _Drawn(others, right, control)
        return self._drawn[item, language]

    def _too_few(self, part: Part, language: int, there: int) -> UserError:
        return UserError(
            f"too few items for {self.settings.passages} passages",
            file=self.source.name,
            seen=f"{there} in the {part} part that share no text and have a relevant passage in "
            f"{self.source.languages[language]}",
            allowed=f"{self.settings.passages} or more",
            remedy="lower --passages, or give more items",
        )


@dataclass(frozen=True)
class _Drawn:
    """What is drawn for an item: the other passages, the place of the right one, and the place the control asks for."""

    others: list[int]
    right: int
    control: int


class _Renumbered:
    """Numbers texts by their content, from 0, in the order in which they are asked for."""

    def __init__(self, texts: list[str]) -> None:
        self._known = texts
        self._number: dict[str, int] = {}

    def __call__(self, rows: Numbers) -> Numbers:
        distinct, back = np.unique(rows, return_inverse=True)
        numbers = [self._number.setdefault(self._known[row], len(self._number)) for row in distinct.tolist()]
        return np.array(numbers, dtype=np.int64)[back].reshape(rows.shape)

    @property
    def texts(self) -> list[str]:
        return list(self._number)


def _places(names: list[str], known: tuple[str, ...]) -> Numbers:
    place = {name: number for number, name in enumerate(known)}
    return np.array([place[name] for name in names], dtype=np.int64)
