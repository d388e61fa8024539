"""Checkpoints: weights, optimizer and step, as safetensors: whole or not there, and nothing in them can run code."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError, UserError, free_megabytes

_KEPT = 2  # the newest, and the one before it in case the newest is damaged


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Write the checkpoint of ``step`` below ``folder`` and drop all but the newest two.

    Args:
        folder: Folder of all checkpoints of a trial.
        step: Steps done.
        model: The module, whose names of parameters are kept.
        optimizer: Its state is kept by parameter.
        state: JSON-like values to go on from.

    Raises:
        StoreError: If the disk is full.
    """
    checkpoint = folder / f"step-{step:08d}"
    atomic.remove_abandoned_drafts(checkpoint)  # of an attempt that was killed here: large, and of no use
    with atomic.folder_written_whole(checkpoint) as draft:
        write_tensors(model.state_dict(), draft / "model.safetensors")
        write_tensors(_optimizer_tensors(optimizer), draft / "optimizer.safetensors")
        files = ("model.safetensors", "optimizer.safetensors")
        prints = {name: fingerprint.of_files([draft / name]) for name in files}
        content = {"step": step, "fingerprints": prints, "state": dict(state)}
        atomic.write_json(draft / "state.json", {**content, "fingerprint": fingerprint.of_json(content)})
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write ``tensors`` as safetensors.

    Raises:
        StoreError: If the disk is full.
    """
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, str(file))
    except (SafetensorError, OSError) as error:
        raise StoreError(
            f"cannot write a checkpoint: {error}",
            file=file.parent,
            seen=f"{free_megabytes(file.parent):.0f} MB free",
            remedy="free some space or choose another --home, then run `hybridbatch resume`",
        ) from error


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint below ``folder``, or None."""
    steps = _steps(folder)
    return steps[-1] if steps else None


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Put a checkpoint's weights into ``model`` and ``optimizer``; return its state.

    Raises:
        UserError: If the checkpoint is damaged or is not one of this model.
    """
    try:
        content = atomic.read_json(checkpoint / "state.json")
        expected = content.pop("fingerprint")
        if fingerprint.of_json(content) != expected:
            raise _damaged(checkpoint, "state.json is not what was written")
        for name, expected in content["fingerprints"].items():
            if fingerprint.of_files([checkpoint / name]) != expected:
                raise _damaged(checkpoint, f"{name} is not what was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(checkpoint, _reason(error)) from error
    moments = _tensors(checkpoint / "optimizer.safetensors") if optimizer is not None else {}
    load_weights(checkpoint / "model.safetensors", model)
    if optimizer is not None:
        _load_optimizer(optimizer, moments)
    return {"step": content["step"], **content["state"]}


def load_weights(file: Path, model: nn.Module, mend: str | None = None) -> None:
    """Put the weights in ``file`` into ``model``.

    Args:
        file: The file.
        model: The module.
        mend: What the reader can do about a damaged file; None: what holds for a checkpoint.

    Raises:
        UserError: If the file is damaged or is not one of this model.
    """
    tensors = _tensors(file, mend)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            "these weights are of another model",
            file=file,
            seen=str(error).strip().splitlines()[-1].strip(),
            allowed="the names and shapes of this trial's model",
            remedy="delete this folder, or go back to the settings that it was made with",
        ) from error


def _tensors(file: Path, mend: str | None = None) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise _damaged(file.parent, _reason(error), mend) from error
    return tensors


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _damaged(checkpoint: Path, problem: str, mend: str | None = None) -> UserError:
    others = [other.name for other in _steps(checkpoint.parent) if other != checkpoint]
    then = f"training goes on from {others[-1]}" if others else "the trial starts again from its first step"
    return UserError(
        "this checkpoint is damaged",
        file=checkpoint,
        seen=problem,
        allowed="the files as they were written",
        remedy=mend or f"delete this folder, then run `hybridbatch resume`: {then}",
    )


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.exists() else []


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    states = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, state in states.items() for name, value in state.items()}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    content = optimizer.state_dict()
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    content["state"] = states
    optimizer.load_state_dict(content)
