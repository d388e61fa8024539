"""Folders of pretrained models as their authors publish them, with random weights and vocabularies of a few kilobytes.

Names of files and tensors, architectures, heads beside the encoder and modules are those of the hub; sizes are not.
"""

from __future__ import annotations

import functools
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

TEXTS = [
    ("en", "Where is the tower?"),
    ("en", "The tower stands in Paris, on the left bank of the Seine."),
    ("en", "x"),
    ("de", "Der Turm steht in Paris."),
    ("en", "Where is the tower?"),
    ("zh", "埃菲尔铁塔在巴黎，Ｐａｒｉｓ。"),
    ("th", "หอไอเฟลอยู่ในปารีส"),
    ("en", "far longer than all other texts of this list " * 12),
]
WIDTH, POSITIONS = 16, 66
_CODES_25, _CODES_50 = 25, 52


@functools.cache
def sentencepiece_model() -> bytes:
    """Return a SentencePiece model with the normalisation of XLM-R and mBART."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for _, text in TEXTS] * 5),
        model_writer=model,
        vocab_size=160,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return model.getvalue()


@functools.cache
def pieces() -> int:
    """Return the size of the SentencePiece model, its three special pieces included."""
    import sentencepiece

    return len(sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model()))


def xlm_r(folder: Path) -> None:
    """FacebookAI/xlm-roberta-base: a masked language model, without a pooler."""
    from transformers import XLMRobertaForMaskedLM

    _sentencepiece_tokenizer(folder)
    _saved(XLMRobertaForMaskedLM, _xlm_r_config(), folder)


def mbert(folder: Path) -> None:
    """google-bert/bert-base-multilingual-cased: pretraining heads, a pooler, and names of 2018 for the norms."""
    from safetensors.torch import load_file, save_file
    from transformers import BertForPreTraining

    _wordpiece_tokenizer(folder)
    _saved(BertForPreTraining, _bert_config(_word_pieces().count("\n")), folder)
    weights = load_file(folder / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        weights = {key.replace(new, name): tensor for key, tensor in weights.items()}
    assert any(key.startswith("bert.") and key.endswith("gamma") for key in weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def bare_labse(folder: Path) -> None:
    """setu4993/LaBSE: BERT with its pooler, which is the head of LaBSE."""
    from transformers import BertModel

    _wordpiece_tokenizer(folder)
    _saved(BertModel, _bert_config(_word_pieces().count("\n")), folder)


def labse(folder: Path) -> None:
    """sentence-transformers/LaBSE: the first token, a dense layer with the weights of that pooler, unit length."""
    from safetensors.torch import load_file
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    with tempfile.TemporaryDirectory() as bare:
        bare_labse(Path(bare))
        pooler = load_file(Path(bare) / "model.safetensors")
        layer = Dense(WIDTH, WIDTH, activation_function=torch.nn.Tanh())
        layer.linear.load_state_dict({part: pooler[f"pooler.dense.{part}"] for part in ("weight", "bias")})
        _modules(folder, Transformer(bare, max_seq_length=64), Pooling(WIDTH, pooling_mode="cls"), layer, Normalize())


def e5(folder: Path) -> None:
    """intfloat/multilingual-e5-base: XLM-R with a pooler that nothing uses, the mean, unit length."""
    from transformers import XLMRobertaModel

    _e5(folder, XLMRobertaModel, _xlm_r_config())


def small_e5(folder: Path) -> None:
    """intfloat/multilingual-e5-small: a BERT that reads the pieces of XLM-R."""
    from transformers import BertModel

    _e5(folder, BertModel, _bert_config(pieces() + 2), tokenizer_class="XLMRobertaTokenizer")


def mbart(folder: Path) -> None:
    """facebook/mbart-large-50: encoder and decoder, and a SentencePiece model as the only vocabulary."""
    _sentencepiece_model(folder)
    named = {"tokenizer_class": "MBart50Tokenizer"}
    _mbart(folder, pieces() + 2 + _CODES_50, named)
    _note(folder, "tokenizer_config.json", {"language_codes": "ML50", "src_lang": "en_XX", **named})


def mbart_25(folder: Path) -> None:
    """facebook/mbart-large-cc25: its tokenizer is what the architecture stands for."""
    _sentencepiece_model(folder)
    _mbart(folder, pieces() + 2 + _CODES_25, {})
    _note(folder, "tokenizer_config.json", {"model_max_length": 1024})


def _mbart(folder: Path, tokens: int, named: dict[str, Any]) -> None:
    from transformers import MBartConfig, MBartForConditionalGeneration

    sizes = {f"{part}_{size}": 2 for part in ("encoder", "decoder") for size in ("layers", "attention_heads")}
    config = MBartConfig(
        vocab_size=tokens,
        d_model=WIDTH,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=POSITIONS - 2,
        scale_embedding=True,
        **sizes,
    )
    _saved(MBartForConditionalGeneration, config, folder)
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    _note(folder, "config.json", {**content, **named})


def _e5(folder: Path, kind: Any, config: Any, **of_tokenizer: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    with tempfile.TemporaryDirectory() as bare:
        _sentencepiece_tokenizer(Path(bare), **of_tokenizer)
        _saved(kind, config, Path(bare))
        _modules(folder, Transformer(bare, max_seq_length=64), Pooling(WIDTH, pooling_mode="mean"), Normalize())


def _modules(folder: Path, *parts: Any) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=list(parts), device="cpu").save(str(folder), create_model_card=False)


def _xlm_r_config() -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(vocab_size=pieces() + 2, pad_token_id=1, type_vocab_size=1, **_shape())


def _bert_config(tokens: int) -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=tokens, **_shape())


def _shape() -> dict[str, int]:
    layers = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return {**layers, "max_position_embeddings": POSITIONS}


def _saved(kind: Any, config: Any, folder: Path) -> None:
    """Save a model with weights so large that every part of it shows in its embeddings."""
    torch.manual_seed(1)
    model = kind(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def _sentencepiece_model(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())


def _sentencepiece_tokenizer(folder: Path, **named: str) -> None:
    """Write XLM-R's tokenizer as both files that it is published in."""
    from transformers import XLMRobertaTokenizer

    _sentencepiece_model(folder)
    XLMRobertaTokenizer.from_pretrained(folder).save_pretrained(folder)
    _note(folder, "tokenizer_config.json", {"model_max_length": 64, **named})


@functools.cache
def _word_pieces() -> str:
    """Return a vocabulary of BERT, the same for all models: training orders equally frequent pieces by chance."""
    from tokenizers.implementations import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    trained.train_from_iterator([text for _, text in TEXTS] * 5, vocab_size=200, show_progress=False)
    vocabulary: dict[str, int] = trained.get_vocab()
    return "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n"


def _wordpiece_tokenizer(folder: Path) -> None:
    """Write BERT's tokenizer as both files that it is published in."""
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text(_word_pieces(), encoding="utf-8")
    _note(folder, "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 64})
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    _note(folder, "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 64})


def _note(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "xlm-r": xlm_r,
    "mbert": mbert,
    "labse": labse,
    "multilingual-e5": e5,
    "mbart": mbart,
    "LaBSE without sentence-transformers": bare_labse,
    "small E5": small_e5,
    "mBART-25": mbart_25,
}
"""What writes the folder of each backbone, and of the other layouts that one is published in."""


class PublishedModels:
    """Writes each folder once.

    Args:
        root: Where.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, layout: str) -> Path:
        """Return the folder of a layout, which nobody may change."""
        folder = self._root / layout
        if not folder.exists():
            LAYOUTS[layout](folder)
        return folder

    def copy(self, layout: str, to: Path) -> Path:
        """Return a copy of the folder of a layout."""
        shutil.copytree(self(layout), to)
        return to


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> PublishedModels:
    """Small folders of pretrained models in the layouts of the hub."""
    return PublishedModels(tmp_path_factory.mktemp("published"))
