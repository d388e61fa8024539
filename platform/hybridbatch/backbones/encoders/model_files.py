"""What the small JSON files of a model folder say: parts, pooling, prompts, lengths.

A sentence-transformers folder lists its parts in ``modules.json``: the transformer (in the folder itself or a
subfolder), pooling, dense layers and normalisation. An encoder written by hybridbatch is a Hugging Face folder with a
``hybridbatch.json`` that holds pooling, prefixes and lengths.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from hybridbatch.backbones.backbone import PoolingName, Widths
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")  # read where a folder has no others
NOTE, MODULES = "hybridbatch.json", "modules.json"
_LONGEST = 512  # tokens, where a folder states no length
_POOLING_OF_SENTENCE_TRANSFORMERS: dict[str, PoolingName] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
T = TypeVar("T")
_Length = Annotated[int, Field(ge=4)]


class Note(BaseModel):
    """``hybridbatch.json``; a key that is missing keeps the backbone's default."""

    model_config = ConfigDict(extra="forbid")

    pooling: PoolingName
    question_prefix: str = "Query: "
    passage_prefix: str = "Passage: "
    question_tokens: _Length = 64
    passage_tokens: _Length = 256


class Part(BaseModel):
    """One module of ``modules.json``."""

    type: str
    path: str

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError("a folder inside the model's own")
        return path

    @property
    def kind(self) -> str:
        """Name of its class: ``Transformer``, ``Pooling``, ``Dense`` and so on."""
        return self.type.rsplit(".", 1)[-1]


class DenseConfig(BaseModel):
    """``config.json`` of a dense layer."""

    in_features: Annotated[int, Field(ge=1)]
    out_features: Annotated[int, Field(ge=1)]
    bias: bool = True
    activation_function: str = "torch.nn.modules.activation.Tanh"


class _Architecture(BaseModel):
    model_type: str | None = None
    vocab_size: int | None = None


class _WidthNames(BaseModel):
    hidden_size: int | None = None
    d_model: int | None = None  # mBART's name for it
    dim: int | None = None  # DistilBERT's
    bidirectional: bool = False  # LASER: a state has the width of both directions


class _Prompts(BaseModel):
    prompts: dict[str, str | None] | None = None


class _Lengths(BaseModel):
    max_seq_length: _Length | None = None
    query_length: _Length | None = None  # sentence-transformers 6, where a side has a length of its own
    document_length: _Length | None = None


def read_note(folder: Path) -> Note | None:
    """Return the ``hybridbatch.json`` of a folder, None when it has none.

    Raises:
        UserError: If it cannot be read.
    """
    return read_as(Note, folder / NOTE) if (folder / NOTE).exists() else None


def modules(folder: Path) -> list[Part]:
    """Return the parts that a sentence-transformers folder lists, none for any other folder.

    Raises:
        UserError: If the list cannot be read.
    """
    return read_as(list[Part], folder / MODULES) if (folder / MODULES).exists() else []


def transformer_folder(folder: Path) -> Path:
    """Return where the transformer and its tokenizer lie in a model folder."""
    return next((folder / part.path for part in modules(folder) if part.kind == "Transformer"), folder)


def model_type(folder: Path) -> str | None:
    """Return the architecture that the ``config.json`` of a transformer names, None when it names none.

    Raises:
        UserError: If the file cannot be read.
    """
    file = folder / "config.json"
    return read_as(_Architecture, file).model_type if file.exists() else None


def stated_rows(folder: Path) -> int | None:
    """Return the rows of the embedding that the ``config.json`` of a transformer states, None when it states none.

    Raises:
        UserError: If the file cannot be read.
    """
    file = folder / "config.json"
    return read_as(_Architecture, file).vocab_size if file.exists() else None


def stated_widths(folder: Path) -> Widths:
    """Return what the files of a model say of its widths.

    Raises:
        UserError: If one of them cannot be read.
    """
    file = transformer_folder(folder) / "config.json"
    stated = read_as(_WidthNames, file) if file.exists() else _WidthNames()
    states = stated.hidden_size or stated.d_model or stated.dim
    if states is not None and stated.bidirectional:
        states *= 2
    dense = [folder / part.path for part in modules(folder) if part.kind == "Dense"] or sorted(folder.glob("dense-*"))
    return Widths(states, read_as(DenseConfig, dense[-1] / "config.json").out_features if dense else states)


def has_old_weights(folder: Path) -> bool:
    """Return whether the weights in a folder lie in ``pytorch_model.bin`` alone, older than safetensors."""
    return bool(old_weights(folder)) and not any(any(folder.glob(one)) for one in WEIGHTS)


def old_weights(folder: Path) -> list[Path]:
    """Return the files of weights in a folder that are older than safetensors."""
    return sorted(file for names in OLD_WEIGHTS for file in folder.glob(names))


def stated_settings(folder: Path) -> dict[str, Any]:
    """Return the prefixes and lengths that a model folder states about itself; no prefixes when it states none.

    Raises:
        UserError: If one of its files cannot be read.
    """
    note = read_note(folder)
    if note is not None:
        return note.model_dump()
    prompts, lengths = folder / "config_sentence_transformers.json", folder / "sentence_bert_config.json"
    if not lengths.exists():  # older folders keep it beside the transformer
        lengths = transformer_folder(folder) / lengths.name
    stated = (read_as(_Prompts, prompts).prompts if prompts.exists() else None) or {}
    longest = read_as(_Lengths, lengths) if lengths.exists() else _Lengths()
    of_all = longest.max_seq_length or _LONGEST
    return {
        "question_prefix": stated.get("query") or "",
        "passage_prefix": stated.get("document") or stated.get("passage") or "",
        "question_tokens": longest.query_length or of_all,
        "passage_tokens": longest.document_length or of_all,
    }


def pooling_of(file: Path) -> PoolingName:
    """Return the pooling that the ``config.json`` of a pooling module names.

    Raises:
        UserError: If the file cannot be read or names another pooling.
    """
    config = read_as(dict[str, Any], file)
    modes = [ours for theirs, ours in _POOLING_OF_SENTENCE_TRANSFORMERS.items() if config.get(theirs)]
    newer = config.get("pooling_mode")  # sentence-transformers 5 and later name the mode
    if newer:
        modes = ["last" if newer == "lasttoken" else newer]
    if len(modes) != 1 or modes[0] not in get_args(PoolingName):
        raise UserError("this pooling is not supported", file=file, seen=config, allowed="one of mean, cls, max, last")
    return modes[0]


def read_as(kind: type[T], file: Path) -> T:
    """Return what stands in a JSON file.

    Raises:
        UserError: If it is no JSON, or not what such a file holds.
    """
    remedy = "write or fetch the model folder again"
    try:
        return TypeAdapter(kind).validate_python(atomic.read_json(file))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or None
        raise UserError(
            "not what this file of a model folder holds",
            file=file,
            path=place,
            seen=first["input"],
            allowed=first["msg"],
            remedy=remedy,
        ) from error
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError("cannot be read as JSON", file=file, seen=reason, remedy=remedy) from error
