"""What each arm of a study changes against the control: over seeds and questions, by language and by language pair.

Arms are the baselines of a study, each run once a seed; the control is the first of them in the experiment file. Three
families of comparisons are corrected each by itself, since they answer three questions: which arms change anything
(``headline``), which languages gain or lose (``languages``), and which pairs of languages do (``pairs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hybridbatch.evaluation.score_files import read_scores
from hybridbatch.foundation.errors import UserError
from hybridbatch.report.run_comparison import ComparisonSettings, RunDifference, compare_runs, corrected
from hybridbatch.report.runs import Run, StoredTrial

if TYPE_CHECKING:
    from hybridbatch.report.collect import StudyTable
    from hybridbatch.spec.folders import StudyFolder

FAMILIES = ("headline", "languages", "pairs")


@dataclass(frozen=True)
class ArmEffects:
    """The effects of the arms of a study; ``first`` of each difference is the arm, ``second`` the control.

    Attributes:
        control: Name of the control.
        arms: Names of the arms.
        headline: Effects on whole measures.
        languages: Effects on the questions of each language.
        pairs: Effects on each pair of languages: questions in one, answers in the other.
        settings: How they were tested.
        notes: What a reader has to know of them, why one is missing among it.
    """

    control: str
    arms: tuple[str, ...]
    headline: tuple[RunDifference, ...]
    languages: tuple[RunDifference, ...]
    pairs: tuple[RunDifference, ...]
    settings: ComparisonSettings
    notes: tuple[str, ...]

    @property
    def datasets(self) -> tuple[str | None, ...]:
        """The data sets that arms were compared on."""
        return tuple(dict.fromkeys(one.dataset for one in self.headline))


def arm_effects(
    runs: Mapping[str | None, Sequence[Run]], control: str, settings: ComparisonSettings | None = None
) -> ArmEffects:
    """Return the effect of every arm against the control.

    Args:
        runs: Control and arms by data set, each with the scores of all its seeds.
        control: Name of the control.
        settings: How to test; the default ones with None.

    Raises:
        UserError: If a measure is not known, or nothing is called like the control.
    """
    how = replace(settings or ComparisonSettings(), against=control, per_language=True, cells=True)
    families: dict[str, list[RunDifference]] = {family: [] for family in FAMILIES}
    notes: list[str] = []
    for dataset, of_set in runs.items():
        try:
            found = compare_runs({dataset: of_set}, how)
        except UserError as error:  # a broken file of scores must not keep the rest of a study from being shown
            notes.append(f"the arms cannot be compared on {dataset}: {error.problem}")
            continue
        languages = {str(one) for run in of_set for table in run.scores for one in _languages(table)}
        for one in found.differences:
            families["headline" if one.place is None else "languages" if one.place in languages else "pairs"].append(
                one
            )
        notes += [note for note in found.notes if "resamples are too few" not in note]
    names = dict.fromkeys(run.name for of_set in runs.values() for run in of_set)
    tested = {family: corrected(members, how.alpha) if members else () for family, members in families.items()}
    return ArmEffects(
        control=control,
        arms=tuple(name for name in names if name != control),
        headline=tested["headline"],
        languages=tested["languages"],
        pairs=tested["pairs"],
        settings=how,
        notes=tuple(dict.fromkeys(notes)),
    )


def study_effects(
    study: StudyFolder, table: StudyTable, settings: ComparisonSettings | None = None
) -> ArmEffects | None:
    """Return the effects of a study's baselines against the first of them; None with fewer than two.

    Args:
        study: Its folder, in which the scores of every question lie.
        table: The study as a table.
        settings: How to test; the default ones with None.
    """
    names = list(dict.fromkeys(row.result.baseline for row in table.complete if row.result.baseline))
    stated = [name for name in table.experiment.get("search", {}).get("baselines", {}) if name in names]
    control = (stated or names or [""])[0]
    runs: dict[str | None, list[Run]] = {}
    notes: list[str] = []
    for dataset in table.report_sets:
        of_set = []
        for name in [control, *(name for name in names if name != control)]:
            run, missing = _run(study, table, name, dataset)
            notes += missing
            of_set += [run] if run.scores else []
        if len(of_set) > 1 and of_set[0].name == control:
            runs[dataset] = of_set
    if not runs and not notes:
        return None
    found = arm_effects(runs, control, settings)
    return replace(found, notes=(*notes, *found.notes))


def effects_json(effects: ArmEffects | None) -> dict[str, Any] | None:
    """Return effects with plain keys: ``control``, ``arms``, ``headline``, ``languages``, ``pairs``, ``notes``."""
    if effects is None:
        return None
    families = {family: [asdict(one) for one in getattr(effects, family)] for family in FAMILIES}
    return {"control": effects.control, "arms": effects.arms, **families, "notes": effects.notes}


def _run(study: StudyFolder, table: StudyTable, baseline: str, dataset: str) -> tuple[Run, list[str]]:
    """Return the scores of a baseline's complete trials on a data set, and what of them cannot be read."""
    rows = [row for row in table.complete if row.result.baseline == baseline and dataset in row.result.report]
    scores, origins, fingerprints, missing = [], [], set(), []
    for row in rows:
        trial = StoredTrial(f"{study.name}/{row.result.number}", study.trial(row.result.number), row.result)
        try:
            scores.append(read_scores(trial.folder.scores(dataset)))
        except UserError as error:
            missing.append(f"the scores of {trial.name} on {dataset} are left out: {error.problem}")
            continue
        origins.append(trial.name)
        fingerprints.add(trial.fingerprint(dataset))
    return Run(baseline, tuple(scores), tuple(origins), frozenset(one for one in fingerprints if one)), missing


def _languages(table: Any) -> list[str]:
    import pyarrow.compute as pc  # pyarrow takes long to import

    found: list[str] = pc.unique(table["question_language"]).to_pylist()
    return found
