"""A small transformer from random weights, with a tokenizer trained on the training text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from hybridbatch.backbones.backbone import BackboneSettings, PoolingName, TrainingText, Widths
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.registries import BACKBONES

if TYPE_CHECKING:
    from torch import nn

    from hybridbatch.backbones.encoders.text_encoder import TextEncoder

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_TOKENIZER_VERSION = 1  # part of the cache key: raise it when the recipe below changes


@BACKBONES.register("scratch")
class ScratchBackbone(BackboneSettings):
    """A BERT-shaped transformer (arXiv 1810.04805) trained from nothing: for demos, tests and controlled comparisons.

    Attributes:
        layers: Transformer layers.
        width: Width of the states and of the embedding.
        heads: Attention heads; width must be a multiple of it.
        feed_forward: Width of the feed-forward layers.
        vocabulary: Size of the byte-pair vocabulary trained on the training text.
        dropout: Dropout everywhere in the transformer.
        pooling: How token states become one vector.
    """

    layers: Annotated[int, Field(ge=1)] = 2
    width: Annotated[int, Field(ge=8)] = 128
    heads: Annotated[int, Field(ge=1)] = 4
    feed_forward: Annotated[int, Field(ge=8)] = 512
    vocabulary: Annotated[int, Field(ge=300)] = 8000
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pooling: PoolingName = "mean"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ScratchBackbone:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, but got width={self.width}, heads={self.heads}")
        return self

    def tokenizer(self, text: TrainingText) -> Any:
        """Return the tokenizer trained on ``text``, from the cache when it was trained before."""
        from transformers import PreTrainedTokenizerFast

        key = fingerprint.of_json([_TOKENIZER_VERSION, text.fingerprint, self.vocabulary])
        folder = text.cache / "tokenizers" / key
        if not (folder / "tokenizer.json").exists():
            with atomic.folder_written_whole(folder, replace=False) as draft:
                _train_tokenizer(text, self.vocabulary).save(str(draft / "tokenizer.json"))
        return PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            model_max_length=max(self.question_tokens, self.passage_tokens),
        )

    def encoder(self, tokenizer: Any) -> TextEncoder:
        """Return a new encoder with random weights."""
        from hybridbatch.backbones.encoders.text_encoder import TextEncoder

        return TextEncoder(self._body(len(tokenizer), tokenizer.pad_token_id), self.pooling)

    def outline(self) -> nn.Module:
        """Return the transformer without weights."""
        import torch

        with torch.device("meta"):
            body: nn.Module = self._body(self.vocabulary, 0)
        return body

    def stated_widths(self) -> Widths:
        """Return the widths, which are one."""
        return Widths(self.width, self.width)

    def _body(self, tokens: int, padding: int) -> Any:
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=tokens,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feed_forward,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            max_position_embeddings=max(self.question_tokens, self.passage_tokens),
            pad_token_id=padding,
        )
        return BertModel(config, add_pooling_layer=False)


def _train_tokenizer(text: TrainingText, vocabulary: int) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Split(Regex(r"\p{P}|\p{S}"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=_SPECIAL, limit_alphabet=max(200, vocabulary // 2), show_progress=False
    )
    tokenizer.train_from_iterator(text.texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", _SPECIAL.index("[CLS]")), ("[SEP]", _SPECIAL.index("[SEP]"))]
    )
    return tokenizer
