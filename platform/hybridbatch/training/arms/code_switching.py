"""Training text in which words of other languages stand.

Source: Litschko et al., Boosting Zero-shot Cross-lingual Retrieval by Training on Artificially Code-Switched Data,
arXiv 2305.05295.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from hybridbatch.augmentation.code_switching import CodeSwitching, Names
from hybridbatch.augmentation.dictionary import PIVOT, read_dictionary
from hybridbatch.augmentation.letters import base_language
from hybridbatch.datasets.unchanged_files import unchanged_fingerprint
from hybridbatch.foundation.errors import UserError, one_of
from hybridbatch.foundation.registries import ARMS
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.training.arm import Arm, ArmContext

if TYPE_CHECKING:
    from hybridbatch.spec.experiment import Experiment
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import TrialData

_ROLES = {"both": ("questions", "passages"), "questions": ("questions",), "passages": ("passages",)}


@ARMS.register("code-switching")
class CodeSwitchingArm(Arm):
    """Words of the training text replaced with their translations (arXiv 2305.05295); what is measured stays.

    Each word of a question or passage is looked up in a dictionary with probability ``probability`` and replaced with a
    translation; words that are not in it stay. Question and passage are switched independently, and anew at every
    visit: what is drawn follows from (seed of the trial, step, side, language, text). With one language a side this is
    the bilingual code-switching of the paper (BL-CS), with several the multilingual one (ML-CS).

    Attributes:
        probability: Probability with which a word is looked up; the paper tries 0.25, 0.5, 0.75 and 1.
        languages: The languages that words may come from, every word drawing anew; None means all of the dictionary,
            and English.
        passage_languages: Those of passages, where they are others than ``languages``.
        dictionary: Parquet file with the columns ``english``, ``language``, ``word``, ``source``, absolute or below the
            data folder.
        sources: The sources of translations to use; None means all.
        sides: Which texts are switched.
    """

    description: ClassVar[str] = "Words of training text are replaced with translations from a dictionary."

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    languages: Names | None = None
    passage_languages: Names | None = None
    dictionary: Annotated[str, Field(min_length=1)] = "dictionaries/english_to_many.parquet"
    sources: Names | None = None
    sides: Literal["questions", "passages", "both"] = "both"

    def text_change(self, context: ArmContext) -> SwitchedTexts:
        """Return the change of texts."""
        return SwitchedTexts(self._switching(context.workshop.location), context.experiment.training.seed)

    def check(self, experiment: Experiment, data: TrialData, location: DataLocation) -> None:
        """Raise unless the dictionary is there, has these languages, and has words for the training text.

        Raises:
            UserError: If not.
        """
        for role, switching in self._switching(location).items():
            known = {*read_dictionary(Path(switching.dictionary), switching.sources).languages, PIVOT}
            into = set(switching.languages or known)
            trained = {base_language(language) for pairs in data.train for language in pairs.languages}
            if not any(own in known and into - {own} for own in trained):
                raise UserError(
                    f"no word of the training {role} has a translation",
                    file=switching.dictionary,
                    path="languages",
                    seen=f"text in {one_of(trained)}, words in {one_of(into)}",
                    allowed=f"text in one of {one_of(known)}, words in another one",
                )

    def provenance(self, location: DataLocation) -> dict[str, str]:
        """Return the fingerprint of the dictionary."""
        return {"dictionary": unchanged_fingerprint(location.resolve(self.dictionary), location.cache)}

    def _switching(self, location: DataLocation) -> dict[str, CodeSwitching]:
        """Return how the texts of each role are switched, with the whole path of the dictionary."""
        found = {}
        for role in _ROLES[self.sides]:
            own = self.passage_languages if role == "passages" else None
            switching = CodeSwitching(
                strength=self.probability,
                dictionary=self.dictionary,
                languages=own or self.languages,
                sources=self.sources,
            )
            found[role] = switching.located(location)
        return found


class SwitchedTexts:
    """Texts as an encoder sees them at a step.

    Args:
        switching: How the texts of each role are switched; those of other roles stay.
        seed: Seed of the trial.
    """

    def __init__(self, switching: Mapping[str, CodeSwitching], seed: int) -> None:
        self._switching, self._seed = switching, seed

    def changed(self, text: str, language: str, role: str, step: int) -> str:
        """Return ``text`` with words of other languages."""
        switching = self._switching.get(role)
        if switching is None:
            return text
        seed = derive_seed(self._seed, "code-switching", role, step)
        return switching.model_copy(update={"seed": seed}).perturbed(text, language)
