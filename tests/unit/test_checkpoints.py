"""Checkpoints come back to the bit, and damaged ones are told apart."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import StoreError, UserError
from hybridbatch.training.checkpoints import (
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    save_checkpoint,
    write_tensors,
)

STATE = {"best": {"value": 0.1 + 0.2, "step": None}, "rungs": [{"step": 1, "loss": 1e-300}]}
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


def trained(seed: int = 0, width: int = 4) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model after three steps of AdamW in two groups."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))
    weights, biases = ([one for one in model.parameters() if one.ndim == dims] for dims in (2, 1))
    optimizer = torch.optim.AdamW(
        [{"params": weights}, {"params": biases, "weight_decay": 0.0}], lr=0.1 + seed, fused=True
    )
    for _ in range(3):
        step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(5, 3)).square().sum().backward()
    optimizer.step()


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model, optimizer = trained()
    save_checkpoint(tmp_path / "checkpoints", 3, model, optimizer, STATE)
    found = newest_checkpoint(tmp_path / "checkpoints")
    assert found is not None
    return found


def test_a_checkpoint_comes_back_to_the_bit_and_goes_on_as_if_nothing_had_happened(checkpoint: Path):
    model, optimizer = trained()
    other, other_optimizer = trained(seed=1)
    assert not equal(model, other)
    state = load_checkpoint(checkpoint, other, other_optimizer)
    assert state == {"step": 3, **STATE}
    for group in other_optimizer.param_groups:
        group["lr"] = 0.1  # set at every step by the trainer, and so no part of a checkpoint
    assert equal(model, other)
    for one, two in ((model, optimizer), (other, other_optimizer)):
        step(one, two)
    assert equal(model, other)


def test_the_newest_two_are_kept(tmp_path: Path):
    model, optimizer = trained()
    assert newest_checkpoint(tmp_path / "none") is None
    for steps in (5, 20, 100, 9):
        save_checkpoint(tmp_path, steps, model, optimizer, {})
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000020", "step-00000100"]
    assert newest_checkpoint(tmp_path) == tmp_path / "step-00000100"


def test_the_half_of_a_checkpoint_that_a_killed_attempt_left_goes_with_the_next_attempt(tmp_path: Path):
    model, optimizer = trained()
    for name in (".step-00000005.0123abcd", ".step-00000006.0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    save_checkpoint(tmp_path, 5, model, optimizer, {})
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [".step-00000006.0123abcd", "step-00000005"]


def test_nothing_in_it_is_pickled(checkpoint: Path):
    assert sorted(file.name for file in checkpoint.iterdir()) == sorted(FILES)
    refusals = (pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError)
    for file in checkpoint.iterdir():
        with pytest.raises(refusals):
            pickle.loads(file.read_bytes())


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "missing":
        file.unlink()
        return
    if how == "flipped":
        content[len(content) * 3 // 4] ^= 1
    elif how == "cut":
        content = content[: len(content) // 2]
    elif how == "empty":
        content = bytearray()
    else:
        content = bytearray(pickle.dumps({"weights": [1.0]}))
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "missing", "pickle"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_refused_with_what_to_do(checkpoint: Path, name: str, how: str):
    damage(checkpoint / name, how)
    model, optimizer = trained(seed=1)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(UserError) as caught:
        load_checkpoint(checkpoint, model, optimizer)
    said = str(caught.value)
    assert said.startswith(f"{checkpoint}: this checkpoint is damaged")
    assert "mend:    delete this folder, then run `hybridbatch resume`: the trial starts again from its first" in said
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)), "nothing was half loaded"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
def test_a_pickle_is_not_read_whatever_the_fingerprints_say(checkpoint: Path, tmp_path: Path, name: str):
    mark = tmp_path / "mark"
    (checkpoint / name).write_bytes(pickle.dumps(Code(mark)))
    content = atomic.read_json(checkpoint / "state.json")
    content.pop("fingerprint")
    content["fingerprints"][name] = fingerprint.of_files([checkpoint / name])
    atomic.write_json(checkpoint / "state.json", {**content, "fingerprint": fingerprint.of_json(content)})
    model, optimizer = trained(seed=1)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(UserError, match=r"this checkpoint is damaged\n  seen: +'SafetensorError"):
        load_checkpoint(checkpoint, model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)), "nothing was half loaded"
    assert not mark.exists()
    pickle.loads((checkpoint / name).read_bytes())
    assert mark.exists(), "it would have run"


class Code:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_the_checkpoint_before_a_damaged_one_is_named(checkpoint: Path):
    model, optimizer = trained()
    save_checkpoint(checkpoint.parent, 7, model, optimizer, STATE)
    newest = checkpoint.parent / "step-00000007"
    damage(newest / "model.safetensors", "cut")
    with pytest.raises(UserError, match="training goes on from step-00000003"):
        load_checkpoint(newest, model, optimizer)
    assert load_checkpoint(checkpoint, model, optimizer)["step"] == 3


@pytest.mark.parametrize("content", [b"[]", b"{}", b'"text"', b'{"fingerprint": "x"}', b"\xff"])
def test_a_state_of_another_form_is_damage(checkpoint: Path, content: bytes):
    (checkpoint / "state.json").write_bytes(content)
    with pytest.raises(UserError, match="this checkpoint is damaged"):
        load_checkpoint(checkpoint, *trained())


def test_a_checkpoint_of_another_model_is_told_from_a_damaged_one(checkpoint: Path):
    with pytest.raises(UserError) as caught:
        load_checkpoint(checkpoint, *trained(width=5))
    assert "these weights are of another model" in str(caught.value)
    assert "size mismatch" in str(caught.value)
    with pytest.raises(UserError, match="of another model"):
        load_weights(checkpoint / "model.safetensors", nn.Linear(3, 4))


def test_weights_alone_are_loaded_or_refused(tmp_path: Path):
    model, _ = trained()
    other, _ = trained(seed=1)
    write_tensors(model.state_dict(), tmp_path / "w.safetensors")
    load_weights(tmp_path / "w.safetensors", other)
    assert equal(model, other)
    torch.save(model.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="damaged"):
        load_weights(tmp_path / "w.safetensors", other)
    with pytest.raises(UserError, match="damaged"):
        load_weights(tmp_path / "absent.safetensors", other)


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path):
    with pytest.raises(StoreError, match="cannot write a checkpoint"):
        write_tensors({"a": torch.ones(2)}, tmp_path / "absent" / "w.safetensors")


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path):
    shared = torch.arange(4.0)
    write_tensors({"a": shared, "b": shared[1:], "c": shared.view(2, 2).T}, tmp_path / "w.safetensors")
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(tmp_path / "w.safetensors")
    assert loaded["c"].tolist() == [[0, 2], [1, 3]]
    assert loaded["b"].tolist() == [1, 2, 3]
    save_file(loaded, tmp_path / "again.safetensors")
