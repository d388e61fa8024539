"""What a broken model folder says, whichever of its files is broken, and one that a backbone cannot do with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.published_models import PublishedModels

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.backbones.scratch import ScratchBackbone
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import BACKBONES


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes in the layout of Hugging Face."""
    root = tmp_path_factory.mktemp("tiny")
    settings = ScratchBackbone(kind="scratch", layers=1, width=16, heads=2, feed_forward=16, vocabulary=300)
    text = TrainingText("texts", lambda: ["Where is the tower?", "Der Turm steht in Paris."], root / "cache")
    tokenizer = settings.tokenizer(text)
    torch.manual_seed(1)
    save_encoder(settings.encoder(tokenizer), tokenizer, {"question_prefix": "Q: ", "passage_prefix": ""}, root / "m")
    return root / "m"


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", ')


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


class _Code:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def _weights_that_run_code(folder: Path) -> None:
    from safetensors.torch import load_file

    weights = {**load_file(folder / "model.safetensors"), "more": _Code(folder / "it ran")}
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _model_written_in_its_own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"from pathlib import Path\nPath({str(folder / 'it ran')!r}).touch()\n")


def _tokenizer_with_more_tokens(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"token-{number}" for number in range(2000)])
    tokenizer.save_pretrained(folder)


def _vocabulary_of_another_model(folder: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordPiece({"[PAD]": 0, "a": 1, "b": 2}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))


def _weights_of_a_smaller_model(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: one for name, one in weights.items() if "attention.output" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def _broken_note(folder: Path) -> None:
    (folder / "hybridbatch.json").write_text("{")


def _note_with_an_unknown_key(folder: Path) -> None:
    (folder / "hybridbatch.json").write_text('{"pooling": "mean", "query_prefix": "Q: "}')


def _note_without_pooling(folder: Path) -> None:
    (folder / "hybridbatch.json").write_text("{}")


def _note_that_is_a_list(folder: Path) -> None:
    (folder / "hybridbatch.json").write_text("[]")


def _config_that_is_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def _modules_that_are_a_mapping(folder: Path) -> None:
    (folder / "modules.json").write_text('{"0": {"type": "Transformer", "path": ""}}')


def _module_without_a_path(folder: Path) -> None:
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer"}]')


def _length_in_words(folder: Path) -> None:
    (folder / "hybridbatch.json").unlink()
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": "many"}')


def _prompts_that_are_a_list(folder: Path) -> None:
    (folder / "hybridbatch.json").unlink()
    (folder / "config_sentence_transformers.json").write_text('{"prompts": ["query: "]}')


def _pooling_that_is_a_list(folder: Path) -> None:
    _with_part(folder, "Pooling", "[]")


def _pooling_by_number(folder: Path) -> None:
    _with_part(folder, "Pooling", '{"pooling_mode": 3}')


def _dense_layer_without_sizes(folder: Path) -> None:
    _with_part(folder, "Dense", "{}")


def _dense_layer_of_another_size(folder: Path) -> None:
    from safetensors.torch import save_file

    _with_part(folder, "Dense", '{"in_features": 16, "out_features": 5}')
    save_file({"linear.weight": torch.zeros(4, 16)}, folder / "1_Dense" / "model.safetensors")


def _with_part(folder: Path, kind: str, config: str) -> None:
    (folder / f"1_{kind}").mkdir()
    (folder / f"1_{kind}" / "config.json").write_text(config)
    parts = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
    parts.append({"type": f"sentence_transformers.models.{kind}", "path": f"1_{kind}"})
    (folder / "modules.json").write_text(json.dumps(parts))


def _no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_folder, "cannot be loaded"),
        (_broken_config, "/config.json: cannot be read as JSON"),
        (_no_config, "cannot be loaded"),
        (_cut_weights, "the model cannot be loaded"),
        (_empty_weights, "the model cannot be loaded"),
        (_weights_that_run_code, "weights that hold more than tensors: reading them could run code"),
        (_model_written_in_its_own_code, "a model that is written in Python files of its own, which are never run"),
        (_vocabulary_of_another_model, "the tokenizer cannot be loaded"),
        (_weights_of_a_smaller_model, "the weights lack 4 tensors, such as encoder.layer.0.attention.output"),
        (_tokenizer_with_more_tokens, "the tokenizer does not match the weights"),
        (_broken_note, "cannot be read as JSON"),
        (_no_tokenizer, "the tokenizer cannot be loaded"),
        (_note_with_an_unknown_key, "/hybridbatch.json -> query_prefix: not what this file"),
        (_note_without_pooling, "/hybridbatch.json -> pooling: not what this file"),
        (_note_that_is_a_list, "/hybridbatch.json: not what this file"),
        (_config_that_is_a_list, "/config.json: not what this file"),
        (_modules_that_are_a_mapping, "/modules.json: not what this file"),
        (_module_without_a_path, "/modules.json -> 0.path: not what this file"),
        (_length_in_words, "/sentence_bert_config.json -> max_seq_length: not what this file"),
        (_prompts_that_are_a_list, "/config_sentence_transformers.json -> prompts: not what this file"),
        (_pooling_that_is_a_list, "/1_Pooling/config.json: not what this file"),
        (_pooling_by_number, "/1_Pooling/config.json: this pooling is not supported"),
        (_dense_layer_without_sizes, "/1_Dense/config.json -> in_features: not what this file"),
        (_dense_layer_of_another_size, "/1_Dense: the dense layer cannot be loaded"),
    ],
)
def test_a_broken_model_folder_is_refused_with_its_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], said: str
):
    monkeypatch.setattr("builtins.input", lambda question: "y")  # whatever a library asks, such as to run code
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    damage(folder)

    def load() -> None:
        settings = from_folder_or_name(str(folder))
        settings.encoder(settings.tokenizer(TrainingText("none", list, tmp_path)))

    with pytest.raises(UserError) as caught:
        load()
    assert str(caught.value).startswith(str(folder))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) > 1, "what was seen, what is allowed or how to mend it"
    assert not (folder / "it ran").exists()


def test_a_module_that_is_not_supported_is_named(tiny: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    parts = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    parts.append({"idx": 1, "name": "1", "path": "1_LSTM", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(parts))
    with pytest.raises(UserError, match=r"not supported\n  seen:    'LSTM'\n  allowed: Transformer, Pooling"):
        HuggingFaceBackbone(kind="huggingface", name=str(folder)).encoder(range(40))


def load(kind: str, folder: Path, **changes: Any) -> None:
    settings = BACKBONES.get(kind)(kind=kind, name=str(folder), **changes)
    settings.encoder(settings.tokenizer(TrainingText("none", list, folder)))


PUBLISHED = ("xlm-r", "mbert", "labse", "multilingual-e5", "mbart")


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_tokenizer_of_another_model_is_refused_by_all(published: PublishedModels, tmp_path: Path, kind: str):
    folder = published.copy(kind, tmp_path / "model")
    _tokenizer_with_more_tokens(folder)
    with pytest.raises(
        UserError, match=r"the tokenizer does not match the weights\n  seen: +'\d+ tokens, but embeddings"
    ):
        load(kind, folder)


@pytest.mark.parametrize(("kind", "layout"), [(kind, "mbart" if kind != "mbart" else "xlm-r") for kind in PUBLISHED])
def test_a_model_of_another_architecture_is_refused(published: PublishedModels, kind: str, layout: str):
    settings = BACKBONES.get(kind)(kind=kind, name=str(published(layout)))
    for attempt in (lambda: settings.tokenizer(TrainingText("none", list, Path())), lambda: settings.encoder(range(9))):
        with pytest.raises(UserError) as caught:
            attempt()
        message = str(caught.value)
        assert message.startswith(f"{published(layout)} -> config.json: model_type: ")
        assert f"seen:    '{layout.replace('xlm-r', 'xlm-roberta')}'" in message
        assert "`kind: huggingface`, which takes any encoder" in message


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("xlm-r", "seen:    'XLMRobertaModel whose weights lack pooler.dense, tanh'"),
        ("mbart", "seen:    'MBartEncoder without pooler.dense, tanh'"),
        ("labse", "the model states layers after pooling already"),
    ],
)
def test_a_pooler_that_the_model_lacks_is_refused(published: PublishedModels, layout: str, said: str):
    with pytest.raises(UserError) as caught:
        load("huggingface", published(layout), pooling="pooler")
    assert str(caught.value).startswith(f"{published(layout)} -> backbone.pooling: ")
    assert said in str(caught.value)


def test_weights_of_labse_without_their_head_are_refused(published: PublishedModels, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = published.copy("LaBSE without sentence-transformers", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    kept = {name: one for name, one in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"the model has no pooler\n  seen: +'BertModel whose weights lack"):
        load("labse", folder)
    load("labse", folder, pooling="mean")


def test_an_encoder_with_a_decoder_other_than_mbart_is_refused(tiny: Path, tmp_path: Path):
    from transformers import BartConfig, BartModel

    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    BartModel(BartConfig(vocab_size=99, d_model=16, encoder_layers=1, decoder_layers=1)).save_pretrained(folder)
    with pytest.raises(UserError, match=r"an encoder with a decoder\n  seen: +'bart'\n  allowed: .*mbart, without it"):
        load("huggingface", folder)


def test_mbart_with_a_tokenizer_that_knows_no_languages_is_refused(
    published: PublishedModels, tiny: Path, tmp_path: Path
):
    folder = published.copy("mbart", tmp_path / "model")
    (folder / "sentencepiece.bpe.model").unlink()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / file, folder)
    with pytest.raises(
        UserError, match=r"the tokenizer knows no language codes\n  seen: +'\w+'\n  allowed: MBart50Tok"
    ):
        load("mbart", folder)


@pytest.mark.parametrize(
    ("language", "layout", "codes"), [("el", "mbart", 52), ("no", "mbart", 52), ("th", "mBART-25", 25)]
)
def test_a_language_without_a_code_is_refused(published: PublishedModels, language: str, layout: str, codes: int):
    settings = BACKBONES.get("mbart")(kind="mbart", name=str(published(layout)))
    tokenizer = settings.tokenizer(TrainingText("none", list, Path()))
    with pytest.raises(UserError) as caught:
        tokenizer.token_ids(["x", "x"], ["en", language], 8)
    message, allowed = str(caught.value), str(caught.value.allowed).split(", ")
    assert message.startswith(
        f"{published(layout)}: the model has no code for this language\n  seen:    '{language}'\n"
    )
    assert len(allowed) == codes
    assert {"en", "ja", "my", "zh"} <= set(allowed)
    assert "`languages` of the data set" in message
