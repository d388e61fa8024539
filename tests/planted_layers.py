"""A real BERT folder of two layers in which the answer can be read at layer 1 and nowhere else.

Question and passage of an item have the same code of 16 signs. At layer 0, the embeddings, it is in the first half of
a question's state and in the second half of a passage's, so that no product of the two has anything to do with the
other. The first layer moves the second half onto the first. The second layer forgets everything: its last normalisation
gives all texts the same state.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hybridbatch.foundation import atomic

CODE, BIAS = 16, 10.0  # BIAS keeps what goes through ReLU above 0
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def word(role: str, item: int, language: str) -> str:
    """Return the text of a question (``q``) or passage (``p``): one word."""
    return f"{role}{item}{language}"


def write_pairs(file: Path, items: int, languages: tuple[str, ...]) -> Path:
    """Write the pairs of question and passage."""
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["item", "language", "query", "passage"])
        writer.writerows(
            [f"i{item}", language, word("q", item, language), word("p", item, language)]
            for item in range(items)
            for language in languages
        )
    return file


def write_planted_model(folder: Path, items: int, languages: tuple[str, ...]) -> Path:
    """Write the model; translations of an item have its code, too."""
    words = [word(role, item, language) for role in "qp" for item in range(items) for language in languages]
    vocabulary = {text: number for number, text in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=2 * CODE, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * CODE, hidden_act="relu", max_position_embeddings=8,
    )  # fmt: skip
    model = BertModel(config)
    with torch.no_grad():
        _plant(model, _codes(items), len(languages))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    atomic.write_json(folder / "hybridbatch.json", {"pooling": "mean", "question_prefix": "", "passage_prefix": ""})
    return folder


def _codes(items: int) -> torch.Tensor:
    """Return a code of as many 1 as -1 for each item: all have mean 0 and one length."""
    random, half = np.random.default_rng(0), np.repeat([1.0, -1.0], CODE // 2)
    return torch.tensor(np.stack([random.permutation(half) for _ in range(items)]), dtype=torch.float32)


def _plant(model: BertModel, codes: torch.Tensor, languages: int) -> None:
    embeddings = model.embeddings
    for table in (embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings):
        table.weight.zero_()
    repeated = codes.repeat_interleave(languages, dim=0)
    questions, passages = embeddings.word_embeddings.weight[len(SPECIAL) :].split(len(repeated))
    questions[:, :CODE] = repeated
    passages[:, CODE:] = repeated
    first, second = model.encoder.layer
    for layer in (first, second):
        layer.attention.output.dense.weight.zero_()
        layer.attention.output.dense.bias.zero_()
    one = torch.eye(CODE)
    into, out = first.intermediate.dense, first.output.dense
    into.weight.zero_()
    into.weight[:CODE, CODE:] = one  # reads the second half
    into.bias.fill_(BIAS)
    out.weight.zero_()
    out.weight[:CODE, :CODE], out.weight[CODE:, :CODE] = (
        one,
        -one,
    )  # adds it to the first half, takes it from the second
    out.bias[:CODE], out.bias[CODE:] = -BIAS, BIAS
    second.output.LayerNorm.weight.zero_()
    second.output.LayerNorm.bias.fill_(1.0)
