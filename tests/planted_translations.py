"""A tiny encoder in which words of two languages mean the same in different dimensions.

English words have their meaning in some dimensions of the embedding, foreign words the same numbers in others, so that
a word and its translation have nothing in common until one map is learnt, which then holds for words never seen.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.small_study import content

from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.reader import validate

WORDS, WIDTH, MEANING = 120, 32, 8


def english(word: int) -> str:
    """Return an English word."""
    return f"e{word}"


def foreign(word: int) -> str:
    """Return its translation."""
    return f"x{word}"


def write_encoder(folder: Path) -> Path:
    """Write a BERT of two layers whose vocabulary is the words of both languages, and return its folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *(english(word) for word in range(WORDS)), *(foreign(word) for word in range(WORDS))]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=WIDTH,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    body = BertModel(config, add_pooling_layer=False)
    meaning = torch.randn(WORDS, MEANING)
    with torch.no_grad():
        table = body.get_input_embeddings().weight
        table.zero_()
        table[len(special) : len(special) + WORDS, :MEANING] = meaning
        table[len(special) + WORDS :, MEANING : 2 * MEANING] = meaning
    body.save_pretrained(folder)
    return folder


def write_files(folder: Path) -> Path:
    """Write the encoder, a dictionary of some words, English pairs of these, and pairs of other words in both."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    write_encoder(folder / "encoder")
    known, held_out = range(WORDS * 3 // 4), range(WORDS * 3 // 4, WORDS)
    columns = {
        "english": [english(word) for word in known],
        "language": ["xx" for _ in known],
        "word": [foreign(word) for word in known],
        "source": ["planted" for _ in known],
    }
    pq.write_table(pa.table(columns), folder / "dictionary.parquet")
    draw = random.Random(3)
    for name, items, languages in (("train", 64, ("en",)), ("dev", 40, ("en", "xx"))):
        rows = ["item,language,query,passage"]
        for item in range(items):
            words = draw.sample(known if name == "train" else held_out, 5)
            for language in languages:
                said = [english(word) if language == "en" else foreign(word) for word in words]
                rows.append(f"{name}{item},{language},{' '.join(said[:4])},{' '.join(said[1:])}")
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def planted_experiment(changes: dict[str, Any] | None = None) -> Experiment:
    """Return an experiment that is fine-tuned on English pairs and measured across languages."""
    backbone = {
        "kind": "huggingface",
        "name": "encoder",
        "question_prefix": "",
        "passage_prefix": "",
        "question_tokens": 8,
        "passage_tokens": 8,
    }
    sets = [{"dataset": "parallel-pairs", "path": f"{name}.csv"} for name in ("train", "dev")]
    return validate(
        content(
            {
                "data": {"train": sets[:1], "selection": sets[1]},
                "backbone": backbone,
                "batches": {"size": 16, "mix": {"monolingual": 1.0}},
                "training": {"steps": 10, "learning_rate": 0.0003, "evaluate_every": 10},
                "search": {"trials": 1, "objectives": [{"metric": "map_cross"}]},
                **(changes or {}),
            }
        )
    )
