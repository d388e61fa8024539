"""From the name of a model to a folder that holds it: a local folder, or a snapshot of the model hub."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridbatch.backbones.encoders.model_files import MODULES, OLD_WEIGHTS, WEIGHTS, modules, transformer_folder
from hybridbatch.foundation.errors import HybridBatchError, UserError, first_line

_log = logging.getLogger(__name__)
_DESCRIPTION = ("*.json", "*.txt", "*.model", "*.bpe", "*.codes", "*.jinja")  # settings and vocabularies
_HAS_CODE = "Weights only load failed"  # what torch says of a pickle that is more than tensors, before it explains how
_PICKLED = "weights that hold more than tensors: reading them could run code"
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
    places = {folder / part.path for part in modules(folder) if part.kind == "Dense"} | {transformer_folder(folder)}
    for names in (WEIGHTS, OLD_WEIGHTS):  # the same in other formats is not fetched
        missing = sorted(place for place in places if not any(any(place.glob(one)) for one in WEIGHTS))
        wanted = [(place.relative_to(folder) / one).as_posix() for place in missing for one in names]
        if wanted:
            snapshot_download(name, revision=folder.name, allow_patterns=wanted)
    return folder


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
        local = Path(name).expanduser().exists()
        raise UserError(
            f"the {part} cannot be loaded",
            file=name,
            seen=_PICKLED if _HAS_CODE in str(error) else first_line(error),
            allowed="a folder or hub name with config.json, a tokenizer and safetensors weights",
            remedy="check the files of the folder"
            if local
            else "check the name (a relative folder of an experiment starts from the data folder; a trial, STUDY/N, "
            "lies in the home folder of --home); without network give a local folder",
        ) from error
