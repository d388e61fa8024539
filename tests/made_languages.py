"""Made-up languages that share no word, and a pretrained model that knows the words of all and the meaning of none.

A question names three concepts by their question words, the passage that answers it by their passage words, in another
order: nothing but training tells which words belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

CONCEPTS = 40
_IN_A_TEXT = 3


def word(side: str, concept: int, language: str) -> str:
    """Return the word of a language for a concept, on the side of ``question`` or ``passage``."""
    return f"{language}{side[0]}" + "".join("abcdefghij"[int(digit)] for digit in f"{concept:02d}")


def write_pairs(file: Path, items: int, languages: Sequence[str], seed: int, *, gap: bool = True) -> None:
    """Write ``items`` items in ``languages`` as parallel pairs.

    Args:
        file: Where to.
        items: How many; no two are of the same concepts.
        languages: Their languages.
        seed: Which concepts they have.
        gap: Whether passages have words of their own; if not, they have those of the questions.
    """
    random, seen = np.random.default_rng(seed), set[tuple[int, ...]]()
    rows = ["item,language,query,passage"]
    while len(seen) < items:
        concepts = random.choice(CONCEPTS, _IN_A_TEXT, replace=False).tolist()
        if tuple(sorted(concepts)) in seen:
            continue
        seen.add(tuple(sorted(concepts)))
        order = random.permutation(concepts).tolist()
        for language in languages:
            asked = " ".join(word("question", one, language) for one in concepts)
            told = " ".join(word("passage" if gap else "question", one, language) for one in order)
            rows.append(f"{seed}-{len(seen)},{language},{asked},{told}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_dictionary(file: Path, languages: Sequence[str]) -> None:
    """Write the dictionary from English into ``languages``."""
    rows = [
        {"english": word(side, one, "en"), "language": language, "word": word(side, one, language), "source": "made"}
        for side in ("question", "passage")
        for one in range(CONCEPTS)
        for language in languages
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


def write_model(folder: Path, languages: Sequence[str], *, width: int = 32, seed: int = 0) -> None:
    """Write a model with random weights whose vocabulary is the words of ``languages``."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from hybridbatch.backbones.encoders.pretrained import save_encoder
    from hybridbatch.backbones.encoders.text_encoder import TextEncoder

    words = [word(side, one, name) for name in languages for side in ("question", "passage") for one in range(CONCEPTS)]
    ids = {token: index for index, token in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    config = BertConfig(
        vocab_size=len(ids),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=width,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = BertModel(config, add_pooling_layer=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    save_encoder(TextEncoder(body, "mean"), fast, {}, folder)


def settings(model: str, languages: Sequence[str], report: Sequence[str], **changes: Any) -> dict[str, Any]:
    """Return changes of the small study that train ``model`` on ``languages`` and measure ``report``."""
    return {
        "data.train": [{"dataset": "parallel-pairs", "path": "train.csv", "languages": list(languages)}],
        "data.selection": {"dataset": "parallel-pairs", "path": "test.csv", "languages": list(report)},
        "data.report": [],
        "backbone": {
            "kind": "huggingface",
            "name": model,
            "question_prefix": "",
            "passage_prefix": "",
            "question_tokens": 16,
            "passage_tokens": 16,
        },
        "batches.size": 32,
        "training": {"steps": 150, "learning_rate": 0.01, "evaluate_every": 150},
        **changes,
    }
