"""Every figure that hybridbatch exports for Prometheus, in one table.

Ray puts ``ray_`` before each name; Prometheus sees a counter as ``ray_NAME_total`` and a histogram as
``ray_NAME_bucket``, ``ray_NAME_sum`` and ``ray_NAME_count``. Ray adds labels of its own (``NodeAddress``,
``SessionName``, ``WorkerId`` and others).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


@dataclass(frozen=True)
class ExportedMetric:
    """A figure that is exported.

    Attributes:
        name: As it is given to Ray.
        kind: Whether it only grows, goes up and down, or is a distribution.
        unit: What one is.
        tags: Names of its labels.
        help: What it says.
        buckets: Upper bounds of the buckets of a histogram, in its unit.
    """

    name: str
    kind: Kind
    unit: str
    tags: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names that Prometheus knows it by."""
        return tuple(f"ray_{self.name}{suffix}" for suffix in _SUFFIXES[self.kind])


_TABLE = (
    ExportedMetric(
        "hybridbatch_trials",
        "gauge",
        "trials",
        ("study", "state"),
        "Trials by state as the ledger has them: complete, pruned, failed, running, waiting",
    ),
    ExportedMetric(
        "hybridbatch_steps",
        "counter",
        "steps",
        ("study",),
        "Optimizer steps that were done, those done again after an interruption included",
    ),
    ExportedMetric(
        "hybridbatch_pairs",
        "counter",
        "pairs",
        ("study",),
        "Question-passage pairs that were trained on, over all workers of a trial",
    ),
    ExportedMetric(
        "hybridbatch_training_loss", "gauge", "nats", ("study", "trial"), "Mean loss of the newest steps of a trial"
    ),
    ExportedMetric(
        "hybridbatch_selection_measure",
        "gauge",
        "as the measure",
        ("study", "trial", "measure"),
        "Newest evaluation of a trial on the selection set: mAP, bias and the objectives of the search",
    ),
    ExportedMetric(
        "hybridbatch_interruptions",
        "gauge",
        "attempts",
        ("study", "cause"),
        "Attempts at trials that were interrupted, by cause, over the whole life of the study",
    ),
    ExportedMetric(
        "hybridbatch_repeated_steps",
        "gauge",
        "steps",
        ("study",),
        "Steps that were done again after an interruption, over the whole life of the study",
    ),
    ExportedMetric(
        "hybridbatch_ledger_seconds",
        "histogram",
        "seconds",
        ("study", "call"),
        "How long a call of the ledger took, locks waited for included",
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    ),
)

METRICS: dict[str, ExportedMetric] = {one.name: one for one in _TABLE}
