"""Named backbones give the embeddings of transformers and sentence-transformers on the layouts of the hub."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from tests.published_models import POSITIONS, TEXTS, PublishedModels, pieces, sentencepiece_model

from hybridbatch.backbones.backbone import BackboneSettings, TrainingText
from hybridbatch.backbones.encoders.language_codes import LanguageCodedTokenizer
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.text_encoder import most_tokens
from hybridbatch.backbones.huggingface import HuggingFaceBackbone, from_folder_or_name
from hybridbatch.evaluation.embedding_cache import model_fingerprint
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.token_store import TokenStore, tokenized, tokenized_in_memory, tokenizer_fingerprint
from hybridbatch.foundation.registries import BACKBONES

pytestmark = pytest.mark.usefixtures("one_torch_thread")

LANGUAGES, PLAIN = (list(column) for column in zip(*TEXTS, strict=True))
NO_TEXT = TrainingText("none", list, Path())
LONGEST = 64  # the positions of the small models


def backbone(kind: str, folder: Path, **changes: Any) -> BackboneSettings:
    made: BackboneSettings = BACKBONES.get(kind)(kind=kind, name=str(folder), **changes)
    return made


def embeddings(settings: BackboneSettings, of_questions: bool = True, prefix: str | None = "") -> torch.Tensor:
    """Return the embeddings of the texts, by default without a prefix."""
    tokenizer = settings.tokenizer(NO_TEXT)
    before, _ = settings.prefix_and_tokens(of_questions, prefix)
    store = tokenized_in_memory(PLAIN, tokenizer, prefix=before, longest=LONGEST, languages=LANGUAGES)
    return encode(settings.encoder(tokenizer), store)


def by_sentence_transformers(folder: Path, prefix: str = "") -> torch.Tensor:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    found: torch.Tensor = model.encode([prefix + text for text in PLAIN], convert_to_tensor=True)
    return found


def by_transformers(folder: Path, pooled: Callable[[Any, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return what the encoder of transformers gives each text alone, pooled and of unit length."""
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in PLAIN:
        given = tokenizer(text, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            rows.append(pooled(model(**given), given["input_ids"]))
    return torch.nn.functional.normalize(torch.cat(rows), dim=-1)


@pytest.mark.parametrize("kind", ["xlm-r", "mbert"])
def test_a_masked_language_model_gives_the_mean_of_its_states(published: PublishedModels, kind: str):
    theirs_RD = by_transformers(published(kind), lambda given, ids: given.last_hidden_state.mean(dim=1))
    assert (embeddings(backbone(kind, published(kind))) - theirs_RD).abs().max() < 1e-5


def test_both_layouts_of_labse_are_tanh_of_the_first_token(published: PublishedModels):
    bare = published("LaBSE without sentence-transformers")
    theirs_RD = by_sentence_transformers(published("labse"))
    assert (theirs_RD - by_transformers(bare, lambda given, ids: given.pooler_output)).abs().max() < 1e-5
    for folder in (published("labse"), bare):
        assert (embeddings(backbone("labse", folder)) - theirs_RD).abs().max() < 1e-5
    asked = HuggingFaceBackbone(kind="huggingface", name=str(bare), pooling="pooler")
    assert (embeddings(asked) - theirs_RD).abs().max() < 1e-5
    assert (embeddings(backbone("labse", bare, pooling="mean")) - theirs_RD).abs().max() > 0.1, (
        "what is asked for counts"
    )


def test_the_head_of_bare_labse_is_trained_saved_and_read_back(published: PublishedModels, tmp_path: Path):
    settings = backbone("labse", published("LaBSE without sentence-transformers"))
    tokenizer = settings.tokenizer(NO_TEXT)
    encoder = settings.encoder(tokenizer)
    (head,) = (one for one in encoder.dense.modules() if isinstance(one, torch.nn.Linear))
    assert head.weight.requires_grad
    assert not encoder.body.pooler.dense.weight.requires_grad, "DDP refuses parameters that get no gradient"
    with torch.no_grad():
        head.weight.mul_(-1)
    save_encoder(encoder, tokenizer, {}, tmp_path / "saved")
    again = from_folder_or_name(str(tmp_path / "saved"))
    assert again.pooling == "cls"
    changed_RD = embeddings(again)
    assert (changed_RD - embeddings(settings)).abs().max() > 0.1
    assert torch.equal(changed_RD, embeddings(backbone("labse", tmp_path / "saved"))), "also as a start for training"


@pytest.mark.parametrize("layout", ["multilingual-e5", "small E5"])
def test_e5_puts_its_prefixes_before_the_texts(published: PublishedModels, layout: str):
    settings = backbone("multilingual-e5", published(layout))
    for of_questions, prefix in ((True, "query: "), (False, "passage: ")):
        theirs_RD = by_sentence_transformers(published(layout), prefix)
        assert (embeddings(settings, of_questions, prefix=None) - theirs_RD).abs().max() < 1e-5


def in_languages(folder: Path) -> Any:
    """Return a function from text and language to the ids of transformers' tokenizer with that source language."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    codes = {"en": "en_XX", "de": "de_DE", "zh": "zh_CN", "th": "th_TH"}

    def ids(text: str, language: str, longest: int = LONGEST) -> list[int]:
        tokenizer.src_lang = codes[language]
        found: list[int] = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
        return found

    return ids


def published_texts(layout: str) -> tuple[list[str], list[str]]:
    """Return texts and languages that a layout knows, without what transformers 5.23 reads wrongly in mBART-25."""
    known = [(text, one) for one, text in TEXTS if one != "th" or layout == "mbart"]
    texts, languages = (list(column) for column in zip(*known, strict=True))
    return [unicodedata.normalize("NFKC", text) for text in texts], languages


@pytest.mark.parametrize("layout", ["mbart", "mBART-25"])
@pytest.mark.parametrize("longest", [6, LONGEST])
def test_mbart_reads_each_text_as_transformers_does_with_its_language(
    published: PublishedModels, tmp_path: Path, layout: str, longest: int
):
    texts, languages = published_texts(layout)
    theirs = in_languages(published(layout))
    expected = [theirs(text, language, longest) for text, language in zip(texts, languages, strict=True)]
    tokenizer = backbone("mbart", published(layout)).tokenizer(NO_TEXT)
    assert tokenizer.token_ids(texts, languages, longest) == expected
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((published(layout) / "config.json").read_bytes())
    again = backbone("mbart", tmp_path).tokenizer(NO_TEXT)
    assert again.token_ids(texts, languages, longest) == expected
    assert tokenizer_fingerprint(again) == tokenizer_fingerprint(tokenizer)


@pytest.mark.parametrize("layout", ["mbart", "mBART-25"])
def test_mbart_reads_the_pieces_of_sentencepiece_between_code_and_end(published: PublishedModels, layout: str):
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model())
    tokenizer = backbone("mbart", published(layout)).tokenizer(NO_TEXT)
    # fairseq: <s> 0, <pad> 1, </s> 2, <unk> 3, then the pieces, then the codes in the order of the paper
    codes = {"en": pieces() + 1 + 3, "de": pieces() + 1 + 2, "zh": pieces() + 1 + 24}
    for text, language in (("Where is the tower?", "en"), ("巴黎，Ｐａｒｉｓ。", "zh"), ("ﬁne  Türme ①", "de")):
        between = [piece + 1 if piece else 3 for piece in model.encode(text)]
        code = codes[language]
        expected = [code, *between, 2] if layout == "mbart" else [*between, 2, code]
        assert tokenizer.token_ids([text], [language], LONGEST) == [expected]


@pytest.mark.parametrize("layout", ["mbart", "mBART-25"])
def test_mbart_is_the_mean_over_its_encoder_without_the_code(published: PublishedModels, layout: str):
    from transformers import MBartModel

    model = MBartModel.from_pretrained(published(layout)).eval()
    texts, languages = published_texts(layout)
    theirs, rows = in_languages(published(layout)), []
    for text, language in zip(texts, languages, strict=True):
        ids = theirs(text, language)
        with torch.inference_mode():
            states_TH = model.encoder(input_ids=torch.tensor([ids])).last_hidden_state[0]
        rows.append((states_TH[1:] if layout == "mbart" else states_TH[:-1]).mean(dim=0))
    theirs_RD = torch.nn.functional.normalize(torch.stack(rows), dim=-1)
    settings = backbone("mbart", published(layout))
    tokenizer = settings.tokenizer(NO_TEXT)
    store = tokenized_in_memory(texts, tokenizer, prefix="", longest=LONGEST, languages=languages)
    assert (encode(settings.encoder(tokenizer), store) - theirs_RD).abs().max() < 1e-5


def test_the_decoder_of_mbart_is_neither_held_nor_saved_and_transformers_reads_what_is(
    published: PublishedModels, tmp_path: Path
):
    from transformers import MBartModel

    settings = backbone("mbart", published("mbart"))
    tokenizer = settings.tokenizer(NO_TEXT)
    encoder = settings.encoder(tokenizer)
    assert encoder.body.config.decoder_layers == 0, "none was made only to be thrown away"
    whole = MBartModel.from_pretrained(published("mbart")).eval()
    assert [name for name, _ in encoder.body.named_parameters()] == [
        name for name, _ in whole.encoder.named_parameters()
    ]
    save_encoder(encoder, tokenizer, {}, tmp_path / "saved")
    with safe_open(tmp_path / "saved" / "model.safetensors", "pt") as file:
        assert {name.split(".", maxsplit=1)[0] for name in file.keys()} == {"encoder"}  # noqa: SIM118 - no mapping
    again = MBartModel.from_pretrained(tmp_path / "saved").eval()
    ids_BT = torch.tensor([tokenizer.token_ids(["Der Turm"], ["de"], LONGEST)[0]])
    with torch.inference_mode():
        ours, theirs = (one.encoder(input_ids=ids_BT).last_hidden_state for one in (again, whole))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["mbart", "mbert"])
def test_weights_older_than_safetensors_are_read(published: PublishedModels, tmp_path: Path, kind: str):
    folder = published.copy(kind, tmp_path / "model")
    (whole,) = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"]
    weights = getattr(transformers, whole).from_pretrained(folder).state_dict()
    torch.save(weights, folder / "pytorch_model.bin")
    before = model_fingerprint(folder)
    (folder / "model.safetensors").unlink()
    assert torch.equal(embeddings(backbone(kind, folder)), embeddings(backbone(kind, published(kind))))
    pickled = model_fingerprint(folder)
    (folder / "pytorch_model.bin").write_bytes(b"other weights")
    assert len({before, pickled, model_fingerprint(folder)}) == 3, "embeddings are kept by the weights that are read"


def test_a_text_in_two_languages_is_two_texts_to_mbart_and_equal_to_the_loss(published: PublishedModels):
    settings = backbone("mbart", published("mbart"))
    tokenizer = settings.tokenizer(NO_TEXT)
    assert isinstance(tokenizer, LanguageCodedTokenizer)
    texts, languages = ["1999", "1999", "1999"], ["de", "en", "de"]
    store = tokenized_in_memory(texts, tokenizer, prefix="", longest=LONGEST, languages=languages)
    embeddings_RD = encode(settings.encoder(tokenizer), store)
    assert torch.equal(embeddings_RD[0], embeddings_RD[2])
    assert not torch.allclose(embeddings_RD[0], embeddings_RD[1], atol=1e-3)
    assert len(set(store.text_hashes_R.tolist())) == 1, "passages of equal text are no negatives of each other"
    with pytest.raises(TypeError, match="told the language of each text"):
        tokenized_in_memory(texts, tokenizer, prefix="", longest=LONGEST)


def test_mbart_has_as_many_positions_as_it_says(published: PublishedModels):
    settings = backbone("mbart", published("mbart"))
    encoder = settings.encoder(settings.tokenizer(NO_TEXT)).eval()
    longest = most_tokens(encoder.body)
    assert longest == POSITIONS - 2, "two rows are skipped"
    ids_BT = torch.full((1, longest + 1), 7)
    with torch.inference_mode():
        assert encoder(ids_BT[:, :-1], torch.ones_like(ids_BT[:, :-1])).isfinite().all()
        with pytest.raises(IndexError):
            encoder(ids_BT, torch.ones_like(ids_BT))


@pytest.mark.parametrize("kind", ["xlm-r", "mbart"])
def test_dropout_is_that_of_the_settings(published: PublishedModels, kind: str):
    settings = backbone(kind, published(kind), dropout=0.4)
    config = settings.encoder(settings.tokenizer(NO_TEXT)).body.config.to_dict()
    names = [name for name in config if "dropout" in name and "classifier" not in name]
    assert {config[name] for name in names} == {0.4}, names


def test_a_store_that_lost_its_languages_is_made_again(published: PublishedModels, tmp_path: Path):
    tokenizer = backbone("mbart", published("mbart")).tokenizer(NO_TEXT)

    def store() -> TokenStore:
        settings = {"prefix": "", "longest": LONGEST, "cache": tmp_path, "languages": iter(LANGUAGES)}
        return tokenized(iter(PLAIN), "content", tokenizer, tokenizer_fingerprint(tokenizer), **settings)

    expected = store().input_hashes_R
    (file,) = tmp_path.glob("tokens/*/languages.npy")
    file.unlink()
    assert np.array_equal(store().input_hashes_R, expected)
    assert file.exists()
    assert len(set(expected.tolist())) == len(set(TEXTS))
