"""Reading and writing encoders in the layouts of Hugging Face and sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.hub import model_folder, readable_loading_errors
from hybridbatch.backbones.encoders.model_files import (
    MODULES,
    NOTE,
    DenseConfig,
    modules,
    pooling_of,
    read_as,
    read_note,
    transformer_folder,
)
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the tokenizer of a model.

    Raises:
        UserError: If there is none that can be loaded.
    """
    from transformers import AutoTokenizer

    folder = _readable_transformer(model_folder(name, revision))
    with readable_loading_errors(name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what a folder without a vocabulary gives
            raise ValueError("there is no vocabulary")
        return tokenizer


def load_encoder(
    name: str, revision: str | None, pooling: PoolingName | None, dropout: float | None, tokens: int
) -> TextEncoder:
    """Return the encoder of a model with its weights.

    Args:
        name: Name on the hub or local folder.
        revision: Revision on the hub.
        pooling: Overrides what the folder says.
        dropout: Overrides every dropout of the transformer.
        tokens: Size of the tokenizer, which the embedding must cover.

    Raises:
        UserError: If the weights cannot be loaded or do not fit the tokenizer.
    """
    from transformers import AutoConfig, AutoModel

    whole = model_folder(name, revision)
    folder = _readable_transformer(whole)
    with readable_loading_errors(name, "model"):
        config = AutoConfig.from_pretrained(folder)
        if dropout is not None:
            for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
                if hasattr(config, key):
                    setattr(config, key, dropout)
        body, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
        missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))  # never used here
        if missing:
            raise ValueError(f"the weights lack {len(missing)} tensors, such as {missing[0]}")
    rows = body.get_input_embeddings().weight.shape[0]
    if rows < tokens:
        raise UserError(
            "the tokenizer does not match the weights",
            file=name,
            seen=f"{tokens} tokens, but embeddings for {rows}",
            allowed="an embedding for every token",
        )
    stated, dense = _pooling_and_dense(whole)
    return TextEncoder(body, pooling or stated or "mean", dense)


def save_encoder(encoder: TextEncoder, tokenizer: Any, note: dict[str, Any], folder: Path) -> None:
    """Write an encoder as a Hugging Face folder, with ``note`` (pooling, prefixes, lengths) beside it."""
    with atomic.folder_written_whole(folder) as draft:
        encoder.body.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        atomic.write_json(draft / NOTE, {**note, "pooling": encoder.pooling})
        for index, layer in enumerate(encoder.dense):
            save_dense_layer(layer, draft / f"dense-{index}")


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
