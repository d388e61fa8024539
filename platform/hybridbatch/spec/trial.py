"""What one trial is asked to do, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hybridbatch.spec.experiment import Experiment

TrialState = Literal["complete", "pruned", "failed"]


class Record(BaseModel):
    """A record kept in a trial folder: frozen; unknown keys of newer versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class TrialSpec(Record):
    """One trial: the experiment with every searched value put in its place.

    Attributes:
        study: Name of the study.
        number: Optuna's number of the trial in its study: its identity.
        params: The searched values by dotted path, empty for a baseline.
        baseline: Name of the baseline that this trial is a replicate of, None for a searched trial.
        experiment: The experiment with ``params`` (or the baseline's values) applied.
        replicate_of: Number of the trial of the search that this one runs again with another seed, None for others.
    """

    study: str
    number: int
    params: dict[str, Any]
    baseline: str | None
    experiment: Experiment
    replicate_of: int | None = None


class Rung(Record):
    """One evaluation on the selection set during training.

    Attributes:
        step: Optimizer steps done.
        seconds: Training time up to here, evaluation included.
        train_loss: Mean training loss since the rung before.
        summary: All measures of the selection set, such as ``map_multi``.
        measured: When, ISO 8601 time in UTC; None in older records.
    """

    step: int
    seconds: float
    train_loss: float | None
    summary: dict[str, float]
    measured: str | None = None


class DatasetResult(Record):
    """All measures of one data set; what ``hybridbatch evaluate --json`` prints.

    Attributes:
        dataset: Name of the data set.
        questions: Number of questions, all languages together.
        candidates: Number of candidates, all languages together.
        summary: Every headline measure by name: ``map_mono``, ``recall10_multi``, ``rank_distance`` and so on.
        cells: mAP of every setting, ``"en-de"``: questions in English, candidates in German.
        multi: mAP over the pooled candidates by language of the question.
        bias: Rank distance by language of the question.
        answer_languages: By language of the question, the share of questions whose best-ranked answer among all
            candidates is in each language: ``{"en": {"en": 0.7, "de": 0.3}}``; empty in older records.
        more_cells: Cells of further measures by name, where the data set has them: ``accuracy`` and ``pair_ap`` of
            right against wrong choices, ``error_rate`` of bitext.
        seconds: Wall time of the evaluation.
    """

    dataset: str
    questions: int
    candidates: int
    summary: dict[str, float]
    cells: dict[str, float]
    multi: dict[str, float]
    bias: dict[str, float]
    answer_languages: dict[str, dict[str, float]] = {}
    more_cells: dict[str, dict[str, float]] = {}
    seconds: float


class CurvePoint(Record):
    """One point of the training curve.

    Attributes:
        step: Optimizer steps done.
        loss: Mean loss since the point before.
        learning_rate: Learning rate of the step.
        temperature: Temperature after it.
        pairs_per_second: Pairs of the global batch per second since the point before.
        waited: Share of that time in which steps waited for their texts.
        terms: What of the loss is InfoNCE (``info_nce``) and what comes from each arm, by its name; empty for a loss
            without terms of arms, and in older records.
    """

    step: int
    loss: float
    learning_rate: float
    temperature: float
    pairs_per_second: float
    waited: float = 0.0
    terms: dict[str, float] = {}


class Halving(Record):
    """A part of a batch that did not fit into the accelerator's memory, so that parts are smaller from then on.

    Attributes:
        step: The step that was repeated; of other workers than the first, the last step before they told.
        chunk_tokens: Tokens of a part since then, padding included.
    """

    step: int
    chunk_tokens: int


class StageRecord(Record):
    """Training before the first step of a trial, the outcome of which is shared by all trials that begin alike.

    Attributes:
        arm: Name of the arm.
        outcome: Fingerprint of all that the outcome depends on: its folder below ``stages`` in the cache.
        steps: Optimizer steps.
        loss: The last loss that was noted.
        seconds: Wall time of the attempt that finished it, in whichever trial.
        from_cache: Whether it was there already, made by another trial or by an earlier attempt.
    """

    arm: str
    outcome: str
    steps: int
    loss: float
    seconds: float
    from_cache: bool


class Mixture(Record):
    """What the mixture of a trial became.

    Attributes:
        batches: Batches by kind.
        datasets: Batches by data set.
        pairs: Pairs by ``"query language-passage language"``.
        left_out: Training sets, or languages of them, with fewer items than a batch of a kind needs: no batch of that
            kind held any of them.
    """

    batches: dict[str, int]
    datasets: dict[str, int]
    pairs: dict[str, int]
    left_out: tuple[str, ...] = ()


class TrialResult(Record):
    """The outcome of a trial, the whole truth of which lies in its folder.

    Attributes:
        state: ``complete``, ``pruned`` or ``failed``.
        reason: Why the trial was pruned or failed.
        values: The objectives in the order of ``search.objectives``; None unless complete.
        steps: Optimizer steps done.
        best_step: The step whose weights were kept (the last, unless early stopping chose another).
        rungs: Evaluations on the selection set.
        report: Results on the report sets by data set; empty unless complete.
        mixture: What the batches held.
        halvings: Where parts of a batch became smaller for want of memory; the loss and its negatives stayed the same.
        stages: What was trained before the first step; its time is no part of ``seconds``, since trials share it.
        seconds: Wall time by part: ``train``, ``evaluate``, ``total``.
        provenance: Git revision, packages, fingerprints of data and tokenizer, commit of the pretrained
            weights, what each arm read (fingerprints of files and texts, the commit of a teacher), how many hard
            negatives there are and were left out, threads, device.
        leakage: What is known of text shared between training and report sets.
        replicate_of: As in the spec.
        started: ISO 8601 time in UTC.
        first_step: When the attempt that finished the trial began its first optimizer step, ISO 8601 time in UTC; None
            when it began none, and in older records.
        finished: ISO 8601 time in UTC.
    """

    study: str
    number: int
    baseline: str | None
    params: dict[str, Any]
    state: TrialState
    reason: str | None
    values: tuple[float, ...] | None
    seed: int
    steps: int
    best_step: int
    rungs: tuple[Rung, ...]
    report: dict[str, DatasetResult]
    mixture: Mixture
    halvings: tuple[Halving, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    seconds: dict[str, float]
    provenance: dict[str, Any]
    leakage: tuple[str, ...]
    replicate_of: int | None = None
    started: str
    first_step: str | None = None
    finished: str

    @property
    def selection(self) -> dict[str, float]:
        """Measures on the selection set at the step whose weights were kept, else at the last evaluation."""
        rungs = [rung for rung in self.rungs if rung.step == self.best_step] or list(self.rungs)
        return dict(rungs[-1].summary) if rungs else {}
