"""Nothing that is read from a disk or a store can run code: how the platform reads, and what it does with a plant."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.planted_code import FORMS, PlantedCode
from tests.tiny_trial import make_trainer, make_workshop
from torch import nn

from hybridbatch.backbones.encoders.pretrained import _dense_layer, save_dense_layer
from hybridbatch.datasets.arrow_cache import cached_table, column_of
from hybridbatch.evaluation.embedding_cache import found_or_made
from hybridbatch.evaluation.embedding_files import EmbeddingFile
from hybridbatch.evaluation.score_files import read_scores
from hybridbatch.foundation import atomic, fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.spec.folders import StudyFolder, TrialFolder
from hybridbatch.training.checkpoints import load_weights, write_tensors
from hybridbatch.training.mined_negatives import _kept
from hybridbatch.training.workshop import Workshop

PLATFORM = Path(__file__).resolve().parents[2] / "platform" / "hybridbatch"
SOURCES = sorted(PLATFORM.rglob("*.py"))
# Modules that run what they read; of pickle itself only the name of its error is of use.
UNSAFE_MODULES = ("pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "cpickle", "pickle5")
HARMLESS = {"pickle.UnpicklingError"}
UNSAFE_NAMES = ("eval", "exec", "compile", "__import__")
# Functions that unpickle or run what a file says, whatever they are called on.
UNSAFE_CALLS = (
    "read_pickle", "to_pickle", "unsafe_load", "full_load", "UnsafeLoader", "FullLoader", "extractall",
    "unpack_archive", "read_index", "load_from_disk", "load_dataset", "CmaEsSampler", "JournalRedisBackend",
    "load_module", "popen",
)  # fmt: skip
UNSAFE_WHOLE = ("os.system", "torch.hub.load", "torch.jit.load", "tempfile.mktemp")


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` for the expression that says so; what is no name is a question mark."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def says(call: ast.Call, name: str, value: object) -> bool:
    """Return whether a call gives this constant for the argument of that name."""
    given = [one.value for one in call.keywords if one.arg == name]
    return any(isinstance(one, ast.Constant) and one.value is value for one in given)


def unsafe_reading(source: str) -> Iterator[str]:
    """Yield, with its line, what in a module could run code that somebody has put into a file."""
    tree = ast.parse(source)
    safe_loaders = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and [dotted(base) for base in node.bases] == ["yaml.SafeLoader"]
    }
    for node in ast.walk(tree):
        for what in _unsafe_parts(node, safe_loaders):
            yield f"line {getattr(node, 'lineno', 0)}: {what}"


def _unsafe_parts(node: ast.AST, safe_loaders: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names if one.name.split(".")[0] in UNSAFE_MODULES and one.name != "pickle")
        yield from (f"{one.name} as {one.asname}" for one in node.names if one.name == "pickle" and one.asname)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_MODULES:
        yield f"from {node.module}"
    elif isinstance(node, ast.Attribute) and dotted(node).startswith("pickle.") and dotted(node) not in HARMLESS:
        yield dotted(node)
    elif isinstance(node, ast.Call):
        yield from _unsafe_call(node, dotted(node.func), safe_loaders)


def _unsafe_call(node: ast.Call, name: str, safe_loaders: set[str]) -> Iterator[str]:
    last = name.rpartition(".")[2]
    given = {one.arg: dotted(one.value) for one in node.keywords}
    if name in UNSAFE_NAMES or last in UNSAFE_CALLS or name in UNSAFE_WHOLE:
        yield name
    if name == "torch.load" and not says(node, "weights_only", True):
        yield "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load"):  # takes a pickle or an archive for an array, as the file says
        yield f"{name}: np.lib.format.open_memmap reads arrays alone"
    if "allow_pickle" in given and not says(node, "allow_pickle", False):
        yield f"{name} with allow_pickle"
    if name in ("yaml.load", "yaml.load_all") and given.get("Loader") not in {*safe_loaders, "yaml.SafeLoader"}:
        yield f"{name} without a safe loader"
    if last in ("from_pretrained", "from_config") and not says(node, "trust_remote_code", False):
        yield f"{name} without trust_remote_code=False"
    if last == "from_pretrained" and "Model" in name and not (
        says(node, "weights_only", True) or says(node, "use_safetensors", True)
    ):  # fmt: skip
        yield f"{name} of weights that may be more than tensors"
    if "shell" in given and not says(node, "shell", False):
        yield f"{name} through a shell"


def test_no_module_of_the_platform_reads_what_could_run_code() -> None:
    assert len(SOURCES) > 200
    found = [
        f"{file.relative_to(PLATFORM)}, {what}"
        for file in SOURCES
        for what in unsafe_reading(file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import cloudpickle",
        "import joblib",
        "import pickle as p",
        "from pickle import loads",
        "import pickle; pickle.load(file)",
        "import pickle; read = pickle.loads",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=flag)",
        "np.load(file)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.FullLoader)",
        "yaml.load(text, Loader=_Loader)",
        "yaml.unsafe_load(text)",
        "pd.read_pickle(file)",
        "faiss.read_index(name)",
        "archive.extractall(folder)",
        "eval(text)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False)",
        "AutoTokenizer.from_pretrained(folder)",
        "AutoConfig.from_pretrained(folder, trust_remote_code=True)",
        "optuna.samplers.CmaEsSampler()",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_the_scan_finds_it(line: str) -> None:
    assert list(unsafe_reading(line))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle\ntry:\n    pass\nexcept pickle.UnpicklingError:\n    pass",
        "torch.load(file, weights_only=True)",
        "np.lib.format.open_memmap(file, mode='r')",
        "class _Loader(yaml.SafeLoader):\n    pass\nyaml.load(text, Loader=_Loader)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False, weights_only=True)",
        "model.eval()",
        "re.compile(text)",
    ],
)
def test_the_scan_lets_it_pass(line: str) -> None:
    assert list(unsafe_reading(line)) == []


@pytest.fixture
def code(tmp_path: Path) -> PlantedCode:
    return PlantedCode(tmp_path / "it ran")


def embeddings(folder: Path, plant: Callable[[Path], None]) -> None:
    found_or_made(folder, "name", 3, lambda: torch.ones(3, 2))
    plant(folder / "embeddings" / "name.npy")
    assert found_or_made(folder, "name", 3, lambda: torch.ones(3, 2)).tolist() == [[1, 1]] * 3


def embeddings_of_a_corpus(folder: Path, plant: Callable[[Path], None]) -> None:
    plant(folder / "000000.npy")
    with pytest.raises(UserError, match="not a file of embeddings"):
        EmbeddingFile.open(folder / "000000.npy")


def mined_negatives(folder: Path, plant: Callable[[Path], None]) -> None:
    atomic.write_json(folder / "mined.json", {"counts": {}})
    np.save(folder / "items.npy", np.zeros((3, 1), np.int32))
    assert _kept(folder, 3) is not None
    plant(folder / "items.npy")
    assert _kept(folder, 3) is None


def table_of_texts(folder: Path, plant: Callable[[Path], None]) -> None:
    table = pa.table({"text": ["one"]})
    cached_table(folder, "key", lambda: [table])
    plant(folder / "tables" / "key.arrow")
    assert column_of(cached_table(folder, "key", lambda: [table]), "text").to_pylist() == ["one"]


def scores(folder: Path, plant: Callable[[Path], None]) -> None:
    plant(folder / "scores.parquet")
    with pytest.raises(UserError):
        read_scores(folder / "scores.parquet")


def best_weights(folder: Path, plant: Callable[[Path], None]) -> None:
    plant(folder / "model.safetensors")
    with pytest.raises(UserError, match="damaged"):
        load_weights(folder / "model.safetensors", nn.Linear(1, 1))


def layer_after_pooling(folder: Path, plant: Callable[[Path], None]) -> None:
    save_dense_layer(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), folder / "dense-0")
    (folder / "dense-0" / "model.safetensors").unlink()
    plant(folder / "dense-0" / "pytorch_model.bin")
    with pytest.raises(UserError, match="the dense layer cannot be loaded"):
        _dense_layer(folder / "dense-0")


def result_of_a_trial(folder: Path, plant: Callable[[Path], None]) -> None:
    trial = TrialFolder(folder / "00000")
    trial.path.mkdir()
    plant(trial.path / "result.json")
    with pytest.raises(UserError, match="damaged"):
        trial.read_result()


def place_of_the_data(folder: Path, plant: Callable[[Path], None]) -> None:
    plant(folder / "data.json")
    with pytest.raises(UserError, match="damaged"):
        StudyFolder(folder).read_data_root()


PLACES = (
    embeddings, embeddings_of_a_corpus, mined_negatives, table_of_texts, scores, best_weights, layer_after_pooling,
    result_of_a_trial, place_of_the_data,
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_code_planted_in_a_file_is_not_run(
    place: Callable[[Path, Callable[[Path], None]], None], form: str, code: PlantedCode, tmp_path: Path
) -> None:
    content = code.content(form)
    (tmp_path / "place").mkdir()
    place(tmp_path / "place", lambda file: file.write_bytes(content) and None)
    assert not code.has_run
    assert code.would_run(content, form)


@pytest.mark.parametrize("form", FORMS)
def test_a_store_of_tokens_is_made_again(form: str, code: PlantedCode, tmp_path: Path) -> None:
    workshop = make_workshop(tmp_path)
    make_trainer(workshop)
    files = sorted((workshop.location.cache / "tokens").rglob("*.npy"))
    assert files
    before = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(code.content(form))
    make_trainer(Workshop(workshop.location))
    assert not code.has_run
    assert [file.read_bytes() for file in files] == before


def test_the_outcome_of_a_stage_is_refused_whatever_its_fingerprint_says(code: PlantedCode, tmp_path: Path) -> None:
    workshop = make_workshop(tmp_path)
    text = [{"dataset": "parallel-pairs", "path": "small.csv"}]
    changes = {"arms.domain-adaptation": {"text": text, "steps": 2, "batch_size": 8, "learning_rate": 0.01}}
    make_trainer(workshop, changes)
    (file,) = (workshop.location.cache / "stages").glob("*/encoder.safetensors")
    file.write_bytes(code.content("pickle"))
    outcome = atomic.read_json(file.with_name("outcome.json"))
    atomic.write_json(file.with_name("outcome.json"), {**outcome, "weights": fingerprint.of_files([file])})
    with pytest.raises(UserError, match="damaged"):
        make_trainer(Workshop(workshop.location), changes)
    assert not code.has_run


def test_weights_are_written_as_tensors_alone(code: PlantedCode, tmp_path: Path) -> None:
    write_tensors({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    header = (tmp_path / "model.safetensors").read_bytes()[8:].split(b"}}")[0]
    assert header.startswith(b'{"weight":{"dtype":"F32"')
