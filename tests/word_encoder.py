"""A tiny BERT in Hugging Face layout whose tokens are whole words, for problems that are planted in its vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_word_encoder(folder: Path, words: Sequence[str], *, layers: int, width: int, rows: Any = None) -> None:
    """Write an encoder with random weights, those of ``words`` [words, numbers] put first where ``rows`` says them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    pieces = [*SPECIAL, *words]
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
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=width,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    body = BertModel(config, add_pooling_layer=False)
    if rows is not None:
        with torch.no_grad():
            table = body.get_input_embeddings().weight
            table.zero_()
            table[len(SPECIAL) :, : rows.shape[1]] = torch.as_tensor(rows, dtype=torch.float32)
    body.save_pretrained(folder)


def word_backbone(folder: str) -> dict[str, Any]:
    """Return the settings of the backbone in ``folder`` below the data folder."""
    return {
        "kind": "huggingface",
        "name": folder,
        "question_prefix": "",
        "passage_prefix": "",
        "question_tokens": 8,
        "passage_tokens": 8,
    }
