"""The data of an experiment as its trials, and the checks before them, load them."""

from __future__ import annotations

from dataclasses import dataclass

from hybridbatch.batching.plan import PairSet
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.leakage import find_overlap, refuse_overlap
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.experiment import Data
from hybridbatch.spec.sources import DataLocation


@dataclass(frozen=True)
class TrialData:
    """The data of an experiment.

    Attributes:
        train: Training sets.
        selection: The task that search and pruning look at.
        report: The tasks that are looked at in the end.
        leakage: What is known of text shared between training and report sets.
    """

    train: tuple[ParallelPairs, ...]
    selection: RetrievalTask
    report: tuple[RetrievalTask, ...]
    leakage: tuple[str, ...]

    @property
    def pair_sets(self) -> list[PairSet]:
        """The training sets as the batch plan sees them."""
        return [PairSet(pairs.name, pairs.languages, pairs.language_masks_I) for pairs in self.train]

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each data set by its role and name."""
        return {
            **{f"train/{index}/{pairs.name}": pairs.fingerprint for index, pairs in enumerate(self.train)},
            f"selection/{self.selection.name}": self.selection.fingerprint,
            **{f"report/{task.name}": task.fingerprint for task in self.report},
        }


def load_trial_data(settings: Data, location: DataLocation) -> TrialData:
    """Return the data that an experiment names.

    Raises:
        UserError: If a data set cannot be loaded, two report sets have one name, or training text stands in a report
            set without leave.
    """
    train = tuple(source.pairs(location) for source in settings.train)
    report = tuple(source.task(location) for source in settings.report)
    names = [task.name for task in report]
    if len(set(names)) < len(names):  # scores and figures are kept by name
        problem = "two report sets have the same name"
        raise UserError(problem, path="data.report", seen=names, remedy="rename a file")
    allowed = settings.allow_overlap.reason if settings.allow_overlap else None
    return TrialData(
        train=train,
        selection=settings.selection.task(location),
        report=report,
        leakage=(*settings.leakage, *(refuse_overlap(find_overlap(train, report), allowed) if report else ())),
    )
