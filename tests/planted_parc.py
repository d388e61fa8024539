"""Pairs, a retriever and a masked language model in which a neighbour's label decides, and nothing else does.

The label of a pair shows in a cue of its hypothesis, the same in all languages. The retriever puts texts with equal
cues together. The language model knows nothing of cues: at the mask it looks for a label word in the prompt and says it
again. So a good retriever gives the label, and a bad one a label at random.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast

from hybridbatch.foundation import atomic

LABELS = ("entailment", "neutral", "contradiction")
CUES = ("sol", "luna", "mar")
WORDS = ("Yes", "Maybe", "No")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LANGUAGES = ("en", "es", "sw")


def write_xnli(folder: Path, items: int, languages: tuple[str, ...] = LANGUAGES, split: str = "test") -> Path:
    """Write the pairs in the layout of XNLI; in Spanish the three hypotheses stand in another order."""
    for language in languages:
        order = (2, 0, 1) if language == "es" else (0, 1, 2)
        rows = [(item, label) for item in range(items) for label in order]
        columns = {
            "premise": [f"{split} premise {item} {language}" for item, _ in rows],
            "hypothesis": [f"{CUES[label]} {CUES[label]} {CUES[label]} {split} {item}" for item, label in rows],
            "label": [label for _, label in rows],
        }
        file = folder / language / f"{split}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    return folder


def write_retriever(folder: Path) -> Path:
    """Write an encoder whose embedding is the mean of its words' vectors: one for each cue, one for all others."""
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(CUES), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=64,
    )  # fmt: skip
    model = BertModel(config)
    with torch.no_grad():
        _silence(model)
        words = model.embeddings.word_embeddings.weight
        words[1, 4] = 1.0
        words[len(SPECIAL) :, : len(CUES)] = torch.eye(len(CUES))
    model.save_pretrained(folder)
    write_tokenizer(folder, CUES)
    atomic.write_json(folder / "hybridbatch.json", {"pooling": "mean", "question_prefix": "", "passage_prefix": ""})
    return folder


def write_language_model(folder: Path) -> Path:
    """Write a model whose mask attends to label words, and which predicts the one that it finds; the first if none."""
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, hidden_act="relu", max_position_embeddings=64,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    is_word, is_mask = 3, 4  # dimensions; 0 to 2 say which word
    with torch.no_grad():
        _silence(model.bert)
        words = model.bert.embeddings.word_embeddings.weight
        words[SPECIAL.index("[MASK]"), is_mask] = 1.0
        words[len(SPECIAL) :, : len(WORDS)] = torch.eye(len(WORDS))
        words[len(SPECIAL) :, is_word] = 1.0
        (layer,) = model.bert.encoder.layer
        attention = layer.attention.self
        attention.query.weight[0, is_mask] = 40.0
        attention.key.weight[0, is_word] = 1.0
        three = torch.eye(len(WORDS))
        attention.value.weight[: len(WORDS), : len(WORDS)] = three
        layer.attention.output.dense.weight[: len(WORDS), : len(WORDS)] = three
        transform = model.cls.predictions.transform.dense
        transform.weight.zero_()
        transform.bias.zero_()
        transform.weight[: len(WORDS), : len(WORDS)] = three
    model.save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


def write_tokenizer(folder: Path, words: tuple[str, ...]) -> None:
    """Write a tokenizer that knows whole words and nothing else."""
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate((*SPECIAL, *words))}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)  # fmt: skip


def _silence(model: BertModel) -> None:
    """Set to 0 whatever is not put there on purpose, but for normalisations."""
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            parameter.zero_()
