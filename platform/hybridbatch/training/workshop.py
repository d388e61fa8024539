"""What the trials of one process share: data, tokens and untouched encoders. No trial ever changes it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText
from hybridbatch.backbones.encoders.text_encoder import TextEncoder, most_tokens
from hybridbatch.datasets.arrow_cache import values_of
from hybridbatch.datasets.parallel_pairs import ParallelPairs
from hybridbatch.datasets.retrieval_task import RetrievalTask
from hybridbatch.evaluation.measure import TokenisedTask
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenizer_fingerprint
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.seeds import derive_seed
from hybridbatch.spec.experiment import Data, Experiment
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.passage_groups import passage_groups
from hybridbatch.training.trial_data import TrialData, load_trial_data
from hybridbatch.training.vocabulary import ids_used

T = TypeVar("T")
_KEPT = 4  # objects of each sort; trials of one study rarely differ in data or backbone


@dataclass(frozen=True)
class TokenisedPairs:
    """A training set with its texts as tokens; rows are those of :class:`ParallelPairs`."""

    pairs: ParallelPairs
    questions: TokenStore
    passages: TokenStore

    @cached_property
    def passage_groups_I(self) -> NDArray[np.int64]:
        """The group of each item: items that share a passage, in whatever language, are in one group."""
        return passage_groups(self.pairs.row_IL, self.passages.text_hashes_R)


class Workshop:
    """Loads and keeps what trials share.

    Args:
        location: Where data lies and copies are kept.
    """

    def __init__(self, location: DataLocation) -> None:
        self.location = location
        self._kept: dict[str, OrderedDict[str, Any]] = {}

    def data(self, settings: Data) -> TrialData:
        """Return the data of an experiment.

        Raises:
            UserError: If a data set cannot be loaded, or training text stands in a report set without leave.
        """
        return self.keep("data", settings.model_dump_json(), lambda: load_trial_data(settings, self.location))

    def backbone(self, experiment: Experiment) -> BackboneSettings:
        """Return the backbone of an experiment, with local files where this machine has them."""
        return cast(BackboneSettings, experiment.backbone).located(self.location)

    def tokenizer(self, experiment: Experiment) -> tuple[Any, str]:
        """Return the tokenizer of an experiment and its fingerprint."""
        backbone = self.backbone(experiment)

        def load() -> tuple[Any, str]:
            data = self.data(experiment.data)
            text = TrainingText(
                fingerprint=fingerprint.of_json([pairs.fingerprint for pairs in data.train]),
                texts=lambda: _texts(data.train),
                cache=self.location.cache,
            )
            tokenizer = backbone.tokenizer(text)
            return tokenizer, tokenizer_fingerprint(tokenizer)

        return self.keep("tokenizer", _key(experiment), load)

    def training_tokens(self, experiment: Experiment) -> list[TokenisedPairs]:
        """Return the training sets as tokens."""

        def load() -> list[TokenisedPairs]:
            data = self.data(experiment.data)
            return [
                TokenisedPairs(pairs, *self._pair_of_stores(experiment, pairs.rows, pairs.rows, pairs.fingerprint))
                for pairs in data.train
            ]

        return self.keep("training_tokens", _key(experiment), load)

    def negative_tokens(self, experiment: Experiment) -> list[TokenStore | None]:
        """Return what the rows of each training set list as negatives as tokens, None for a set that lists none."""

        def tokens(pairs: ParallelPairs) -> TokenStore | None:
            lists, backbone = pairs.negatives, self.backbone(experiment)
            if lists is None:
                return None
            return tokenized(
                lists,
                f"{pairs.fingerprint} negatives",
                *self.tokenizer(experiment),
                prefix=backbone.passage_prefix,
                longest=backbone.passage_tokens,
                cache=self.location.cache,
                languages=lists.for_each_text(values_of(pairs.rows, "language")),
            )

        def load() -> list[TokenStore | None]:
            return [tokens(pairs) for pairs in self.data(experiment.data).train]

        return self.keep("negative_tokens", _key(experiment), load)

    def task_tokens(self, experiment: Experiment, task: RetrievalTask) -> TokenisedTask:
        """Return a task as tokens."""

        def load() -> TokenisedTask:
            stores = self._pair_of_stores(experiment, task.questions, task.candidates, task.fingerprint)
            return TokenisedTask(task, *stores)

        return self.keep("task_tokens", f"{_key(experiment)} {task.name} {task.fingerprint}", load)

    def token_ids(self, experiment: Experiment) -> NDArray[np.int64]:
        """Return the ids of all tokens in the texts of an experiment, and of all special tokens, in ascending order."""

        def load() -> NDArray[np.int64]:
            data = self.data(experiment.data)
            tasks = [self.task_tokens(experiment, task) for task in (data.selection, *data.report)]
            pairs = self.training_tokens(experiment)
            stores = [
                *(store for one in pairs for store in (one.questions, one.passages)),
                *(store for store in self.negative_tokens(experiment) if store is not None),
                *(store for one in tasks for store in (one.questions, one.candidates)),
            ]
            special = getattr(self.tokenizer(experiment)[0], "all_special_ids", [])
            return np.union1d(ids_used(stores), np.array(special, np.int64))

        return self.keep("token_ids", _key(experiment), load)

    def _pair_of_stores(
        self, experiment: Experiment, questions: Any, passages: Any, content: str
    ) -> tuple[TokenStore, TokenStore]:
        backbone = self.backbone(experiment)
        tokenizer, tokenizer_id = self.tokenizer(experiment)
        sides = (
            (questions, ("query", "text"), backbone.question_prefix, backbone.question_tokens),
            (passages, ("passage", "text"), backbone.passage_prefix, backbone.passage_tokens),
        )
        first, second = (
            tokenized(
                values_of(rows, names[0] if names[0] in rows.column_names else names[1]),
                f"{content} {names[0]}",
                tokenizer,
                tokenizer_id,
                prefix=prefix,
                longest=longest,
                cache=self.location.cache,
                languages=values_of(rows, "language"),
            )
            for rows, names, prefix, longest in sides
        )
        return first, second

    def encoder(self, experiment: Experiment) -> TextEncoder:
        """Return a new encoder for one trial: weights as pretrained, or random after the trial's seed.

        Raises:
            UserError: If it cannot be loaded, or has too few positions for the texts asked for.
        """
        return copy.deepcopy(self._untouched_encoder(experiment))

    def encoder_fingerprint(self, experiment: Experiment) -> str:
        """Return the fingerprint of the weights of :meth:`encoder`."""
        untouched = self._untouched_encoder(experiment)
        key = f"{_key(experiment)} {_weights_seed(self.backbone(experiment), experiment)}"
        return self.keep("encoder_fingerprint", key, lambda: weights_fingerprint(untouched))

    def _untouched_encoder(self, experiment: Experiment) -> TextEncoder:
        backbone = self.backbone(experiment)
        tokenizer, _ = self.tokenizer(experiment)
        seed = _weights_seed(backbone, experiment)

        def build() -> TextEncoder:
            torch.manual_seed(seed)
            encoder = backbone.encoder(tokenizer)
            check_lengths(backbone, encoder.body)
            return encoder

        return self.keep("encoder", f"{_key(experiment)} {seed}", build)

    def keep(self, sort: str, key: str, make: Callable[[], T]) -> T:
        """Return what ``make`` made for ``key``, now or before; of each sort the newest few are kept.

        Args:
            sort: What it is, such as ``encoder``.
            key: All that it depends on.
            make: Makes it; no trial may change it afterwards.
        """
        kept = self._kept.setdefault(sort, OrderedDict())
        if key not in kept:
            kept[key] = make()
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return cast(T, kept[key])


def check_lengths(backbone: BackboneSettings, body: torch.nn.Module) -> None:
    """Check that a transformer has positions for the longest texts that its settings ask for.

    Args:
        backbone: The settings.
        body: The transformer or LSTM; its weights need not be there.

    Raises:
        UserError: If it has fewer.
    """
    most = most_tokens(body)
    for side in ("question_tokens", "passage_tokens"):
        asked = getattr(backbone, side)
        if most is not None and asked > most:
            problem = "the model has fewer positions than that"
            raise UserError(problem, path=f"backbone.{side}", seen=asked, allowed=f"at most {most}")


def weights_fingerprint(module: torch.nn.Module) -> str:
    """Return the fingerprint of the names and values of all weights."""
    weights = sorted(module.state_dict().items())
    shapes = [[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in weights]
    values = (tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data for _, tensor in weights)
    return fingerprint.of_json([shapes, fingerprint.of_bytes(values)])


def _weights_seed(backbone: BackboneSettings, experiment: Experiment) -> int:
    # All seeds share pretrained weights; one seed for all, since transformers fills what a file lacks at random.
    return derive_seed(experiment.training.seed if backbone.random_weights else 0, "weights")


def _key(experiment: Experiment) -> str:
    return experiment.data.model_dump_json() + experiment.backbone.model_dump_json()


def _texts(train: tuple[ParallelPairs, ...]) -> Iterator[str]:
    for pairs in train:
        for batch in pairs.rows.select_columns(["query", "passage"]).iter(batch_size=4096):
            yield from batch["query"]
            yield from batch["passage"]
