"""The card of an exported model: what it is, how to use it, what it learnt from, and how it was measured."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridbatch.report.collect import collect
from hybridbatch.report.naming import measure_name, measure_text
from hybridbatch.report.rendering import templates
from hybridbatch.tracking.cells import cell_languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hybridbatch.report.collect import StudyTable, TrialRow
    from hybridbatch.spec.experiment import Data, Experiment
    from hybridbatch.spec.folders import StudyFolder, TrialFolder
    from hybridbatch.spec.sources import SourceSettings

_MEASURES = (
    "map_mono", "map_cross", "map_multi", "recall1_mono", "recall1_cross", "recall10_multi", "ndcg10_mono",
    "recall100_mono", "accuracy_mono", "accuracy_cross", "pair_ap_mono", "pair_ap_cross", "error_rate_cross",
    "rank_distance",
)  # fmt: skip
_SECTIONS = ("backbone", "batches", "loss", "training")
_PACKAGES = ("hybridbatch", "torch", "transformers")
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)


@dataclass(frozen=True)
class EncoderFacts:
    """What the card says of the encoder itself.

    Attributes:
        question_prefix: Put before every question.
        passage_prefix: Put before every passage.
        question_tokens: Longest question in tokens.
        passage_tokens: Longest passage in tokens.
        dimensions: Width of an embedding.
        pooling: How token states become one vector.
    """

    question_prefix: str
    passage_prefix: str
    question_tokens: int
    passage_tokens: int
    dimensions: int
    pooling: str


def model_card(title: str, encoder: EncoderFacts, study: StudyFolder | None, trial: TrialFolder | None) -> str:
    """Return the card as Markdown with the metadata that model hubs read.

    Args:
        title: What the model is called.
        encoder: The encoder.
        study: The study that it is from; None for a model of unknown origin, of which there is less to say.
        trial: The finished trial that it is from.

    Raises:
        UserError: If a record of the study cannot be read.
    """
    import yaml

    environment = templates(autoescape=False)  # Markdown, not HTML
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", r"\|")
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False).replace("|", r"\|")
    origin = _Origin.of(study, trial) if study and trial else None
    metadata: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "hybridbatch"],
        **(origin.metadata() if origin else {}),
    }
    return environment.get_template("model_card.md.jinja").render(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
        title=title,
        encoder=encoder,
        longest=max(encoder.question_tokens, encoder.passage_tokens),
        shorter="query" if encoder.question_tokens < encoder.passage_tokens else "document",
        origin=origin,
    )


@dataclass(frozen=True)
class _Origin:
    """The trial that a model is from, as the template asks for it."""

    table: StudyTable
    row: TrialRow
    experiment: Experiment

    @classmethod
    def of(cls, study: StudyFolder, trial: TrialFolder) -> _Origin:
        table = collect(study)
        row = next(row for row in table.rows if row.result.number == trial.number)
        return cls(table, row, trial.read_spec().experiment)

    def metadata(self) -> dict[str, Any]:
        """Return the languages and the base model, as far as hubs have words for them."""
        languages = dict.fromkeys(code.split("-")[0] for code in cell_languages(self.row.result.mixture.pairs))
        known = [code for code in languages if re.fullmatch(r"[a-z]{2,3}", code)]
        return ({"language": known} if known else {}) | ({"base_model": self.base_model} if self.base_model else {})

    @property
    def base_model(self) -> str | None:
        """The pretrained model on the hub, None for a local folder and for an encoder trained from nothing."""
        if "revision" not in self.row.result.provenance.get("backbone", {}):
            return None
        name: str | None = getattr(self.experiment.backbone, "model", None)
        return name

    @property
    def base_revision(self) -> str:
        """The commit of the pretrained model."""
        return str(self.row.result.provenance["backbone"]["revision"])

    @property
    def objective(self) -> str:
        """The measure by which the best trial is the best."""
        return measure_name(self.table.objectives[0].metric)

    @property
    def figures(self) -> tuple[list[str], list[tuple[str, str, list[str]]]]:
        """Headings of the measures that there are, and by data set its name, its part and its figures."""
        parts = [("selection set", "looked at while the study ran", self.row.selection)]
        parts += [(name, "looked at once, at the end", one.summary) for name, one in self.row.result.report.items()]
        measures = [name for name in _MEASURES if any(math.isfinite(_value(of_set, name)) for *_, of_set in parts)]
        rows = [(name, part, [_shown(of_set, measure) for measure in measures]) for name, part, of_set in parts]
        return [measure_name(one) for one in measures], rows

    @property
    def data(self) -> list[tuple[str, str, SourceSettings]]:
        """Part, description and declaration of each data set."""
        return [(part, _described(source), source) for part, source in _sources(self.experiment.data)]

    @property
    def non_commercial(self) -> list[str]:
        """Training sets whose licence keeps them from commercial use."""
        train = (source for part, source in _sources(self.experiment.data) if part == "training")
        bound = (source for source in train if _NON_COMMERCIAL.search(source.licence))
        return list(dict.fromkeys(f"{source.dataset} ({source.licence})" for source in bound))

    @property
    def settings(self) -> str:
        """The settings that decided the outcome, as YAML."""
        import yaml

        everything = self.experiment.model_dump(mode="json")
        chosen = {section: _without_places(everything[section]) for section in _SECTIONS}
        return yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True)

    @property
    def made_with(self) -> str:
        """Versions and revision of the code that trained the model."""
        provenance = self.row.result.provenance
        packages = provenance.get("packages", {})
        versions = [f"{name} {packages[name]}" for name in _PACKAGES if name in packages]
        revision = provenance.get("git", {}).get("revision")
        return ", ".join([*versions, *([f"hybridbatch at revision {revision}"] if revision else [])])


def _value(measured: dict[str, float], measure: str) -> float:
    return measured.get(measure, math.nan)


def _shown(measured: dict[str, float], measure: str) -> str:
    value = _value(measured, measure)
    return measure_text(measure, value) if math.isfinite(value) else ""


def _sources(data: Data) -> Iterator[tuple[str, SourceSettings]]:
    yield from (("training", source) for source in data.train)
    yield "selection", data.selection
    yield from (("report", source) for source in data.report)


def _described(source: SourceSettings) -> str:
    """Return a data set with the settings that differ from the defaults: ``squad-shifts (domain=nyt)``."""
    told = _without_places(source.model_dump(mode="json", exclude_defaults=True, exclude={"dataset"}))
    settings = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in told.items())
    return f"{source.dataset} ({', '.join(settings)})" if told else source.dataset


def _without_places(value: Any) -> Any:
    """Return ``value`` with whole paths cut to their last part: where files lie on a machine concerns nobody else."""
    if isinstance(value, dict):
        return {name: _without_places(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    if isinstance(value, str) and Path(value).expanduser().is_absolute():
        return Path(value).name
    return value
