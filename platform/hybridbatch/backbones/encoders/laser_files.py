"""The files of a LASER encoder: as its authors publish them, and as a trial's model folder has them.

Published (arXiv 2205.12654, https://github.com/facebookresearch/LASER): ``laser2.pt`` is what ``torch.save`` makes of a
mapping with ``params`` (sizes), ``model`` (weights) and ``dictionary`` (row of the embedding by piece), and
``laser2.spm`` is a SentencePiece model. A third file, ``laser2.cvocab``, serves the encoders of LASER3: for LASER2 the
published code takes the dictionary in ``laser2.pt``, and so does this.

A trial's model folder has ``config.json`` with ``model_type: laser`` and the sizes, ``model.safetensors`` with the same
names of weights, ``vocabulary.json`` and ``sentencepiece.model``.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hybridbatch.backbones.encoders.model_files import read_as
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

_CONFIG, _WEIGHTS, _VOCABULARY, _PIECES = "config.json", "model.safetensors", "vocabulary.json", "sentencepiece.model"
_PUBLISHED_WEIGHTS, _PUBLISHED_PIECES = "laser2.pt", "laser2.spm"
_PUBLISHED = re.compile(r"laser[23].*\.(pt|spm|cvocab)")
_SOURCE = "fetch laser2.pt and laser2.spm from https://dl.fbaipublicfiles.com/nllb/laser"
_ALLOWED = "laser2.pt and laser2.spm as published, or the model folder of a LASER trial"
_TORN = "cannot be read as a file of torch.save"
_Size = Annotated[int, Field(ge=1)]


class LaserConfig(BaseModel):
    """The sizes of a LASER encoder, with the published names and defaults.

    Attributes:
        model_type: Says in ``config.json`` which layout the folder has.
        num_embeddings: Rows of the embedding.
        padding_idx: The row of the padding.
        embed_dim: Width of the embedding.
        hidden_size: Width of the states of one direction.
        num_layers: Layers of the LSTM.
        bidirectional: Whether a second LSTM reads each text backwards.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    model_type: Literal["laser"] = "laser"
    num_embeddings: _Size
    padding_idx: Annotated[int, Field(ge=0)]
    embed_dim: _Size = 320
    hidden_size: _Size = 512
    num_layers: _Size = 1
    bidirectional: bool = False


class _Params(LaserConfig):
    """``params`` of ``laser2.pt``; where the padding lies, and what states it has, is no matter once it is left out."""

    left_pad: Any = True
    padding_value: Any = 0.0


class _Checkpoint(BaseModel):
    """What ``laser2.pt`` holds."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    params: _Params
    model: dict[str, Tensor]
    dictionary: dict[str, int]


def is_laser(folder: Path) -> bool:
    """Return whether a model folder holds a LASER encoder, whole or not.

    Raises:
        UserError: If its ``config.json`` cannot be read.
    """
    if (folder / _CONFIG).exists():
        return read_as(dict[str, Any], folder / _CONFIG).get("model_type") == "laser"
    return folder.is_dir() and any(_PUBLISHED.fullmatch(file.name) for file in folder.iterdir())


def check_laser(folder: Path) -> None:
    """Check that a folder holds a LASER encoder, whole or not.

    Raises:
        UserError: If it does not.
    """
    if not is_laser(folder):
        there = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else "there is no such folder"
        raise UserError(
            "there is no LASER encoder here",
            file=folder,
            seen=there,
            allowed=_ALLOWED,
            remedy=f"{_SOURCE}; a relative folder of an experiment starts from the data folder",
        )


def pieces_file(folder: Path) -> Path:
    """Return the file of the SentencePiece model of a LASER encoder.

    Raises:
        UserError: If a published one is missing.
    """
    return folder / _PIECES if (folder / _CONFIG).exists() else _published(folder, _PUBLISHED_PIECES)


def weights_file(folder: Path) -> Path:
    """Return the file of the weights of a LASER encoder.

    Raises:
        UserError: If a published one is missing.
    """
    return folder / _WEIGHTS if (folder / _CONFIG).exists() else _published(folder, _PUBLISHED_WEIGHTS)


def read_pieces(folder: Path) -> tuple[bytes, dict[str, int]]:
    """Return the SentencePiece model of a LASER encoder, and the row of its embedding by piece.

    Raises:
        UserError: If a file is missing or broken, or the vocabulary does not match the embedding.
    """
    if (folder / _CONFIG).exists():
        config, file = read_as(LaserConfig, folder / _CONFIG), folder / _VOCABULARY
        vocabulary = read_as(dict[str, int], file)
    else:
        file = weights_file(folder)
        checkpoint = _checkpoint(file)
        config, vocabulary = checkpoint.params, checkpoint.dictionary
    outside = [piece for piece, row in vocabulary.items() if not 0 <= row < config.num_embeddings]
    if outside or not vocabulary:
        raise UserError(
            "the vocabulary does not match the weights",
            file=file,
            seen=f"row {vocabulary[outside[0]]} for {outside[0]!r}" if outside else "no piece at all",
            allowed=f"a row of the embedding for every piece: 0 to {config.num_embeddings - 1}",
        )
    pieces = pieces_file(folder)
    try:
        return pieces.read_bytes(), vocabulary
    except OSError as error:
        raise broken(pieces, "the SentencePiece model cannot be read", error) from error


def read_weights(folder: Path) -> tuple[LaserConfig, dict[str, Tensor]]:
    """Return the sizes and the weights of a LASER encoder; the weights may still lie in the file.

    Raises:
        UserError: If a file is missing or broken, or holds code.
    """
    file = weights_file(folder)
    if (folder / _CONFIG).exists():
        config = read_as(LaserConfig, folder / _CONFIG)
        try:
            return config, load_file(file)
        except (OSError, SafetensorError) as error:
            raise broken(file, "the weights cannot be read", error) from error
    checkpoint = _checkpoint(file)
    config = LaserConfig.model_validate(checkpoint.params.model_dump(include=set(LaserConfig.model_fields)))
    return config, checkpoint.model


def write_weights(config: LaserConfig, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write what :func:`read_weights` reads."""
    atomic.write_json(folder / _CONFIG, config.model_dump())
    save_file({name: one.detach().cpu().contiguous() for name, one in weights.items()}, folder / _WEIGHTS)


def write_pieces(sentencepiece: bytes, vocabulary: Mapping[str, int], folder: Path) -> None:
    """Write what :func:`read_pieces` reads."""
    (folder / _PIECES).write_bytes(sentencepiece)
    atomic.write_json(folder / _VOCABULARY, dict(vocabulary))


def broken(file: Path, problem: str, error: Exception) -> UserError:
    """Return what is said of a file that cannot be read, with the reason that a library gives."""
    reason = str(error).strip().splitlines()
    seen = reason[0] if reason else type(error).__name__
    return UserError(problem, file=file, seen=seen, allowed=_ALLOWED, remedy="fetch or write the files again")


def _published(folder: Path, name: str) -> Path:
    file = folder / name
    if file.exists():
        return file
    there = sorted(other.name for other in folder.iterdir() if _PUBLISHED.fullmatch(other.name))
    if any(other.startswith("laser3") and other.endswith(".pt") for other in there):
        raise UserError(
            "LASER3 is not supported: its encoders are transformers of one language each",
            file=folder,
            seen=there,
            allowed=_ALLOWED,
            remedy=_SOURCE,
        )
    raise UserError("a file of LASER2 is missing", file=file, seen=there, allowed=_ALLOWED, remedy=_SOURCE)


def _checkpoint(file: Path) -> _Checkpoint:
    try:
        # no weight is read before it is asked for, where the format allows it
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise broken(file, _TORN, error) from error
        raise UserError(
            "the file holds code or objects, of which none is loaded",
            file=file,
            seen=named[1],
            allowed="tensors, numbers, text and mappings, as in the published laser2.pt",
            remedy=f"{_SOURCE}; fairseq's own checkpoints, to which LASER3 belongs, are not supported",
        ) from error
    except Exception as error:  # of any kind: a torn file can be a UnicodeDecodeError
        raise broken(file, _TORN, error) from error
    try:
        return TypeAdapter(_Checkpoint).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(
            "not what laser2.pt holds",
            file=file,
            path=".".join(map(str, first["loc"])) or None,
            seen=sorted(map(str, first["input"])) if isinstance(first["input"], dict) else first["input"],
            allowed=first["msg"],
            remedy=_SOURCE,
        ) from error
