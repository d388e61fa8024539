"""Embeddings kept on disk, so that a second evaluation of the same model on the same texts encodes nothing.

An entry is named by all that its numbers depend on: the files of the model, the texts, prefix and length, precision,
kind of device and the versions of the libraries. So nothing in the cache can be stale, and a figure does not depend on
whether its embeddings came from it.

Shape legend: R texts, D width of the embedding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridbatch.backbones.encoders.model_files import has_old_weights
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError
from hybridbatch.foundation.provenance import packages

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)
_FORMAT = 2  # raise it when the same model and texts give other embeddings
_LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "sacremoses")
# weights that are not read, and descriptions for people
_OF_OTHERS = (".bin", ".onnx", ".h5", ".msgpack", ".ot", ".md")


def model_fingerprint(folder: Path) -> str:
    """Return the fingerprint of what a model folder holds, without the weights of other libraries."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and _is_read(file))
    names = [file.relative_to(folder).as_posix() for file in files]
    return fingerprint.of_json([names, fingerprint.of_files(files)])


def _is_read(file: Path) -> bool:
    return file.suffix not in _OF_OTHERS or (file.suffix == ".bin" and has_old_weights(file.parent))


def entry_name(model: str, texts: str, settings: dict[str, object]) -> str:
    """Return the name of an entry.

    Args:
        model: The :func:`model_fingerprint`.
        texts: Fingerprint of the texts.
        settings: Whatever else the embeddings depend on.
    """
    versions = {name: packages().get(name) for name in _LIBRARIES}
    return fingerprint.of_json([_FORMAT, model, texts, settings, versions])


def found_or_made(cache: Path, name: str, rows: int, make: Callable[[], Tensor]) -> NDArray[np.float32]:
    """Return the embeddings [R, D] of an entry, made and kept when they are not there whole.

    Embeddings that cannot be kept (a full disk) are returned all the same, with a warning.

    Args:
        cache: Folder of caches, safe to delete.
        name: Name of the entry.
        rows: Number of texts.
        make: Encodes them.
    """
    file = cache / "embeddings" / f"{name}.npy"
    try:
        kept_RD: NDArray[np.float32] = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError):  # not there, or not whole
        kept_RD = np.empty((0, 0), dtype=np.float32)
    if kept_RD.ndim == 2 and len(kept_RD) == rows and kept_RD.dtype == np.float32:
        return kept_RD
    made_RD: NDArray[np.float32] = make().numpy()
    try:
        with atomic.file_written_whole(file, durable=False) as draft:
            np.save(draft, made_RD)
    except StoreError as error:  # what took long to make is not thrown away for want of room to keep it
        _log.warning("the embeddings are used and not kept: %s", error.render())
    return made_RD
