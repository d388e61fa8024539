"""Reading and writing encoders in the layouts of Hugging Face and sentence-transformers.

A sentence-transformers folder lists its parts in ``modules.json``: the transformer (in the folder itself or a
subfolder), pooling, dense layers and normalisation. An encoder written by hybridbatch is a Hugging Face folder with a
``hybridbatch.json`` that holds pooling, prefixes and lengths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from hybridbatch.backbones.backbone import PoolingName
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError

NOTE = "hybridbatch.json"
_POOLING_OF_SENTENCE_TRANSFORMERS: dict[str, PoolingName] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}


def load_tokenizer(name: str, revision: str | None) -> Any:
    """Return the tokenizer of a model.

    Raises:
        UserError: If there is none that can be loaded.
    """
    from transformers import AutoTokenizer

    with _readable_loading_errors(name, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(_transformer_folder(name), revision=revision)
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

    folder = _transformer_folder(name)
    with _readable_loading_errors(name, "model"):
        config = AutoConfig.from_pretrained(folder, revision=revision)
        if dropout is not None:
            for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
                if hasattr(config, key):
                    setattr(config, key, dropout)
        body, report = AutoModel.from_pretrained(
            folder,
            config=config,
            revision=revision,
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
    stated = _sentence_transformers_parts(Path(name).expanduser())
    return TextEncoder(body, pooling or stated["pooling"] or "mean", stated["dense"])


def save_encoder(encoder: TextEncoder, tokenizer: Any, note: dict[str, Any], folder: Path) -> None:
    """Write an encoder as a Hugging Face folder, with ``note`` (pooling, prefixes, lengths) beside it."""
    with atomic.folder_written_whole(folder) as draft:
        encoder.body.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        atomic.write_json(draft / NOTE, {**note, "pooling": encoder.pooling})
        for index, layer in enumerate(encoder.dense):
            _save_dense_layer(layer, draft / f"dense-{index}")


def stated_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of :class:`HuggingFaceBackbone` that a model folder states about itself."""
    none: dict[str, Any] = {"question_prefix": "", "passage_prefix": "", "question_tokens": 512, "passage_tokens": 512}
    if (folder / NOTE).exists():
        return dict(_read_json(folder / NOTE))
    prompts, lengths = folder / "config_sentence_transformers.json", folder / "sentence_bert_config.json"
    if prompts.exists():
        stated = _read_json(prompts).get("prompts") or {}
        none["question_prefix"] = stated.get("query") or ""
        none["passage_prefix"] = stated.get("document") or stated.get("passage") or ""
    if lengths.exists():
        longest = _read_json(lengths).get("max_seq_length") or 512
        none["question_tokens"] = none["passage_tokens"] = int(longest)
    return none


def _transformer_folder(name: str) -> str:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return name
    for part in _modules(folder):
        if part["type"].endswith(".Transformer"):
            return str(folder / part["path"])
    return str(folder)


def _modules(folder: Path) -> list[dict[str, str]]:
    listing = folder / "modules.json"
    return list(_read_json(listing)) if listing.exists() else []


def _sentence_transformers_parts(folder: Path) -> dict[str, Any]:
    pooling: PoolingName | None = None
    dense: list[nn.Module] = []
    for part in _modules(folder):
        kind, place = part["type"].rsplit(".", 1)[-1], folder / part["path"]
        if kind == "Pooling":
            pooling = _pooling_of(place / "config.json")
        elif kind == "Dense":
            dense.append(_dense_layer(place))
        elif kind not in ("Transformer", "Normalize"):
            raise UserError(
                "this sentence-transformers module is not supported",
                file=folder / "modules.json",
                seen=kind,
                allowed="Transformer, Pooling, Dense, Normalize",
            )
    if pooling is None and (folder / NOTE).exists():
        pooling = _read_json(folder / NOTE)["pooling"]
        dense = [_dense_layer(place) for place in sorted(folder.glob("dense-*"))]
    return {"pooling": pooling, "dense": dense}


def _pooling_of(file: Path) -> PoolingName:
    config = _read_json(file)
    modes = [ours for theirs, ours in _POOLING_OF_SENTENCE_TRANSFORMERS.items() if config.get(theirs)]
    newer = config.get("pooling_mode")  # sentence-transformers 5 and later name the mode
    if newer:
        modes = ["last" if newer == "lasttoken" else newer]
    if len(modes) != 1 or modes[0] not in get_args(PoolingName):
        raise UserError("this pooling is not supported", file=file, seen=config, allowed="one of mean, cls, max, last")
    return modes[0]


def _dense_layer(folder: Path) -> nn.Module:
    config = _read_json(folder / "config.json")
    layer = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    with _readable_loading_errors(str(folder), "dense layer"):
        weights = load_file(folder / "model.safetensors")
    layer.load_state_dict({key.removeprefix("linear."): value for key, value in weights.items()})
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    known = {"Tanh": nn.Tanh, "Identity": nn.Identity, "GELU": nn.GELU, "ReLU": nn.ReLU}
    if activation not in known:
        raise UserError("this activation is not supported", file=folder, seen=activation, allowed=", ".join(known))
    return nn.Sequential(layer, known[activation]())


def _save_dense_layer(layer: nn.Module, folder: Path) -> None:
    """Write what :func:`_dense_layer` reads, in the layout of sentence-transformers."""
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


def _read_json(file: Path) -> Any:
    try:
        return atomic.read_json(file)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            "cannot be read as JSON", file=file, seen=reason, remedy="write or fetch the model folder again"
        ) from error


@contextmanager
def _readable_loading_errors(name: str, part: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        local = Path(name).expanduser().exists()
        raise UserError(
            f"the {part} cannot be loaded",
            file=name,
            seen=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            allowed="a folder or hub name with config.json, a tokenizer and safetensors weights",
            remedy="check the files of the folder" if local else "check the name; without network give a local folder",
        ) from error
