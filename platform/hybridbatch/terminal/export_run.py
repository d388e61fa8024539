"""Exporting a model from the terminal: a trial's or any folder's becomes a sentence-transformers folder with a card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybridbatch.backbones.encoders.model_files import MODULES
from hybridbatch.foundation import atomic
from hybridbatch.foundation.errors import UserError
from hybridbatch.report.collect import BEST
from hybridbatch.report.model_card import EncoderFacts, model_card
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.named_model import TRIAL_NAME, NamedTrial, named_trial
from hybridbatch.terminal.progress_bars import working

_GO_ON = "name another folder"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        model: The trial as ``STUDY/NUMBER``, or the model folder.
        folder: Where it is now, whole path.
        encoder: What was written.
    """

    model: str
    folder: Path
    encoder: EncoderFacts


def run_export(model: str, folder: Path, home: HomeFolder, *, force: bool, verbose: bool) -> Exported:
    """Write a model as a folder that ``SentenceTransformer`` loads; the folder is whole or not there.

    Args:
        model: ``STUDY/NUMBER``, ``STUDY/best`` or a model folder.
        folder: The folder to make.
        home: The home folder.
        force: Whether a model that is there already is replaced.
        verbose: Whether to show what libraries print.

    Raises:
        UserError: If there is no such model, it cannot be said in modules of sentence-transformers, or something else
            is at ``folder``.
        StoreError: If ``folder`` cannot be written.
    """
    source = _named(model, home)
    target = folder.expanduser().resolve()  # a link is followed, not replaced
    _check_target(target, force)
    with quiet_terminal(home.logs / "export.log", verbose, on_stderr=True) as console, working(console, "exporting"):
        atomic.remove_abandoned_drafts(target)
        with atomic.folder_written_whole(target, replace=force, go_on=_GO_ON) as draft:
            encoder = write_model(source, draft)
            _check_target(target, force)  # the other may have been faster
    return Exported(source.name if isinstance(source, NamedTrial) else str(source), target, encoder)


def write_model(source: NamedTrial | Path, folder: Path) -> EncoderFacts:
    """Write a model with its card into an empty folder.

    Raises:
        UserError: If it cannot be loaded, or not be said in modules of sentence-transformers.
    """
    from hybridbatch.backbones.encoders.sentence_transformers_folder import (
        side_lengths,
        write_sentence_transformers_folder,
    )
    from hybridbatch.evaluation.load_model import load_model

    trial = source if isinstance(source, NamedTrial) else None
    loaded = load_model(str(trial.folder.model if trial else source))
    stated = loaded.backbone
    dimensions = write_sentence_transformers_folder(loaded.encoder, loaded.tokenizer, stated, loaded.longest, folder)
    facts = EncoderFacts(
        stated.question_prefix,
        stated.passage_prefix,
        *side_lengths(stated, loaded.longest),
        dimensions,
        str(loaded.encoder.pooling),
    )
    title = source.name  # of a folder its last part
    card = model_card(title, facts, trial.study if trial else None, trial.folder if trial else None)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return facts


def _named(model: str, home: HomeFolder) -> NamedTrial | Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if TRIAL_NAME.fullmatch(model):
        return named_trial(model, home)
    raise UserError(
        "no such trial or model folder", seen=model, allowed=f"STUDY/NUMBER, STUDY/{BEST} or a folder with a model"
    )


def _check_target(target: Path, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir() or not (target / MODULES).exists():
        problem = "something is there that is no exported model, which is never replaced"
        raise UserError(problem, file=target, remedy=_GO_ON)
    if not force:
        raise UserError("a model is there already", file=target, remedy=f"--force replaces it; or {_GO_ON}")
