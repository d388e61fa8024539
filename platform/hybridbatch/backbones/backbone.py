"""What all backbones share: prefixes, lengths, and the promise to make a tokenizer and an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from hybridbatch.spec.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from hybridbatch.backbones.encoders.text_encoder import TextEncoder
    from hybridbatch.spec.sources import DataLocation


@dataclass(frozen=True)
class TrainingText:
    """The text that a tokenizer may be trained on.

    Attributes:
        fingerprint: Fingerprint of the text.
        texts: Returns a fresh iterator over it.
        cache: Folder for trained tokenizers.
    """

    fingerprint: str
    texts: Callable[[], Iterable[str]]
    cache: Path


class Widths(NamedTuple):
    """What the files of a model say of its widths; None where they do not say it.

    Attributes:
        states: Width of the states of tokens.
        embedding: Width of the embedding of a text.
    """

    states: int | None = None
    embedding: int | None = None


@runtime_checkable
class LanguageAwareTokenizer(Protocol):
    """A tokenizer that has to be told in which language each text is, as mBART's has; all others are simply called."""

    @property
    def languages(self) -> Sequence[str]:
        """The languages that it knows (BCP 47)."""

    def check_languages(self, languages: Iterable[str]) -> None:
        """Raise a :class:`UserError` for the first language that it does not know."""

    def token_ids(self, texts: Sequence[str], languages: Sequence[str], longest: int) -> list[list[int]]:
        """Return the ids of every text, special tokens included.

        Args:
            texts: The texts.
            languages: The language of each.
            longest: Longest text in tokens; longer ones are cut.

        Raises:
            UserError: For a language that it does not know.
        """


class BackboneSettings(Settings):
    """The settings that every backbone has.

    Attributes:
        kind: The registered name.
        question_prefix: Put before every question (the paper: "Query:").
        passage_prefix: Put before every passage (the paper: "Passage:").
        question_tokens: Longest question in tokens, special tokens included; longer ones are cut.
        passage_tokens: Longest passage in tokens.
        random_weights: Whether the weights of :meth:`encoder` follow the seed; a fact of the class, no setting.
    """

    random_weights: ClassVar[bool] = True

    kind: str
    question_prefix: str = "Query: "
    passage_prefix: str = "Passage: "
    question_tokens: Annotated[int, Field(ge=4)] = 64
    passage_tokens: Annotated[int, Field(ge=4)] = 256

    def prefix_and_tokens(self, of_questions: bool, prefix: str | None = None) -> tuple[str, int]:
        """Return what is put before questions or passages (``prefix`` when given), and their longest in tokens."""
        stated = self.question_prefix if of_questions else self.passage_prefix
        return stated if prefix is None else prefix, self.question_tokens if of_questions else self.passage_tokens

    def tokenizer(self, text: TrainingText) -> Any:
        """Return a Hugging Face tokenizer, or a :class:`LanguageAwareTokenizer`."""
        raise TypeError(f"{type(self).__name__} must say how its tokenizer is made")

    def encoder(self, tokenizer: Any) -> TextEncoder:
        """Return a new encoder; random weights follow torch's global generator, seeded by the caller."""
        raise TypeError(f"{type(self).__name__} must say how its encoder is made")

    def outline(self) -> nn.Module:
        """Return the encoder's transformer or LSTM without weights: enough to know its layers, in no time.

        Raises:
            UserError: If it cannot be told.
        """
        raise TypeError(f"{type(self).__name__} must say what its encoder looks like")

    def check_weights(self) -> None:
        """Raise for weights that cannot be read, as far as it shows in no time.

        Raises:
            UserError: If there are no such weights, or reading them could run code.
        """

    def stated_widths(self) -> Widths:
        """Return what is known of the widths before anything is loaded.

        Raises:
            UserError: If there is no such model.
        """
        return Widths()

    def transformer_folder(self) -> Path | None:
        """Return the folder with the pretrained transformer in Hugging Face layout, None where there is no such."""
        return None

    def located(self, location: DataLocation) -> BackboneSettings:
        """Return these settings with the names of local files as they are on this machine.

        Raises:
            UserError: If it cannot be said which file is meant.
        """
        return self

    def provenance(self) -> dict[str, str]:
        """Return what is known of where the weights come from, beyond these settings."""
        return {}


PoolingName = Literal["mean", "cls", "max", "last"]
PretrainedPooling = Literal[PoolingName, "pooler"]
