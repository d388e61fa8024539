"""LASER2 from its published files: the embeddings, and what is said of files that are not what they should be."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.published_laser import SENTENCES, checkpoint, write_published
from torch import Tensor, nn

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.text_encoder import TextEncoder, most_tokens
from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.backbones.laser import LaserBackbone
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.precision import computing, in_precision
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import UserError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

NO_TEXT = TrainingText("", tuple, Path())
TEXTS = ["x", *SENTENCES, "", "much longer than all the others, " * 6]


def laser(folder: Path, **changes: Any) -> tuple[TextEncoder, Any]:
    """Return encoder and tokenizer of the backbone ``laser``."""
    backbone = LaserBackbone(kind="laser", folder=str(folder), **changes)
    tokenizer = backbone.tokenizer(NO_TEXT)
    return backbone.encoder(tokenizer), tokenizer


def of(encoder: nn.Module, tokenizer: Any, texts: list[str] = TEXTS) -> Tensor:
    return encode(encoder, tokenized_in_memory(texts, tokenizer, prefix="", longest=500))


def written_out(content: dict[str, Any], ids: list[int]) -> Tensor:
    """Return the embedding of one text as the papers describe it: no batch, no padding, one direction at a time."""
    weights = content["model"]
    states_TE = weights["embed_tokens.weight"][ids]
    for layer in range(content["params"]["num_layers"]):
        directions = []
        for suffix, order in (("", 1), ("_reverse", -1)):
            inward, across, first_bias, second_bias = (
                weights[f"lstm.{name}_l{layer}{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            hidden = cell = torch.zeros(content["params"]["hidden_size"])
            steps = []
            for state_E in states_TE if order == 1 else states_TE.flip(0):
                gates = inward @ state_E + first_bias + across @ hidden + second_bias
                enter, forget, candidate, leave = gates.chunk(4)
                cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
                hidden = torch.sigmoid(leave) * torch.tanh(cell)
                steps.append(hidden)
            directions.append(torch.stack(steps[::order]))
        states_TE = torch.cat(directions, dim=1)
    return nn.functional.normalize(states_TE.amax(dim=0), dim=0)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_embeddings_are_those_of_the_published_architecture(tmp_path: Path, zipped: bool, layers: int) -> None:
    content = checkpoint(num_layers=layers)
    encoder, tokenizer = laser(write_published(tmp_path, content, zipped=zipped))
    expected = torch.stack([written_out(content, tokenizer(text)["input_ids"]) for text in TEXTS])
    assert expected.shape == (len(TEXTS), 12)
    assert (of(encoder, tokenizer) - expected).abs().max() < 1e-6


def test_a_text_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    encoder, tokenizer = laser(write_published(tmp_path))
    together = of(encoder, tokenizer)
    for row, text in enumerate(TEXTS):
        assert (of(encoder, tokenizer, [text])[0] - together[row]).abs().max() < 1e-6


def test_it_has_no_longest_text(tmp_path: Path) -> None:
    folder = write_published(tmp_path)
    assert most_tokens(laser(folder)[0].body) is None
    encoder, tokenizer = laser(folder)
    save_encoder(encoder, tokenizer, {"question_tokens": 300, "passage_tokens": 20}, tmp_path / "saved")
    assert load_model(str(tmp_path / "saved")).longest == 300, "a question is not cut to the length of passages"


def test_a_published_folder_is_a_model_without_prefixes(tmp_path: Path) -> None:
    folder = write_published(tmp_path)
    stated = from_folder_or_name(str(folder))
    assert (stated.question_prefix, stated.passage_prefix) == ("", "")
    loaded = load_model(str(folder))
    assert torch.equal(of(loaded.encoder, loaded.tokenizer), of(*laser(folder)))


def test_a_saved_encoder_can_be_trained_further(tmp_path: Path) -> None:
    encoder, tokenizer = laser(write_published(tmp_path / "published"))
    save_encoder(encoder, tokenizer, {}, tmp_path / "saved")
    assert sorted(file.name for file in (tmp_path / "saved").iterdir()) == [
        "config.json", "hybridbatch.json", "model.safetensors", "sentencepiece.model", "vocabulary.json",
    ]  # fmt: skip
    again, its_tokenizer = laser(tmp_path / "saved")
    assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert torch.equal(of(again, its_tokenizer), of(encoder, tokenizer))
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_dropout_lies_between_the_layers(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "two")
    ids_BT = torch.tensor([[5, 6, 7, 2]])
    for dropout, same in ((0.0, True), (0.5, False)):
        encoder = laser(folder, dropout=dropout)[0].train()
        first, second = (encoder(ids_BT, torch.ones_like(ids_BT)) for _ in range(2))
        assert torch.equal(first, second) is same
    one = laser(write_published(tmp_path / "one", checkpoint(num_layers=1)), dropout=0.5)[0].train()
    assert torch.equal(one(ids_BT, torch.ones_like(ids_BT)), one(ids_BT, torch.ones_like(ids_BT)))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_give_nearly_the_same_embeddings(tmp_path: Path, precision: Any) -> None:
    encoder, tokenizer = laser(write_published(tmp_path))
    store = tokenized_in_memory(TEXTS, tokenizer, prefix="", longest=1000)
    full = encode(encoder, store)
    fewer = encode(in_precision(encoder, precision, "cpu"), store, computing=lambda: computing(precision, "cpu"))
    assert 0 < (fewer - full).abs().max() < 0.02


class _Code:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["params", "model", "dictionary", "more"])
def test_code_in_a_file_is_not_run(tmp_path: Path, zipped: bool, place: str) -> None:
    executed = tmp_path / "executed"
    content = checkpoint()
    content.setdefault(place, {})["x"] = _Code(executed)
    folder = write_published(tmp_path / "laser", content, zipped=zipped)
    with pytest.raises(UserError) as caught:
        laser(folder)
    said = f"{folder / 'laser2.pt'}: the file holds code or objects, of which none is loaded\n  seen:    '"
    assert str(caught.value).startswith(said)
    assert not executed.exists()


def _no_weights(folder: Path) -> None:
    (folder / "laser2.pt").unlink()


def _no_pieces(folder: Path) -> None:
    (folder / "laser2.spm").unlink()


def _of_laser3(folder: Path) -> None:
    (folder / "laser2.pt").rename(folder / "laser3-wol_Latn.v1.pt")


def _nothing(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _cut_weights(folder: Path) -> None:
    file = folder / "laser2.pt"
    file.write_bytes(file.read_bytes()[:-200])


def _empty_weights(folder: Path) -> None:
    (folder / "laser2.pt").write_bytes(b"")


def _weights_from_a_web_page(folder: Path) -> None:
    (folder / "laser2.pt").write_text("<html>not found</html>")


def _bare_pickle(folder: Path) -> None:
    (folder / "laser2.pt").write_bytes(pickle.dumps({"params": {}}, protocol=2))


def _weights_alone(folder: Path) -> None:
    torch.save(checkpoint()["model"], folder / "laser2.pt")


def _list_of_weights(folder: Path) -> None:
    torch.save([1, 2], folder / "laser2.pt")


def _other_params(folder: Path) -> None:
    write_published(folder, checkpoint(heads=2))


def _params_of_another_type(folder: Path) -> None:
    content = checkpoint()
    content["params"]["num_layers"] = "2"
    write_published(folder, content)


def _params_of_a_larger_model(folder: Path) -> None:
    content = checkpoint()
    content["params"]["hidden_size"] = 10**12
    write_published(folder, content)


def _a_weight_less(folder: Path) -> None:
    content = checkpoint()
    del content["model"]["lstm.bias_hh_l1_reverse"]
    write_published(folder, content)


def _dictionary_of_a_larger_model(folder: Path) -> None:
    content = checkpoint()
    content["dictionary"]["▁more"] = content["params"]["num_embeddings"]
    write_published(folder, content)


def _no_dictionary(folder: Path) -> None:
    content = checkpoint()
    content["dictionary"] = {}
    write_published(folder, content)


def _dictionary_of_another_model(folder: Path) -> None:
    content = checkpoint()
    content["dictionary"] = {f"▁{row}": row for row in range(4, 90)}
    write_published(folder, content)


def _cut_pieces(folder: Path) -> None:
    file = folder / "laser2.spm"
    file.write_bytes(file.read_bytes()[:-100])


def _empty_pieces(folder: Path) -> None:
    (folder / "laser2.spm").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "place", "said"),
    [
        (_no_weights, "laser2.pt", "a file of LASER2 is missing"),
        (_no_pieces, "laser2.spm", "a file of LASER2 is missing"),
        (_of_laser3, "", "LASER3 is not supported"),
        (_nothing, "", "there is no LASER encoder here"),
        (_cut_weights, "laser2.pt", "cannot be read as a file of torch.save"),
        (_empty_weights, "laser2.pt", "cannot be read as a file of torch.save"),
        (_weights_from_a_web_page, "laser2.pt", "cannot be read as a file of torch.save"),
        (_bare_pickle, "laser2.pt", "cannot be read as a file of torch.save"),
        (_weights_alone, "laser2.pt -> params", "not what laser2.pt holds\n  seen:    ['embed_tokens.weight', "),
        (_list_of_weights, "laser2.pt", "not what laser2.pt holds"),
        (_other_params, "laser2.pt -> params.heads", "not what laser2.pt holds"),
        (_params_of_another_type, "laser2.pt -> params.num_layers", "not what laser2.pt holds\n  seen:    '2'"),
        (_params_of_a_larger_model, "laser2.pt", "the weights do not match the stated sizes"),
        (_a_weight_less, "laser2.pt", "the weights do not match the stated sizes\n  seen:    'Missing key(s)"),
        (_dictionary_of_a_larger_model, "laser2.pt", "the vocabulary does not match the weights"),
        (_no_dictionary, "laser2.pt", "the vocabulary does not match the weights\n  seen:    'no piece at all'"),
        (
            _dictionary_of_another_model,
            "laser2.spm",
            "the SentencePiece model does not match the vocabulary\n  seen:    '0 of ",
        ),
        (_cut_pieces, "laser2.spm", "the SentencePiece model cannot be read"),
        (_empty_pieces, "laser2.spm", "the SentencePiece model cannot be read\n  seen:    'the file is empty'"),
    ],
)
def test_broken_files_are_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], place: str, said: str
) -> None:
    folder = write_published(tmp_path / "laser")
    damage(folder)
    with pytest.raises(UserError) as caught:
        laser(folder)
    assert str(caught.value).startswith(f"{folder / place if place else folder}: {said}")
    assert "\n  allowed: " in str(caught.value)


def _other_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "laser", "num_embeddings": 20}')


def _smaller_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_embeddings": 20}))


def _vocabulary_that_is_a_list(folder: Path) -> None:
    (folder / "vocabulary.json").write_text("[]")


def _no_saved_pieces(folder: Path) -> None:
    (folder / "sentencepiece.model").unlink()


def _cut_safetensors(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "place", "said"),
    [
        (_other_config, "/config.json -> padding_idx", "not what this file of a model folder holds"),
        (_smaller_config, "/vocabulary.json", "the vocabulary does not match the weights"),
        (_vocabulary_that_is_a_list, "/vocabulary.json", "not what this file of a model folder holds"),
        (_no_saved_pieces, "/sentencepiece.model", "the SentencePiece model cannot be read"),
        (_cut_safetensors, "/model.safetensors", "the weights cannot be read"),
    ],
)
def test_a_broken_model_folder_of_a_trial_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], place: str, said: str
) -> None:
    encoder, tokenizer = laser(write_published(tmp_path / "published"))
    folder = tmp_path / "saved"
    save_encoder(encoder, tokenizer, {}, folder)
    damage(folder)
    for load in (lambda: laser(folder), lambda: load_model(str(folder))):
        with pytest.raises(UserError) as caught:
            load()
        assert str(caught.value).startswith(f"{folder}{place}: {said}")
