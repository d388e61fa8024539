"""Whether a model's tokenizer knows the languages of what an arm gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hybridbatch.backbones.backbone import BackboneSettings, LanguageAwareTokenizer, TrainingText
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation


def check_spoken(backbone: BackboneSettings, location: DataLocation, languages: Mapping[str, Iterable[str]]) -> None:
    """Raise for a language that a pretrained model would have to be told of, as mBART has, and has no code for.

    Args:
        backbone: The model, with local files as they are on this machine.
        location: Where data lies.
        languages: Languages by the path of the setting that they come from.

    Raises:
        UserError: At that path; or if the tokenizer cannot be loaded.
    """
    if backbone.random_weights:
        return
    tokenizer = backbone.tokenizer(TrainingText(fingerprint="", texts=tuple, cache=location.cache))  # needs no text
    if not isinstance(tokenizer, LanguageAwareTokenizer):
        return
    for path, some in languages.items():
        try:
            tokenizer.check_languages(some)
        except UserError as error:
            raise error.retold(path=path) from error
