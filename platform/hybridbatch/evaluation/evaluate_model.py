"""A model that somebody trained, measured on a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.evaluation.measure import TokenisedTask, measure
from hybridbatch.evaluation.token_store import tokenized, tokenizer_fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.spec.trial import DatasetResult

if TYPE_CHECKING:
    import pyarrow as pa


def evaluate_model(
    model: str,
    source: SourceSettings,
    location: DataLocation,
    *,
    prefixes: tuple[str | None, str | None] = (None, None),
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[DatasetResult, pa.Table]:
    """Return every measure of a model on a data set, and the scores of its questions.

    Args:
        model: Folder or hub name, in the layout of Hugging Face or sentence-transformers.
        source: The data set.
        location: Where data lies and copies are kept.
        prefixes: Put before questions and passages; None takes what the model states.
        device: Where to encode.
        progress: Called with what is encoded, texts done and texts in all.

    Raises:
        UserError: If model or data cannot be loaded.
    """
    task = source.task(location)
    backbone = from_folder_or_name(model)
    tokenizer = backbone.tokenizer(TrainingText("", lambda: (), location.cache))
    encoder = backbone.encoder(tokenizer).to(device)
    longest = getattr(encoder.body.config, "max_position_embeddings", backbone.passage_tokens)
    if longest < 1:
        raise UserError("the model states no positions", file=model, seen=longest)
    identity = tokenizer_fingerprint(tokenizer)
    questions, candidates = (
        tokenized(
            (text for batch in rows.select_columns(["text"]).iter(batch_size=4096) for text in batch["text"]),
            f"{task.fingerprint} {side}",
            tokenizer,
            identity,
            prefix=stated if given is None else given,
            longest=min(limit, longest),
            cache=location.cache,
        )
        for rows, side, given, stated, limit in (
            (task.questions, "query", prefixes[0], backbone.question_prefix, backbone.question_tokens),
            (task.candidates, "passage", prefixes[1], backbone.passage_prefix, backbone.passage_tokens),
        )
    )
    measured = measure(encoder, TokenisedTask(task, questions, candidates), device=device, progress=progress)
    if measured is None:
        raise AssertionError("the only worker gets the measures")
    return measured
