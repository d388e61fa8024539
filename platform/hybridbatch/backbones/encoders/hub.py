"""From the name of a model to a folder that holds it: a local folder, or a snapshot of the model hub."""

from __future__ import annotations

import functools
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridbatch.backbones.encoders.model_files import (
    MODULES,
    OLD_WEIGHTS,
    WEIGHTS,
    has_old_weights,
    modules,
    old_weights,
    transformer_folder,
)
from hybridbatch.foundation.errors import HybridBatchError, UserError, first_line

_log = logging.getLogger(__name__)
_DESCRIPTION = ("*.json", "*.txt", "*.model", "*.bpe", "*.codes", "*.jinja")  # settings and vocabularies
_HAS_CODE = "Weights only load failed"  # what torch says of a pickle that is more than tensors, before it explains how
_PICKLED = "weights that hold more than tensors: reading them could run code"
_OWN_CODE = "contains custom code", "references custom code"  # what transformers says of a model in Python files
_IN_PYTHON = "a model that is written in Python files of its own, which are never run"
_OTHER_RUNTIMES = ("onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*")


def model_folder(name: str, revision: str | None) -> Path:
    """Return the folder of a model, fetched from the hub or taken from its local cache when it is no local folder.

    Args:
        name: Name on the hub or local folder.
        revision: Revision on the hub.

    Raises:
        UserError: If there is no such model, or it is not in the cache and the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.absolute()
    with readable_loading_errors(name, "model"):
        if folder.is_absolute():
            raise FileNotFoundError("there is no such folder")
        return _snapshot(name, revision)


def revision_in_use(name: str, revision: str | None) -> str | None:
    """Return the commit of a model on the hub, None for a local folder."""
    return None if Path(name).expanduser().is_dir() else model_folder(name, revision).name


@functools.cache  # one process stays with one commit, however long it lives and whatever is pushed meanwhile
def _snapshot(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    patterns, others = list(_DESCRIPTION), list(_OTHER_RUNTIMES)
    folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=others))
    if not (folder / MODULES).exists():
        _warn_unless_known_to_be_absent(name, folder.name)
    places = _places_of_weights(folder)
    for names in (WEIGHTS, OLD_WEIGHTS):  # the same in other formats is not fetched
        missing = sorted(place for place in places if not any(any(place.glob(one)) for one in WEIGHTS))
        wanted = [(place.relative_to(folder) / one).as_posix() for place in missing for one in names]
        if wanted:
            snapshot_download(name, revision=folder.name, allow_patterns=wanted)
    return folder


def _places_of_weights(folder: Path) -> list[Path]:
    return sorted({transformer_folder(folder), *(folder / one.path for one in modules(folder) if one.kind == "Dense")})


def _warn_unless_known_to_be_absent(name: str, commit: str) -> None:
    """Say that a cache filled by other programs may lack the files that make a transformer another model."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        hf_hub_download(name, MODULES, revision=commit)
    except LocalEntryNotFoundError:
        _log.warning(
            "%s: the hub cannot be reached and the cache has no %s: taken as a bare transformer", name, MODULES
        )
    except EntryNotFoundError:
        pass


@contextmanager
def readable_loading_errors(name: str, part: str) -> Iterator[None]:
    """Turn whatever a library makes of a missing or broken file into a :class:`UserError` that names the model."""
    try:
        yield
    except HybridBatchError:
        raise
    except Exception as error:  # of any kind: `config.json: []` is an AttributeError
        raise _cannot_be_loaded(name, part, _reason(error)) from error


def check_pickled_weights(name: str, revision: str | None) -> None:
    """Raise for weights older than safetensors that hold more than tensors; none is read.

    Files of the oldest format of ``torch.save`` cannot be looked into like this: what they hold shows when they are
    read, which runs no code either.

    Args:
        name: Name on the hub or local folder.
        revision: Revision on the hub.

    Raises:
        UserError: If reading them could run code, or one is broken.
    """
    folder = model_folder(name, revision)
    files = [file for place in _places_of_weights(folder) if has_old_weights(place) for file in old_weights(place)]
    for file in filter(zipfile.is_zipfile, files):
        from torch.serialization import get_unsafe_globals_in_checkpoint

        with readable_loading_errors(name, "model"):
            others = sorted(get_unsafe_globals_in_checkpoint(file))
            if others:
                raise _cannot_be_loaded(name, "model", f"{_PICKLED}: {others[0]} in {file.name}")


def _cannot_be_loaded(name: str, part: str, seen: str) -> UserError:
    local = Path(name).expanduser().exists()
    return UserError(
        f"the {part} cannot be loaded",
        file=name,
        seen=seen,
        allowed="a folder or hub name with config.json, a tokenizer and safetensors weights",
        remedy="check the files of the folder"
        if local
        else "check the name (a relative folder of an experiment starts from the data folder; a trial, STUDY/N, "
        "lies in the home folder of --home); without network give a local folder",
    )


def _reason(error: Exception) -> str:
    said = str(error)
    if _HAS_CODE in said:
        return _PICKLED
    return _IN_PYTHON if any(words in said for words in _OWN_CODE) else first_line(error)
