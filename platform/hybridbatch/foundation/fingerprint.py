"""Content fingerprints: the same content gives the same short name on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

LENGTH = 16  # hexadecimal digits: 64 bits, ample for the objects of one home folder


def of_json(value: object) -> str:
    """Return the fingerprint of a JSON-like value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return of_bytes([text.encode()])


def of_bytes(chunks: Iterable[bytes]) -> str:
    """Return the fingerprint of the concatenated ``chunks``."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()[:LENGTH]


def of_texts(texts: Iterable[str]) -> str:
    """Return the fingerprint of a sequence of texts; each is preceded by its length, so that borders count."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:LENGTH]


def of_files(paths: Iterable[Path]) -> str:
    """Return the fingerprint of the contents of files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:LENGTH]
