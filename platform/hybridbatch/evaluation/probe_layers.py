"""How well each layer of a model tells which of N passages answers a question.

Shape legend: E examples of the test part, U questions, V passages, H width of the states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hybridbatch.evaluation.layer_states import LayerStates, layer_states
from hybridbatch.evaluation.linear_probe import FORMS, FormName, Readings, cosine_picks, trained_probe
from hybridbatch.evaluation.load_model import LoadedModel, load_model
from hybridbatch.evaluation.probe_examples import (
    Part,
    ProbeExamples,
    ProbeSetting,
    ProbeSettings,
    ProbeTask,
    probe_task,
)
from hybridbatch.foundation.errors import readable_disk_errors
from hybridbatch.spec.sources import DataLocation, SourceSettings

Floats = NDArray[np.float32]
Reading = Literal["cosine"] | FormName
Progress = Callable[[str, int, int], None]  # what is done, how much, of how much

_ROUNDING = 1e-5  # of the size of states: what float32 leaves of sums over a few hundred dimensions


@dataclass(frozen=True)
class LayerPicks:
    """What was picked from the states of one layer, in one setting and one way.

    Attributes:
        layer: The layer; 0 is the embedding output.
        setting: Whether the relevant passage is in the language of the question.
        reading: How it was read: by cosine, without learning, or by a form of probe.
        is_right_E: Whether the relevant passage was picked.
        control_E: Whether a probe trained on the control task picked what that asks for; None for the cosine.
        penalty: The penalty that was chosen; None for the cosine.
    """

    layer: int
    setting: ProbeSetting
    reading: Reading
    is_right_E: NDArray[np.bool_]
    control_E: NDArray[np.bool_] | None = None
    penalty: float | None = None


@dataclass(frozen=True)
class ProbedModel:
    """All that was picked from the layers of one model.

    Attributes:
        layers: Number of layers, the embedding output among them.
        pooling: How the states of a text became one.
        picks: By layer, setting and reading.
    """

    layers: int
    pooling: str
    picks: tuple[LayerPicks, ...]


@dataclass(frozen=True)
class ProbePlan:
    """What is probed, and how.

    Attributes:
        source: The data set.
        settings: How examples are drawn.
        forms: The forms of probes.
        prefixes: Put before questions and passages; None takes what a model states.
        device: Where to encode.
    """

    source: SourceSettings
    settings: ProbeSettings
    forms: tuple[FormName, ...] = tuple(FORMS)
    prefixes: tuple[str | None, str | None] = (None, None)
    device: str = "cpu"


def probe_examples(plan: ProbePlan, location: DataLocation) -> ProbeTask:
    """Return the examples that all models are probed on.

    Raises:
        UserError: If the data cannot be loaded, or hold too few items.
    """
    return probe_task(plan.source.task(location), plan.settings)


def probe_model(
    model: str, plan: ProbePlan, task: ProbeTask, location: DataLocation, progress: Progress | None = None
) -> ProbedModel:
    """Return what probes read from every layer of a model.

    Each distinct text is encoded once, and the states of all layers are kept in files below the cache until the last
    probe is trained. Probes are trained with one thread of numpy: their weights do not depend on the machine's cores.

    Args:
        model: Folder or hub name.
        plan: How.
        task: The examples.
        location: Where data lies and copies are kept.
        progress: Called with what is done, how much and of how much.

    Raises:
        UserError: If the model cannot be loaded, or gives no states of its layers.
    """
    from threadpoolctl import threadpool_limits

    loaded = load_model(model)
    loaded.encoder.to(plan.device)
    with readable_disk_errors(location.cache):
        location.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="layers-", dir=location.cache) as folder:
        questions, passages = _states(loaded, plan, task, Path(folder), progress)
        picks: list[LayerPicks] = []
        with threadpool_limits(1):
            for layer in range(len(questions.files)):
                picks += _picks(layer, questions.layer(layer), passages.layer(layer), task, plan.forms)
                if progress:
                    progress("layers", layer + 1, len(questions.files))
    return ProbedModel(len(questions.files), loaded.encoder.pooling, tuple(picks))


def _states(
    loaded: LoadedModel, plan: ProbePlan, task: ProbeTask, folder: Path, progress: Progress | None
) -> tuple[LayerStates, LayerStates]:
    def told(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    device, (of_question, of_passage) = plan.device, plan.prefixes
    return (
        layer_states(
            loaded, "query", task.questions, folder, prefix=of_question, device=device, progress=told("questions")
        ),
        layer_states(
            loaded, "passage", task.passages, folder, prefix=of_passage, device=device, progress=told("passages")
        ),
    )


def _picks(
    layer: int, questions_UH: Floats, passages_VH: Floats, task: ProbeTask, forms: tuple[FormName, ...]
) -> Iterator[LayerPicks]:
    for setting, examples in task.examples.items():
        test = examples["test"]
        yield LayerPicks(layer, setting, "cosine", cosine_picks(questions_UH, passages_VH, test) == test.right_E)
    for setting, examples in task.examples.items():
        training = examples["training"]
        standard = (
            _standardised(questions_UH, training.question_E),
            _standardised(passages_VH, training.passages_EN.ravel()),
        )
        for form in forms:
            yield _probed(layer, setting, form, standard, examples)


def _probed(
    layer: int,
    setting: ProbeSetting,
    form: FormName,
    states: tuple[Floats, Floats],
    parts: Mapping[Part, ProbeExamples],
) -> LayerPicks:
    readings = {part: Readings(*states, examples) for part, examples in parts.items()}

    def outcome(asked: str) -> tuple[NDArray[np.bool_], float]:
        asked_of = {part: getattr(examples, asked) for part, examples in parts.items()}
        probe = trained_probe(
            FORMS[form],
            (readings["training"], asked_of["training"]),
            (readings["validation"], asked_of["validation"]),
        )
        return probe.picks(readings["test"]) == asked_of["test"], probe.penalty

    is_right_E, penalty = outcome("right_E")
    return LayerPicks(layer, setting, form, is_right_E, outcome("control_E")[0], penalty)


def _standardised(states_UH: Floats, row_E: NDArray[np.int64]) -> Floats:
    """Return states with mean 0 and deviation 1 in each dimension over the texts of the training part.

    A dimension that only varies by rounding stays as small as it is: scaled up, rounding can give the answer away.
    """
    known_UH = states_UH[np.unique(row_E)].astype(np.float64)
    deviation_H, size = known_UH.std(axis=0), np.sqrt(np.mean(known_UH**2))
    scaled_UH = (states_UH - known_UH.mean(axis=0)) / np.where(deviation_H > _ROUNDING * size, deviation_H, 1.0)
    return np.asarray(scaled_UH, dtype=np.float32)
