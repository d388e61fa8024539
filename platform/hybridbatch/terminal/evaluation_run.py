"""Evaluating a model from the terminal, with a progress bar."""

from __future__ import annotations

from pathlib import Path

from hybridbatch.evaluation.evaluate_model import encode_with_model
from hybridbatch.evaluation.precision import Precision
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.spec.sources import DataLocation, SourceSettings
from hybridbatch.spec.trial import DatasetResult
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.named_model import model_folder
from hybridbatch.terminal.progress_bars import progress_bars


def run_evaluation(
    model: str,
    source: SourceSettings,
    location: DataLocation,
    home: HomeFolder,
    prefixes: tuple[str | None, str | None],
    device: str,
    precision: Precision,
    keep_embeddings: bool,
    scores: Path | None,
    verbose: bool,
) -> DatasetResult:
    """Evaluate a model (folder, hub name, ``STUDY/NUMBER``, ``STUDY/best``) on a data set; write scores when asked."""
    from hybridbatch.evaluation.score_files import write_scores

    check_device(device)
    folder = model_folder(model, home)
    with quiet_terminal(home.logs / "evaluate.log", verbose, on_stderr=True) as console, progress_bars(console) as bars:
        tasks = {what: bars.add_task(what, total=None) for what in ("questions", "candidates")}

        def progress(what: str, done: int, total: int) -> None:
            bars.update(tasks[what], completed=done, total=total)

        encoded = encode_with_model(
            folder,
            source,
            location,
            prefixes=prefixes,
            device=device,
            precision=precision,
            keep_embeddings=keep_embeddings,
            progress=progress,
        )
        result, table = encoded.evaluate()
    if scores is not None:
        write_scores(table, scores)
    return result


def check_device(device: str) -> None:
    """Raise a :class:`UserError` when ``device`` cannot be used here."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UserError("this device cannot be used", path="--device", seen=device, allowed=", ".join(there)) from error
