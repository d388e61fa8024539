"""Every measure of models against the strength of perturbations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridbatch.datasets.arrow_cache import column_of
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.means import summarise
from hybridbatch.evaluation.measured_task import MeasuredTask
from hybridbatch.evaluation.perturbed_task import ExtraPool, PerturbedTask, add_passages, perturb_texts
from hybridbatch.evaluation.score import evaluate_embeddings
from hybridbatch.evaluation.text_embeddings import Role, TextEmbeddings
from hybridbatch.spec.perturbations import Perturbation, PoolPerturbation, Side, TextPerturbation
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.spec.trial import DatasetResult

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

_ROLES: tuple[Role, Role] = ("query", "passage")
Progress = Callable[[str, int, int], None]  # what is encoded, texts done, texts in all


@dataclass(frozen=True)
class Variant:
    """A task under one perturbation.

    Attributes:
        perturbation: What was done, with strength and seed; None for the task as it is.
        perturbed: The task, and what became of it.
        examples: By language a question as it was and as it is.
    """

    perturbation: Perturbation | None
    perturbed: PerturbedTask
    examples: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Evaluated:
    """A model measured on a variant.

    Attributes:
        model: The model's name in the comparison.
        variant: The variant.
        result: Every measure.
        by_language: Every measure of the questions in each language alone.
        scores: The score of every question.
    """

    model: str
    variant: Variant
    result: DatasetResult
    by_language: dict[str, dict[str, float]]
    scores: pa.Table


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Attributes:
        models: Folder or hub name of each model, by its name in the comparison.
        source: The data set.
        perturbations: The perturbations; their own strengths and seeds do not count.
        strengths: The strengths of each, ascending, 0 not among them.
        seeds: The seeds of each.
        side: Whose texts are perturbed.
        prefixes: Put before questions and passages; None takes what a model states.
        device: Where to encode.
    """

    models: Mapping[str, str]
    source: SourceSettings
    perturbations: tuple[Perturbation, ...]
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    side: Side = "questions"
    prefixes: tuple[str | None, str | None] = (None, None)
    device: str = "cpu"

    @property
    def evaluations(self) -> int:
        """How many times a model is measured on a task."""
        return len(self.models) * (1 + len(self.perturbations) * len(self.strengths) * len(self.seeds))


def perturbed_variants(
    task: RetrievalTask, plan: Plan, location: DataLocation, progress: Progress | None = None
) -> list[list[Variant]]:
    """Return the variants of each perturbation: by seed, then by strength.

    Args:
        task: The task as it is.
        plan: What is to be compared.
        location: Where data lies and copies are kept.
        progress: Called while a model says which passages are hard.

    Raises:
        UserError: If a file that a perturbation needs is missing or broken.
    """
    found = []
    for one in plan.perturbations:
        here = one.located(location)
        extra = _extra_pool(task, here, plan, location, progress) if isinstance(here, PoolPerturbation) else None
        variants = []
        for seed in plan.seeds:
            for strength in plan.strengths:
                drawn = here.model_copy(update={"strength": strength, "seed": seed})
                if isinstance(drawn, TextPerturbation):
                    perturbed = perturb_texts(task, drawn, plan.side, location)
                    variants.append(Variant(drawn, perturbed, _examples(task, drawn)))
                elif isinstance(drawn, PoolPerturbation) and extra is not None:
                    variants.append(Variant(drawn, add_passages(task, drawn, extra, location), {}))
        found.append(variants)
    return found


def evaluate_robustness(plan: Plan, location: DataLocation, progress: Progress | None = None) -> Iterator[Evaluated]:
    """Yield every model on the task as it is, and then on each of its variants.

    A model encodes each text once: texts that a perturbation left as they were are not encoded again.

    Args:
        plan: What is to be compared.
        location: Where data lies and copies are kept.
        progress: Called with what is encoded, texts done and texts in all.

    Raises:
        UserError: If a model, the data or what a perturbation needs cannot be loaded.
    """
    task = plan.source.task(location)
    variants = perturbed_variants(task, plan, location, progress)
    unperturbed = Variant(None, PerturbedTask(task, {}, {}), {})
    for name, model in plan.models.items():
        questions, passages = _embeddings(model, plan, location, name, progress)
        yield _evaluated(name, unperturbed, questions, passages, MeasuredTask.of(task))
        for of_perturbation in variants:
            more_questions, more_passages = questions.branch(), passages.branch()
            for variant in of_perturbation:
                what = MeasuredTask.of(task, _words(variant.perturbation, plan.side))
                yield _evaluated(name, variant, more_questions, more_passages, what)


def language_measures(scores: pa.Table) -> dict[str, dict[str, float]]:
    """Return every measure of the questions in each language alone, by language."""
    import pyarrow.compute as pc  # pyarrow takes long to import

    languages = scores["question_language"]
    return {
        language: summarise(scores.filter(pc.equal(languages, language))).summary
        for language in languages.unique().to_pylist()
    }


def _words(perturbation: Perturbation | None, side: Side) -> str | None:
    """Return a perturbation for people: ``typos 0.1 of questions, seed 0``; None for none."""
    if perturbation is None:
        return None
    where = f" of {'questions and passages' if side == 'both' else side}"
    of_side = where if isinstance(perturbation, TextPerturbation) else ""
    return f"{perturbation.kind} {perturbation.strength:g}{of_side}, seed {perturbation.seed}"


def _evaluated(
    name: str, variant: Variant, questions: TextEmbeddings, passages: TextEmbeddings, what: MeasuredTask
) -> Evaluated:
    task = variant.perturbed.task
    questions_QD, candidates_ND = (
        embeddings.of(*(column_of(rows, column).to_pylist() for column in ("text", "language")))
        for embeddings, rows in ((questions, task.questions), (passages, task.candidates))
    )
    result, scores = evaluate_embeddings(task, questions_QD, candidates_ND)
    return Evaluated(name, variant, result, language_measures(scores), what.noted_in(scores))


def _extra_pool(
    task: RetrievalTask, perturbation: PoolPerturbation, plan: Plan, location: DataLocation, progress: Progress | None
) -> ExtraPool:
    extra = ExtraPool.of(task, perturbation.pool.task(location))
    if not perturbation.needs_nearness:
        return extra
    model = perturbation.model or next(iter(plan.models.values()))
    questions, passages = _embeddings(model, plan, location, perturbation.kind, progress)

    def embed(texts: Sequence[str], languages: Sequence[str], are_questions: bool) -> Tensor:
        return (questions if are_questions else passages).of(texts, languages)

    return extra.measured(task, embed)


def _embeddings(
    model: str, plan: Plan, location: DataLocation, name: str, progress: Progress | None
) -> tuple[TextEmbeddings, TextEmbeddings]:
    """Return the embeddings of questions and of passages by a model, none of them made yet."""
    loaded = load_model(model)
    loaded.encoder.to(plan.device)

    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(f"{name}: {what}", done, total)

    questions, passages = (
        TextEmbeddings(loaded, role, location.cache, prefix=prefix, device=plan.device, progress=told(what))
        for role, prefix, what in zip(_ROLES, plan.prefixes, ("questions", "passages"), strict=True)
    )
    return questions, passages


def _examples(task: RetrievalTask, perturbation: TextPerturbation) -> dict[str, tuple[str, str]]:
    """Return for each language the first question that is changed; languages without one are left out."""
    found: dict[str, tuple[str, str]] = {}
    languages, texts = (column_of(task.questions, column).to_pylist() for column in ("language", "text"))
    for language, text in zip(languages, texts, strict=True):
        if language not in found and (after := perturbation.perturbed(text, language)) != text:
            found[language] = (text, after)
    return found
