"""The files of LASER2 as its authors publish them, with small random weights and the pieces of a few sentences."""

from __future__ import annotations

import atexit
import functools
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from torch import nn

SENTENCES = [
    "where is the tower?",
    "the tower stands in paris, on the left bank of the seine.",
    "der turm steht in paris, am linken ufer der seine.",
    "la torre está en parís, en la orilla izquierda del sena.",
    "башня стоит в париже, на левом берегу сены.",
    "ο πύργος βρίσκεται στο παρίσι.",
    "埃菲尔铁塔在巴黎。",
    "หอไอเฟลอยู่ที่ปารีส",
    "एफिल टॉवर पेरिस में है।",
    "برج إيفل في باريس.",
    "kule paris'te duruyor.",
    "where is the place of thing? thing lies next to spot.",
]
SIZES = {"embed_dim": 8, "hidden_size": 6, "num_layers": 2, "bidirectional": True}


@functools.cache
def sentencepiece_model(normalisation: str = "nmt_nfkc") -> bytes:
    """Return a SentencePiece model of :data:`SENTENCES`, by default with SentencePiece's default normalisation."""
    made = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=made,
        vocab_size=200,
        hard_vocab_limit=False,
        normalization_rule_name=normalisation,
        minloglevel=2,
    )
    return made.getvalue()


def checkpoint(seed: int = 0, **sizes: Any) -> dict[str, Any]:
    """Return what ``laser2.pt`` holds, with ``sizes`` in place.

    As in the published file every piece of SentencePiece has the row of its number plus 4, and the first four rows are
    those of the special tokens.
    """
    processor = SentencePieceProcessor(model_proto=sentencepiece_model())
    rows = {processor.id_to_piece(number): number + 4 for number in range(3, len(processor))}
    params = {"num_embeddings": len(processor) + 4, "padding_idx": 1, **SIZES, "left_pad": True, "padding_value": 0.0}
    params.update(sizes)
    torch.manual_seed(seed)
    embedding = nn.Embedding(params["num_embeddings"], params["embed_dim"], padding_idx=params["padding_idx"])
    lstm = nn.LSTM(
        params["embed_dim"],
        params["hidden_size"],
        num_layers=params["num_layers"],
        bidirectional=params["bidirectional"],
    )
    weights = nn.ModuleDict({"embed_tokens": embedding, "lstm": lstm}).state_dict()
    return {
        "params": params,
        "model": weights,
        "dictionary": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **rows},
    }


def write_published(folder: Path, content: dict[str, Any] | None = None, *, zipped: bool = True) -> Path:
    """Write ``laser2.pt`` (of ``content``) and ``laser2.spm`` into ``folder``; return it.

    Args:
        folder: Made when it is not there.
        content: What ``laser2.pt`` holds; None for :func:`checkpoint`.
        zipped: Whether it has the format of ``torch.save`` since torch 1.6.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(content or checkpoint(), folder / "laser2.pt", _use_new_zipfile_serialization=zipped)
    (folder / "laser2.spm").write_bytes(sentencepiece_model())
    return folder


@functools.cache
def small_laser() -> Path:
    """Return a folder with the published files, which is there as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="laser-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_published(folder)
