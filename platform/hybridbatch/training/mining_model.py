"""The model that mines hard negatives: the backbone as it is before training, or another one.

Shape legend: R rows of a training set, D width of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.backbone import BackboneSettings, LanguageAwareTokenizer, TrainingText
from hybridbatch.backbones.encoders.hub import model_folder
from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.datasets.arrow_cache import values_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.evaluation.embedding_cache import entry_name, found_or_made, model_fingerprint
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import LoadedModel, load_model
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenizer_fingerprint
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import ArmContext
from hybridbatch.training.workshop import TokenisedPairs

if TYPE_CHECKING:
    from torch import Tensor, nn

PATH = "batches.hard_negatives.model"


@dataclass(frozen=True)
class MiningModel:
    """A model, and a training set that it is to encode.

    Attributes:
        identity: Fingerprint of the weights and of how they are used.
        pairs: The training set.
        encoder: Returns the encoder on its device.
        stores: Return the questions and the passages as its tokens.
        cache: Folder of what can be made again.
        device: Where to encode.
        sides: What is put before texts of a side, and their longest in tokens.
    """

    identity: str
    pairs: ParallelPairs
    encoder: Callable[[], nn.Module]
    stores: Mapping[str, Callable[[], TokenStore]]
    cache: Path
    device: str
    sides: Mapping[str, tuple[str, int]]

    def entry(self, side: str) -> str:
        """Return the name of the embeddings of ``questions`` or ``passages``, which says all that they depend on."""
        prefix, tokens = self.sides[side]
        settings: dict[str, object] = {"prefix": prefix, "tokens": tokens, "device": self.device.partition(":")[0]}
        return entry_name(self.identity, f"{self.pairs.fingerprint} {side}", settings)

    def embeddings(self, side: str) -> NDArray[np.float32]:
        """Return the embeddings of ``questions`` or ``passages`` [R, D], from the cache when they are there."""

        def make() -> Tensor:
            return encode(self.encoder(), self.stores[side](), device=self.device)

        return found_or_made(self.cache, self.entry(side), len(self.pairs.rows), make)


def mining_model(model: str | None, context: ArmContext, tokens: TokenisedPairs) -> MiningModel:
    """Return the model that mines in a training set.

    Args:
        model: Folder or hub name; None for the backbone of the trial.
        context: The trial.
        tokens: The training set.

    Raises:
        UserError: If it cannot be loaded.
    """
    return _backbone(context, tokens) if model is None else _other(model, context, tokens.pairs)


def _backbone(context: ArmContext, tokens: TokenisedPairs) -> MiningModel:
    experiment, workshop = context.experiment, context.workshop
    backbone = workshop.backbone(experiment)
    _, tokenizer = workshop.tokenizer(experiment)
    weights = workshop.encoder_fingerprint(experiment)
    identity = fingerprint.of_json([weights, tokenizer, backbone.model_dump(mode="json")])
    return MiningModel(
        identity=identity,
        pairs=tokens.pairs,
        encoder=lambda: workshop.encoder(experiment).to(context.device),
        stores={"questions": lambda: tokens.questions, "passages": lambda: tokens.passages},
        cache=workshop.location.cache,
        device=context.device,
        sides=_sides(backbone),
    )


def _other(model: str, context: ArmContext, pairs: ParallelPairs) -> MiningModel:
    location = context.workshop.location
    name = located(model, location)
    backbone = from_folder_or_name(name)

    @cache
    def loaded() -> LoadedModel:
        found = load_model(name)
        found.encoder.to(context.device)
        return found

    def store(side: str, column: str) -> TokenStore:
        prefix, tokens = _sides(backbone)[side]
        return tokenized(
            values_of(pairs.rows, column),
            f"{pairs.fingerprint} {column}",
            loaded().tokenizer,
            tokenizer_fingerprint(loaded().tokenizer),
            prefix=prefix,
            longest=min(tokens, loaded().longest),
            cache=location.cache,
            languages=values_of(pairs.rows, "language"),
        )

    return MiningModel(
        identity=model_fingerprint(model_folder(name, None)),
        pairs=pairs,
        encoder=lambda: loaded().encoder,
        stores={"questions": lambda: store("questions", "query"), "passages": lambda: store("passages", "passage")},
        cache=location.cache,
        device=context.device,
        sides=_sides(backbone),
    )


def _sides(backbone: BackboneSettings) -> dict[str, tuple[str, int]]:
    return {side: backbone.prefix_and_tokens(side == "questions") for side in ("questions", "passages")}


def located(model: str, location: DataLocation) -> str:
    """Return the name of a model with a folder named by its whole path: workers have other current folders.

    Raises:
        UserError: If the folder lies below the current folder, but not below the data folder.
    """
    folder = location.resolve(model)
    if folder.is_dir():
        return str(folder.absolute())
    if Path(model).is_dir():
        raise UserError(
            "a relative model folder starts from the data folder",
            path=PATH,
            seen=model,
            allowed=f"a folder below {location.root}, a whole path or a name on the hub",
        )
    return model


def check_model(model: str, train: Sequence[ParallelPairs], location: DataLocation) -> None:
    """Refuse a model that is not there, or that does not know a language of the training sets.

    Raises:
        UserError: If it is so.
    """
    try:
        tokenizer = from_folder_or_name(located(model, location)).tokenizer(TrainingText("", tuple, location.cache))
        if isinstance(tokenizer, LanguageAwareTokenizer):
            for pairs in train:
                tokenizer.check_languages(pairs.languages)
    except UserError as error:
        raise UserError(
            error.problem,
            file=error.file,
            path=PATH,
            seen=error.seen,
            allowed=error.allowed,
            remedy=error.remedy,
        ) from error
