"""Reading and writing encoders in the layouts of Hugging Face, sentence-transformers and LASER."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hybridbatch.backbones.backbone import PoolingName, PretrainedPooling
from hybridbatch.backbones.encoders.bodies import body_outline, load_body, pooler_layer, save_body
from hybridbatch.backbones.encoders.hub import model_folder, readable_loading_errors
from hybridbatch.backbones.encoders.language_codes import LanguageCodedTokenizer, language_coded
from hybridbatch.backbones.encoders.laser_encoder import laser_outline, load_laser_encoder
from hybridbatch.backbones.encoders.laser_files import is_laser
from hybridbatch.backbones.encoders.laser_tokenizer import LaserTokenizer
from hybridbatch.backbones.encoders.model_files import (
    MODULES,
    NOTE,
    DenseConfig,
    has_old_weights,
    model_type,
    modules,
    pooling_of,
    read_as,
    read_note,
    stated_rows,
    transformer_folder,
)
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

_UNKNOWN = "\u2e3b \U0001f7f0"  # signs that hardly any vocabulary has


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the tokenizer of a model: that of transformers, or for mBART one that is told languages.

    Raises:
        UserError: If there is none that can be loaded, or it has more tokens than the model states embeddings.
    """
    whole = model_folder(name, revision)
    if is_laser(whole):
        return LaserTokenizer.of_folder(whole)
    from transformers import AutoTokenizer

    folder = _readable_transformer(whole)
    with readable_loading_errors(name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what a folder without a vocabulary gives
            raise ValueError("there is no vocabulary")
        tokenizer(_UNKNOWN)  # settings of one model and the vocabulary of another show here, if not before
        rows = stated_rows(folder)
        if rows is not None:
            _check_rows(rows, len(tokenizer), name)
        return language_coded(tokenizer, name, folder) if model_type(folder) == "mbart" else tokenizer


def load_encoder(
    name: str,
    revision: str | None,
    tokenizer: Any,
    *,
    pooling: PretrainedPooling | None = None,
    unstated_pooling: PretrainedPooling = "mean",
    dropout: float | None = None,
) -> TextEncoder:
    """Return the encoder of a model with its weights.

    Args:
        name: Name on the hub or local folder.
        revision: Revision on the hub.
        tokenizer: Its tokenizer, whose tokens the embedding must cover.
        pooling: Overrides what the folder says.
        unstated_pooling: The pooling where neither ``pooling`` nor the folder says one.
        dropout: Overrides every dropout of the transformer.

    Raises:
        UserError: If the weights cannot be loaded or do not fit the tokenizer, or the pooling cannot be had.
    """
    whole = model_folder(name, revision)
    if is_laser(whole):
        if pooling == "pooler":
            problem = "the model has no head of its own"
            raise UserError(problem, file=name, path="backbone.pooling", seen=pooling, allowed="mean, cls, max, last")
        return load_laser_encoder(whole, pooling, dropout)
    body, has_pooler = load_body(_readable_transformer(whole), name, dropout)
    _check_rows(body.get_input_embeddings().weight.shape[0], len(tokenizer), name)
    stated, dense = _pooling_and_dense(whole)
    chosen = pooling or stated or unstated_pooling
    if chosen == "pooler":
        if dense:
            raise UserError(
                "the model states layers after pooling already",
                file=name,
                path="backbone.pooling",
                seen="pooler",
                remedy="leave `pooling` out: what the model states is taken",
            )
        chosen, dense = "cls", [pooler_layer(body, has_pooler, name)]
    uncounted = tokenizer.code_ids if isinstance(tokenizer, LanguageCodedTokenizer) else ()
    return TextEncoder(body, chosen, dense, uncounted)


def outline(name: str, revision: str | None) -> nn.Module:
    """Return the transformer or LSTM of a model without weights.

    Raises:
        UserError: If there is no such model.
    """
    whole = model_folder(name, revision)
    return laser_outline(whole) if is_laser(whole) else body_outline(_readable_transformer(whole), name)


def save_encoder(encoder: TextEncoder, tokenizer: Any, note: dict[str, Any], folder: Path) -> None:
    """Write an encoder as a Hugging Face folder, with ``note`` (pooling, prefixes, lengths) beside it."""
    with atomic.folder_written_whole(folder) as draft:
        save_body(encoder.body, draft)
        tokenizer.save_pretrained(draft)
        atomic.write_json(draft / NOTE, {**note, "pooling": encoder.pooling})
        for index, layer in enumerate(encoder.dense):
            save_dense_layer(layer, draft / f"dense-{index}")


def check_model_type(name: str, revision: str | None, allowed: Sequence[str]) -> None:
    """Raise unless a model is of one of the architectures ``allowed``; none named means any.

    Raises:
        UserError: If it is of another.
    """
    found = model_type(_readable_transformer(model_folder(name, revision))) if allowed else None
    if found is not None and found not in allowed:
        raise UserError(
            "the model is of another architecture than this backbone",
            file=name,
            path="config.json: model_type",
            seen=found,
            allowed=", ".join(allowed),
            remedy="write `kind: huggingface`, which takes any encoder",
        )


def _check_rows(rows: int, tokens: int, name: str) -> None:
    if rows < tokens:
        raise UserError(
            "the tokenizer does not match the weights",
            file=name,
            seen=f"{tokens} tokens, but embeddings for {rows}",
            allowed="an embedding for every token",
        )


def _readable_transformer(whole: Path) -> Path:
    folder = transformer_folder(whole)
    if (folder / "config.json").exists():
        read_as(dict[str, Any], folder / "config.json")  # here a broken one is named; transformers would not
    return folder


def _pooling_and_dense(folder: Path) -> tuple[PoolingName | None, list[nn.Module]]:
    pooling: PoolingName | None = None
    dense: list[nn.Module] = []
    for part in modules(folder):
        if part.kind == "Pooling":
            pooling = pooling_of(folder / part.path / "config.json")
        elif part.kind == "Dense":
            dense.append(_dense_layer(folder / part.path))
        elif part.kind not in ("Transformer", "Normalize"):
            raise UserError(
                "this sentence-transformers module is not supported",
                file=folder / MODULES,
                seen=part.kind,
                allowed="Transformer, Pooling, Dense, Normalize",
            )
    note = read_note(folder) if pooling is None else None
    if note is not None:
        return note.pooling, [_dense_layer(place) for place in sorted(folder.glob("dense-*"))]
    return pooling, dense


def _dense_layer(folder: Path) -> nn.Module:
    config = read_as(DenseConfig, folder / "config.json")
    layer = nn.Linear(config.in_features, config.out_features, bias=config.bias)
    with readable_loading_errors(str(folder), "dense layer"):
        if has_old_weights(folder):
            weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        else:
            weights = load_file(folder / "model.safetensors")
        layer.load_state_dict({key.removeprefix("linear."): value for key, value in weights.items()})
    activation = config.activation_function.rsplit(".", 1)[-1]
    known = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}
    if activation not in known:
        raise UserError("this activation is not supported", file=folder, seen=activation, allowed=", ".join(known))
    return nn.Sequential(layer, known[activation]())


def save_dense_layer(layer: nn.Module, folder: Path) -> None:
    """Write a layer after pooling as :func:`load_encoder` and sentence-transformers read it."""
    linear, activation = layer.children()
    folder.mkdir()
    config = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{type(activation).__module__}.{type(activation).__name__}",
    }
    atomic.write_json(folder / "config.json", config)
    weights = {f"linear.{name}": one.detach().cpu().contiguous() for name, one in linear.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
