"""Writing an encoder as a folder that ``SentenceTransformer`` reads, without need of that package.

The files are in the form that sentence-transformers 5 and 6 both read. Version 6 has a longest text of its own for
questions and for passages; where the two differ, ``query_length`` or ``document_length`` says so, which version 5 does
not know and refuses.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from torch import nn

from hybridbatch.backbones.backbone import BackboneSettings
from hybridbatch.backbones.encoders.model_files import MODULES
from hybridbatch.backbones.encoders.pretrained import save_dense_layer
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation.errors import UserError

_POOLING = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens", "last": "lasttoken"}
_OTHER_POOLING = ("mean_sqrt_len_tokens", "weightedmean_tokens")  # theirs that no encoder here has
_PACKAGE = "sentence_transformers.models"  # the names that all versions know


def write_sentence_transformers_folder(
    encoder: nn.Module, tokenizer: Any, stated: BackboneSettings, longest: int, folder: Path
) -> int:
    """Write an encoder into an empty folder as transformer, pooling, dense layers and unit length.

    Args:
        encoder: The encoder; a head of its transformer that is not used is taken off.
        tokenizer: Its tokenizer.
        stated: Prefixes, which become the prompts ``query`` and ``document``, and lengths.
        longest: Longest text in tokens that the transformer has positions for.
        folder: Where to.

    Returns:
        The width of an embedding.

    Raises:
        UserError: If the modules of sentence-transformers cannot rebuild this encoder.
    """
    able = _as_they_can_rebuild_it(encoder, tokenizer)
    without_pooler = _leave_out_pooler(able)
    able.body.save_pretrained(folder)
    tokenizer.padding_side = "right"  # as everything is padded here; positions may be counted from the left
    tokenizer.save_pretrained(folder)
    kinds = ["Transformer", "Pooling", *("Dense" for _ in able.dense), "Normalize"]
    places = ["", *(f"{index}_{kind}" for index, kind in enumerate(kinds) if index)]
    for place, layer in zip(places[2:-1], able.dense, strict=True):
        save_dense_layer(layer, folder / place)
    (folder / places[1]).mkdir()
    _write_json(folder / places[1] / "config.json", _pooling(able))
    _write_json(folder / "sentence_bert_config.json", _loading(stated, longest, without_pooler))
    prompts = {"query": stated.question_prefix, "document": stated.passage_prefix}
    model = {"model_type": "SentenceTransformer", "prompts": prompts, "default_prompt_name": None}
    _write_json(folder / "config_sentence_transformers.json", {**model, "similarity_fn_name": "cosine"})
    parts = [
        {"idx": index, "name": str(index), "path": place, "type": f"{_PACKAGE}.{kind}"}
        for index, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    _write_json(folder / MODULES, parts)
    readable = (folder / MODULES).stat().st_mode
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(readable)  # that library keeps what it writes to its owner, whatever the umask
    linear = [layer for layer in able.dense.modules() if isinstance(layer, nn.Linear)]
    return int(linear[-1].out_features if linear else able.body.config.hidden_size)


def side_lengths(stated: BackboneSettings, longest: int) -> tuple[int, int]:
    """Return the longest question and the longest passage in tokens, as they are cut where the model encodes."""
    return min(stated.question_tokens, longest), min(stated.passage_tokens, longest)


def _as_they_can_rebuild_it(encoder: nn.Module, tokenizer: Any) -> TextEncoder:
    """Return the encoder if sentence-transformers has modules for all that it does.

    What is known to be fine is let through and everything else refused, so that an encoder of a new kind is not written
    as something that it is not. Modules of our own are no way out: to load them runs code that the user has to trust.

    Raises:
        UserError: If it has not.
    """
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    problem = None
    if type(encoder) is not TextEncoder or not isinstance(encoder.body, PreTrainedModel):
        problem = "its encoder is no transformer of Hugging Face"
    elif encoder.body.config.is_encoder_decoder:
        problem = "its transformer is one half of an encoder-decoder model"
    elif not isinstance(tokenizer, PreTrainedTokenizerBase):
        problem = "its tokenizer is no tokenizer of Hugging Face"
    elif tokenizer.pad_token is None:
        problem = "its tokenizer has no padding token"
    elif encoder.pooling not in _POOLING:
        problem = f"it pools by `{encoder.pooling}`"
    if problem is None and isinstance(encoder, TextEncoder):
        return encoder
    raise UserError(
        f"this model cannot be said in modules of sentence-transformers: {problem}",
        seen=type(encoder).__name__,
        allowed=f"a transformer, pooling ({', '.join(_POOLING)}), dense layers, unit length",
        remedy="the model folder itself is read by `hybridbatch evaluate` and `hybridbatch search`",
    )


def _pooling(encoder: TextEncoder) -> dict[str, Any]:
    chosen = {f"pooling_mode_{name}": pooling == encoder.pooling for pooling, name in _POOLING.items()}
    others = {f"pooling_mode_{name}": False for name in _OTHER_POOLING}
    return {"word_embedding_dimension": encoder.body.config.hidden_size, **chosen, **others, "include_prompt": True}


def _loading(stated: BackboneSettings, longest: int, without_pooler: bool) -> dict[str, Any]:
    question, passage = side_lengths(stated, longest)
    made: dict[str, Any] = {"max_seq_length": max(question, passage), "do_lower_case": False}
    if question < passage:
        made["query_length"] = question
    elif passage < question:
        made["document_length"] = passage
    if without_pooler:
        made["model_args"] = {"add_pooling_layer": False}  # else loading warns of missing weights
    return made


def _leave_out_pooler(encoder: TextEncoder) -> bool:
    """Leave out a head that no pooling here uses and that may hold random numbers; return whether that could be."""
    if "add_pooling_layer" not in inspect.signature(type(encoder.body)).parameters:
        return False
    encoder.body.pooler = None
    return True


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
