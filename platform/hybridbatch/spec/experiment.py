"""The experiment: everything that an experiment file can say, validated and frozen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from hybridbatch.foundation.registries import ARMS, BACKBONES, BATCH_KINDS, DATASETS, NEGATIVES, PRUNERS, SAMPLERS
from hybridbatch.spec.adapters import Lora
from hybridbatch.spec.budget import Budget
from hybridbatch.spec.constraints import Constraint, each_once
from hybridbatch.spec.dotted_paths import overlap
from hybridbatch.spec.names import NAME_PATTERN
from hybridbatch.spec.objectives import Objective
from hybridbatch.spec.points import refuse_outside
from hybridbatch.spec.replicates import Replicates, refuse_replicates
from hybridbatch.spec.resources import Resources, Stores
from hybridbatch.spec.search_space import KEYS, Choice, IntegerRange, LogUniform, Uniform, distribution_name
from hybridbatch.spec.seeds import Seed, Seeds
from hybridbatch.spec.settings import ChosenFrom, EachFrom, Settings, rejected, unknown_name
from hybridbatch.spec.sources import SourceSettings
from hybridbatch.spec.stopping import Stop
from hybridbatch.spec.warm_start import WarmStart, refuse_warm_start

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

Source = Annotated[SourceSettings, ChosenFrom(DATASETS, "dataset")]


class AllowedOverlap(Settings):
    """Leave to train on text that a report set contains, with the reason that is recorded beside every figure."""

    reason: Annotated[str, Field(min_length=10)]


class Data(Settings):
    """What is learnt from and what is measured on.

    Attributes:
        train: Training sets; each batch comes from one of them.
        size_exponent: A set is drawn with weight (items usable by the batch kind) ** size_exponent: 1 by size, 0 all
            alike.
        selection: The set that pruning, early stopping and the search look at.
        report: Sets that are looked at once, at the end of a trial.
        allow_overlap: Given when training text may stand in a report set too.
        leakage: What is known of leakage beyond shared text, such as articles in common; recorded beside every figure.
    """

    train: Annotated[tuple[Source, ...], Field(min_length=1)]
    size_exponent: Annotated[float, Field(ge=0, le=4)] = 1.0
    selection: Source
    report: tuple[Source, ...] = ()
    allow_overlap: AllowedOverlap | None = None
    leakage: tuple[str, ...] = ()

    @field_validator("report")
    @classmethod
    def _reported_once(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        if any(source in sources[:index] for index, source in enumerate(sources)):
            names = [source.dataset for source in sources]
            raise rejected("a data set is reported twice", seen=names, allowed="each data set once")
        return sources


class Batches(Settings):
    """How batches are drawn (arXiv 2408.10536).

    Attributes:
        size: Pairs in the global batch, over all workers.
        mix: Weight of each batch kind; each batch is of one kind. One kind alone is that kind pure.
        hard_negatives: Further passages that each question has to tell from its own, and where they come from; null for
            in-batch negatives alone. Which pairs a batch holds does not depend on it.
    """

    size: Annotated[int, Field(ge=2)] = 64
    mix: dict[str, Annotated[float, Field(ge=0)]] = {"monolingual": 0.5, "crosslingual": 0.5}
    hard_negatives: Annotated[Settings, ChosenFrom(NEGATIVES, "source")] | None = None

    @field_validator("mix")
    @classmethod
    def _some_weight(cls, mix: dict[str, float]) -> dict[str, float]:
        kinds = BATCH_KINDS.entries()
        for kind in mix:
            if kind not in kinds:
                raise unknown_name(BATCH_KINDS.kind, kind, kinds, at=kind)
        if not sum(mix.values()) > 0:
            raise rejected("the weights of the mix sum to 0", seen=mix, allowed="at least one positive weight")
        return mix


class Loss(Settings):
    """InfoNCE over the batch (arXiv 1807.03748, as used by arXiv 2408.10536).

    Attributes:
        temperature: What the cosine scores are divided by; the start value when it is learnt.
        learn_temperature: Whether the temperature is trained with the encoder; not below 0.01 (CLIP, arXiv 2103.00020),
            or below its start value where that is lower.
        directions: Whether questions choose passages, or also passages choose questions (mean of both).
        mask_equal_passages: Whether passages with the positive's own text are left out of the negatives.
        mask_translations: Whether passages of items that share a passage with the positive's item, in whatever
            language, are left out of the negatives, too: in SQuAD several questions share a sentence.
        matryoshka: Widths, smaller than the embedding's, at which the loss is taken beside the whole embedding, the
            mean over all (Matryoshka representation learning, arXiv 2205.13147): the first numbers of an embedding are
            then an embedding.
    """

    temperature: Annotated[float, Field(gt=0, le=10)] = 0.05
    learn_temperature: bool = False
    directions: Literal["question-to-passage", "both"] = "both"
    mask_equal_passages: bool = True
    mask_translations: bool = False
    matryoshka: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @field_validator("matryoshka")
    @classmethod
    def _each_width_once(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(widths)) < len(widths):
            raise rejected("a width stands twice", seen=list(widths), allowed="each width once")
        return widths


Arms = EachFrom(ARMS, "Arms", "What is done beyond plain hybrid batches; an arm that is left out, or null, is off.")


class EarlyStopping(Settings):
    """Stop when the selection set no longer gets better, and keep the best weights.

    Attributes:
        patience: Evaluations without improvement before the trial ends.
        minimum_improvement: What counts as improvement of the first objective.
    """

    patience: Count = 3
    minimum_improvement: Annotated[float, Field(ge=0)] = 0.0


class Training(Settings):
    """How one trial is trained (AdamW, arXiv 1711.05101).

    Attributes:
        steps: Optimizer steps.
        learning_rate: Peak learning rate.
        weight_decay: AdamW's decoupled weight decay; biases and norms are exempt.
        warmup: Share of the steps in which the learning rate rises linearly from 0.
        schedule: How it falls afterwards, to 0.
        clip_norm: Largest norm of the gradient; None leaves gradients as they are.
        evaluate_every: Steps between evaluations on the selection set: the rungs at which pruning decides.
        early_stopping: When given, ends training early.
        seed: Seed of initial weights, batches and dropout.
        threads: Threads of each worker: part of the trial, since sums depend on it to the last bit.
        precision: ``bf16`` computes the encoder's matrix products in bfloat16 (autocast) and keeps weights, sums and
            the loss in float32.
        chunk_tokens: Tokens that go through the encoder together, padding included (GradCache, arXiv 2101.06983): the
            rest of the batch waits, and is encoded twice. The loss and the number of negatives stay the same.
            ``auto`` takes the whole batch, and the largest half, quarter and so on that fits where a GPU's memory is
            too small.
        gradient_checkpointing: Whether states inside the encoder are computed again instead of kept: less memory,
            about a third more time.
        compile: Whether the encoder is compiled (``torch.compile``), which takes minutes and a C++ compiler.
        lora: When given, only low-rank adapters in the encoder are trained; the model that is saved has them in its
            weights.
        freeze_embeddings: Whether the encoder's embeddings stay as they are: of tokens and positions, and their norm.
        freeze_layers: How many of the lowest layers of the encoder stay as they are.
        layer_decay: Layer k of n has ``layer_decay ** (n - k)`` times the learning rate, the embeddings
            ``layer_decay ** n`` times (arXiv 1801.06146); 1 is one rate for all.
        trim_vocabulary: Whether only the rows of the embedding are trained, and kept in the accelerator's memory, that
            some text of the data sets uses. The model that is saved has all rows.
    """

    steps: Count = 1000
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-5
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Fraction = 0.1
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    clip_norm: Positive | None = 1.0
    evaluate_every: Count = 100
    early_stopping: EarlyStopping | None = None
    seed: Seed = 0
    threads: Count = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    chunk_tokens: Count | Literal["auto"] = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    lora: Lora | None = None
    freeze_embeddings: bool = False
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    trim_vocabulary: bool = False

    @model_validator(mode="after")
    def _adapters_leave_nothing_to_freeze(self) -> Training:
        for name in ("freeze_embeddings", "freeze_layers"):
            if self.lora is not None and getattr(self, name):
                problem = "adapters freeze the whole encoder already"
                remedy = "leave it out, or leave `lora` out"
                raise rejected(problem, at=name, seen=getattr(self, name), remedy=remedy)
        return self


AnyDistribution = Annotated[
    Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[IntegerRange, Tag("integer")]
    | Annotated[Choice, Tag("choice")],
    Discriminator(
        distribution_name,
        custom_error_type="distribution",
        custom_error_message="no distribution",
        custom_error_context={"names": ", ".join(KEYS)},
    ),
]


class Search(Settings):
    """What is tried.

    Attributes:
        trials: Searched trials; baselines come on top. None with the grid sampler: the whole grid.
        objectives: What is optimised, on the selection set.
        constraints: Bounds on measures of the selection set; the best trial and the Pareto front are looked for among
            complete trials that keep to all of them, and samplers that learn go there.
        space: Dotted path of the experiment file -> distribution.
        enqueue: Points to try first (dotted path -> value), in this order and among the ``trials``; paths that a point
            leaves out are chosen by the sampler.
        warm_start: Earlier studies of the same ledger, and what is taken from each: points to try after those of
            ``enqueue``, trials to learn from. It is fixed when the study is first opened.
        baselines: Named settings (dotted path -> value) that run first, in full, once for each of ``baseline_seeds``.
        baseline_seeds: Seeds of the baselines: their spread is the seed noise.
        sampler: How values are chosen.
        pruner: How hopeless trials are ended early, by all objectives together; None lets all run.
        seed: Seed of the sampler.
        budget: What the study may use; when it is spent, no further trial begins.
        stop: When the search ends early, with one objective; None tries all ``trials``.
        replicates: More seeds for the best trials, once the search is over; they come on top of ``trials``.
    """

    trials: Annotated[int, Field(ge=0)] | None = None
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = (Objective(metric="map_multi"),)
    constraints: tuple[Constraint, ...] = ()
    space: dict[str, AnyDistribution] = {}
    enqueue: tuple[dict[str, Any], ...] = ()
    warm_start: Annotated[tuple[WarmStart, ...], Field(max_length=8)] = ()
    baselines: dict[str, dict[str, Any]] = {}
    baseline_seeds: Seeds = (0,)
    sampler: Annotated[Settings, ChosenFrom(SAMPLERS, "kind")] = Field(
        default_factory=lambda: SAMPLERS.get("tpe")(kind="tpe")
    )
    pruner: Annotated[Settings, ChosenFrom(PRUNERS, "kind")] | None = None
    seed: Seed = 0
    budget: Budget | None = None
    stop: Stop | None = None
    replicates: Replicates | None = None

    @field_validator("objectives")
    @classmethod
    def _each_metric_once(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        names = [objective.metric for objective in objectives]
        if len(set(names)) < len(names):
            raise rejected("an objective stands twice", seen=names, allowed="each metric once")
        return objectives

    @model_validator(mode="after")
    def _each_path_is_set_once(self) -> Search:
        complements: dict[str, str] = {}
        for path, distribution in self.space.items():
            complement = distribution.complement
            if complement is None:
                continue
            other = path if complement in self.space else complements.get(complement)
            if other is not None:
                raise rejected(
                    "the complement is a path that another value is put at",
                    at=f"space.{path}.complement",
                    seen=complement,
                    allowed="a path that is neither searched nor the complement of another one",
                )
            complements[complement] = path
        for path in (*self.space, *complements):
            if overlap(path, "data.selection"):
                raise rejected(
                    "the selection set cannot be searched: objectives of different sets do not compare",
                    at=f"space.{path if path in self.space else complements[path]}",
                    seen=path,
                )
        return self

    @model_validator(mode="after")
    def _constraints_and_points_are_possible(self) -> Search:
        each_once(self.constraints)
        refuse_outside(self.enqueue, self.space, "enqueue")
        if self.enqueue and isinstance(self.sampler, SAMPLERS.get("grid")):
            problem = "the grid has every point already, in an order of its own"
            raise rejected(problem, at="enqueue", remedy="leave enqueue out, or take another sampler")
        refuse_warm_start(self.warm_start, self.space, self.sampler, "warm_start")
        paths = [path for name, one in self.space.items() for path in (name, one.complement) if path is not None]
        refuse_replicates(self.replicates, paths, "replicates")
        return self

    @model_validator(mode="after")
    def _something_can_be_gained(self) -> Search:
        if self.stop is not None and len(self.objectives) > 1:
            problem = "with several objectives there is no single best value to gain on"
            remedy = "leave stop out, or take one objective and search.constraints"
            raise rejected(problem, at="stop", seen=[one.metric for one in self.objectives], remedy=remedy)
        if self.stop is not None and not self.space:
            raise rejected("nothing is searched that could end early", at="stop", remedy="leave stop out")
        return self

    @model_validator(mode="after")
    def _baselines_differ_by_seed_alone(self) -> Search:
        for name, values in self.baselines.items():
            if any(overlap(path, "data.selection") for path in values):
                problem = "a baseline has the selection set of the others: objectives of different sets do not compare"
                raise rejected(problem, at=f"baselines.{name}", seen=values)
            if "training.seed" in values and len(self.baseline_seeds) > 1:
                raise rejected(
                    "all replicates of this baseline would have one seed",
                    at=f"baselines.{name}",
                    seen=values,
                    allowed="seeds under search.baseline_seeds, or one baseline seed alone",
                )
        return self


class Experiment(Settings):
    """One experiment file.

    Attributes:
        name: Name of the study that it makes.
        question: What it is to find out.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    question: str = ""
    data: Data
    backbone: Annotated[Settings, ChosenFrom(BACKBONES, "kind")]
    batches: Batches = Batches()
    loss: Loss = Loss()
    arms: Annotated[Settings, Arms] = Field(default_factory=Arms.settings)
    training: Training = Training()
    search: Search = Field(default_factory=Search)
    resources: Resources = Resources()
    stores: Stores = Stores()

    @model_validator(mode="after")
    def _batch_divides_among_workers(self) -> Experiment:
        if self.batches.size % self.resources.fewest_workers:
            raise rejected(
                f"must be a multiple of resources.workers, {self.resources.fewest_workers}",
                at="batches.size",
                seen=self.batches.size,
                remedy="every worker takes an equal part of each batch",
            )
        return self

    @model_validator(mode="after")
    def _starts_from_others(self) -> Experiment:
        for index, entry in enumerate(self.search.warm_start):
            if entry.study == self.name:
                at = f"search.warm_start.{index}.study"
                raise rejected("a study cannot begin with itself", at=at, seen=self.name, allowed="an earlier study")
        return self

    def workers_at_work(self, present: int) -> int:
        """Return how many of the workers that are there take part: as many as share every batch evenly."""
        of_arms = [getattr(settings, "batch_size", None) for _, settings in self.arms]
        sizes = [self.batches.size, *(size for size in of_arms if size is not None)]
        return max(workers for workers in range(1, present + 1) if all(size % workers == 0 for size in sizes))
