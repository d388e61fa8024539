"""What probes read from the layers of models: the table that the terminal, the page, JSON and CSV show.

Keys of ``probe --json``:

- ``dataset``, ``languages``, ``passages`` (N), ``chance`` (1/N), ``negatives``, ``seed``; ``items``: number of items of
  the parts ``training``, ``validation``, ``test``; ``examples``: by setting, of each part.
- ``models``: by name in the comparison: ``model`` (folder or hub name), ``layers`` (the embedding output among them),
  ``pooling``.
- ``accuracies``: list of ``model``, ``layer`` (0: the embedding output), ``setting`` (``mono``, ``cross``), ``reading``
  (``cosine``, ``concatenation``, ``product``), ``accuracy``, ``low``, ``high``, ``control``, ``selectivity`` (accuracy
  less control), ``selectivity_low``, ``selectivity_high``, ``penalty``, ``cells`` (``en-de``: accuracy, language of the
  question first).
- ``leakage``: what is known of text shared between what the models learnt from and the data set.

Numbers that are not defined (the control of the cosine, which learns nothing) are null.

Shape legend: E examples of the test part, I items, C cells, M figures (accuracy, control, selectivity).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.probe_examples import PROBE_SETTINGS, ProbeExamples, ProbeSetting, ProbeTask
from hybridbatch.evaluation.probe_layers import LayerPicks, ProbedModel, ProbePlan, Reading
from hybridbatch.metrics.significance.bootstrap import paired_bootstrap
from hybridbatch.metrics.significance.clustered_means import ClusteredMeans
from hybridbatch.report.export import finite

RESAMPLES, ALPHA = 2000, 0.05
_ALL = "*"


@dataclass(frozen=True)
class LayerAccuracy:
    """How often the relevant passage was picked from the states of one layer.

    Attributes:
        model: The model's name in the comparison.
        layer: The layer; 0 is the embedding output.
        setting: Whether the relevant passage is in the language of the question.
        reading: ``cosine`` (nothing is learnt) or the form of the probe.
        accuracy: Unweighted mean over cells.
        low: Lower end of its 95% interval, by item; None with fewer than two items.
        high: Upper end.
        control: Accuracy of a probe on the control task; None for the cosine.
        selectivity: Accuracy less control.
        selectivity_low: Lower end of its interval.
        selectivity_high: Upper end.
        penalty: The penalty that was chosen on the validation part.
        cells: Accuracy by ``"question language-passage language"``.
    """

    model: str
    layer: int
    setting: ProbeSetting
    reading: Reading
    accuracy: float
    low: float | None
    high: float | None
    control: float | None
    selectivity: float | None
    selectivity_low: float | None
    selectivity_high: float | None
    penalty: float | None
    cells: dict[str, float]


@dataclass(frozen=True)
class ProbeTable:
    """Models compared layer by layer.

    Attributes:
        plan: What was probed, and how.
        dataset: Name of the data set.
        task: The examples.
        models: Folder or hub name of each model, by its name in the comparison.
        probed: What was read from each.
        rows: All accuracies: by model, layer, setting and reading.
        leakage: What is known of text shared between what the models learnt from and the data set.
    """

    plan: ProbePlan
    dataset: str
    task: ProbeTask
    models: Mapping[str, str]
    probed: Mapping[str, ProbedModel]
    rows: tuple[LayerAccuracy, ...]
    leakage: tuple[str, ...]

    @property
    def chance(self) -> float:
        """Accuracy of picking blindly."""
        return 1 / self.plan.settings.passages

    @property
    def settings(self) -> tuple[ProbeSetting, ...]:
        """The settings that the data set has."""
        return tuple(one for one in PROBE_SETTINGS if one in self.task.examples)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The ways in which layers were read."""
        return ("cosine", *self.plan.forms)

    def of(self, model: str, setting: ProbeSetting, reading: Reading) -> list[LayerAccuracy]:
        """Return the accuracies of one model in one setting and reading, by layer."""
        return [row for row in self.rows if (row.model, row.setting, row.reading) == (model, setting, reading)]


def probe_table(
    plan: ProbePlan,
    task: ProbeTask,
    models: Mapping[str, str],
    probed: Mapping[str, ProbedModel],
    leakage: tuple[str, ...],
) -> ProbeTable:
    """Return the table of all that was picked.

    Args:
        plan: What was probed, and how.
        task: The examples.
        models: The models as the user named them, by their names in the comparison.
        probed: What was read from each.
        leakage: What is known of shared text.
    """
    rows = [
        _accuracy(model, one, task.examples[one.setting]["test"], task, plan.settings.seed)
        for model, of_model in probed.items()
        for one in of_model.picks
    ]
    return ProbeTable(plan, plan.source.dataset, task, models, probed, tuple(rows), leakage)


def probe_json(table: ProbeTable) -> dict[str, Any]:
    """Return what ``probe --json`` prints; the module's text documents the keys."""
    settings = table.plan.settings
    plain = {
        "dataset": table.dataset,
        "languages": list(dict.fromkeys(question for question, _ in table.task.cells)),
        "passages": settings.passages,
        "chance": table.chance,
        "negatives": settings.negatives,
        "seed": settings.seed,
        "items": dict(table.task.items),
        "examples": {
            setting: {part: len(examples) for part, examples in parts.items()}
            for setting, parts in table.task.examples.items()
        },
        "models": {
            name: {"model": table.models[name], "layers": one.layers, "pooling": one.pooling}
            for name, one in table.probed.items()
        },
        "accuracies": [asdict(row) for row in table.rows],
        "leakage": list(table.leakage),
    }
    content: dict[str, Any] = finite(plain)
    return content


def probe_csv(table: ProbeTable) -> str:
    """Return one CSV row for each model, layer, setting, reading and cell (``*``: their mean, with its interval)."""
    text = io.StringIO()
    figures = ["accuracy", "low", "high", "control", "selectivity", "selectivity_low", "selectivity_high", "penalty"]
    names = ["model", "layer", "setting", "reading", "cell", *figures]
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in table.rows:
        content = finite(asdict(row))
        cells = content.pop("cells")
        writer.writerow(content | {"cell": _ALL})
        places = {name: content[name] for name in names[:4]}
        writer.writerows(places | {"cell": cell, "accuracy": accuracy} for cell, accuracy in cells.items())
    return text.getvalue()


def _accuracy(model: str, picks: LayerPicks, test: ProbeExamples, task: ProbeTask, seed: int) -> LayerAccuracy:
    cells, cell_E = np.unique(test.cell_E, return_inverse=True)
    _, item_E = np.unique(test.item_E, return_inverse=True)
    has_control = picks.control_E is not None
    figures = [picks.is_right_E.astype(np.float64)]
    if picks.control_E is not None:
        figures += [picks.control_E.astype(np.float64), figures[0] - picks.control_E]
    means = _means(figures, item_E, cell_E)
    drawn = paired_bootstrap(means, resamples=RESAMPLES, seed=seed, alpha=ALPHA)
    shares_C = np.bincount(cell_E, figures[0]) / np.bincount(cell_E)
    point, low, high = (
        [None if np.isnan(value) else float(value) for value in of] for of in (means.point_M, drawn.low_M, drawn.high_M)
    )
    return LayerAccuracy(
        model=model,
        layer=picks.layer,
        setting=picks.setting,
        reading=picks.reading,
        accuracy=float(means.point_M[0]),
        low=low[0],
        high=high[0],
        control=point[1] if has_control else None,
        selectivity=point[2] if has_control else None,
        selectivity_low=low[2] if has_control else None,
        selectivity_high=high[2] if has_control else None,
        penalty=picks.penalty,
        cells={"-".join(task.cells[cell]): float(share) for cell, share in zip(cells, shares_C, strict=True)},
    )


def _means(figures: list[NDArray[np.float64]], item_E: NDArray[np.int64], cell_E: NDArray[np.int64]) -> ClusteredMeans:
    """Return each figure as the mean over cells of means over examples, summed by item."""
    items, cells = int(item_E.max()) + 1, int(cell_E.max()) + 1
    place_E = item_E * cells + cell_E
    counts_IC = np.bincount(place_E, minlength=items * cells).reshape(items, cells).astype(np.float64)
    sums = [np.bincount(place_E, figure_E, minlength=items * cells).reshape(items, cells) for figure_E in figures]
    return ClusteredMeans(
        sums_IC=np.concatenate(sums, axis=1),
        counts_IC=np.tile(counts_IC, len(figures)),
        member_CM=np.repeat(np.eye(len(figures), dtype=np.float64), cells, axis=0),
    )
