"""Which hard negatives a step has: rotation, fillers, what is passed over, and the table that trials share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.small_study import experiment
from tests.tiny_trial import InterruptedTrialError, Rungs, make_trainer, run

from hybridbatch.batching.plan import Batch
from hybridbatch.foundation import fingerprint
from hybridbatch.foundation.errors import UserError
from hybridbatch.search.checks import check_study
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.arm import StepBatch
from hybridbatch.training.hard_negatives import HardNegatives
from hybridbatch.training.losses import ABSENT
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

# Items a and b share a passage in English; d is only in English. What the lists hold is told apart by its words.
ROWS: list[tuple[str, str, str, str, list[str]]] = [
    ("a", "en", "who", "shared one", ["n1", "n2", "n3"]),
    ("a", "de", "wer", "geteilt a", ["eins"]),
    ("b", "en", "what", "shared one", ["alone c", "n4"]),  # the first is the passage of c
    ("b", "de", "was", "geteilt b", []),
    ("c", "en", "where", "alone c", ["geteilt b", "n5"]),  # the first is the passage of b in another language
    ("c", "de", "wo", "allein c", ["zwei", "drei"]),
    ("d", "en", "when", "alone d", ["alone d", "n6"]),  # the first is its own passage
]
DE, EN = 0, 1
A, B, C, D = range(4)


def write(folder: Path) -> Workshop:
    """Write the training file; return a workshop over it."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("item", "language", "query", "passage", "negatives")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in ROWS]
    (folder / "listed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return Workshop(DataLocation(folder, folder / "cache"))


def changes(negatives: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    source = {"dataset": "parallel-pairs", "path": "listed.jsonl", "columns": {"negatives": "negatives"}}
    sets = {"data.train": [source], "data.selection": source, "data.report": []}
    small = {"batches.size": 2, "batches.mix": {"multilingual": 1.0}, "batches.hard_negatives": negatives}
    return {**sets, **small, "training.evaluate_every": 4, "training.steps": 8, **more}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return write(tmp_path / "data")


def trainer(workshop: Workshop, negatives: dict[str, Any], **more: Any) -> Trainer:
    return make_trainer(workshop, changes(negatives, **more))


def hard(workshop: Workshop, negatives: dict[str, Any], **more: Any) -> HardNegatives:
    found = trainer(workshop, negatives, **more).objective.negatives
    assert found is not None
    return found


def batch(items: list[int], questions: list[int], passages: list[int], epoch: int = 0) -> Batch:
    languages = (np.array(questions), np.array(passages))
    return Batch(0, "multilingual", 0, np.array(items), *languages, np.full(len(items), epoch))


def words(negatives: HardNegatives, one: Batch) -> list[list[str]]:
    """Return the texts chosen for each pair, without the places of none."""
    (lists,) = negatives._lists
    assert lists is not None
    return [lists.texts(row[row >= 0])[0] for row in negatives.chosen(one)]


def test_given_negatives_take_turns_in_the_language_of_the_passage(workshop: Workshop):
    negatives = hard(workshop, {"source": "given"})
    seen = [words(negatives, batch([A, C], [EN, EN], [EN, DE], epoch)) for epoch in range(6)]
    of_a, of_c = ([one for step in seen for one in step[pair]] for pair in range(2))
    assert Counter(of_a) == {"n1": 2, "n2": 2, "n3": 2}
    assert of_a[:3] == of_a[3:], "in turn"
    assert Counter(of_c) == {"zwei": 3, "drei": 3}


def test_lists_that_are_too_short_are_filled_with_what_counts_for_nobody(workshop: Workshop):
    negatives = hard(workshop, {"source": "given", "per_pair": 2})
    one = batch([A, B], [EN, EN], [DE, DE])
    assert words(negatives, one) == [["eins"], []]
    assert (negatives.keys(one) == ABSENT).tolist() == [False, True, True, True]
    shards = [negatives.texts(StepBatch(one, slice(rank, rank + 1))) for rank in range(2)]
    assert [len(shard["negatives"]) for shard in shards] == [2, 2], "every worker brings as many"


def test_passages_of_items_in_the_batch_are_passed_over(workshop: Workshop):
    negatives = hard(workshop, {"source": "given", "per_pair": 2})
    alone = words(negatives, batch([C, D], [EN, EN], [EN, EN]))
    assert [sorted(pair) for pair in alone] == [["geteilt b", "n5"], ["n6"]], "d's own passage is none"
    with_b = words(negatives, batch([B, C], [EN, EN], [EN, EN]))
    assert with_b == [["n4"], ["n5"]], "c is in the batch, and b in whatever language"
    with_a = words(negatives, batch([A, C], [EN, EN], [EN, EN]))
    assert with_a[1] == ["n5"], "a shares a passage with b"


def test_a_pair_uses_its_list_up_over_the_epochs_of_a_trial(workshop: Workshop):
    made = trainer(workshop, {"source": "given"}, **{"batches.mix": {"english": 1.0}})
    negatives, seen = made.objective.negatives, set[str]()
    assert negatives is not None
    for step in range(12):  # six epochs of four items
        for pair in words(negatives, made.plan.batch(step)):
            seen.update(pair)
    assert seen >= {"n1", "n2", "n3", "n4", "n5", "n6"}
    assert "alone d" not in seen


MINED = {"source": "mined", "relative_margin": None, "depth": 10}


def test_mined_negatives_are_in_the_language_of_the_passage_or_else_of_the_question(workshop: Workshop):
    negatives = hard(workshop, {**MINED, "per_pair": 3})
    found = words(negatives, batch([C], [EN], [DE]))[0]
    # in English c can be given a's passage, which b shares and which stands once, under a; and d's, which has no German
    assert sorted(found) == ["alone d", "geteilt a"]
    assert sorted(words(negatives, batch([C], [EN], [EN]))[0]) == ["alone d", "shared one"]
    assert words(negatives, batch([A], [DE], [EN])) == [["alone c"]], "b shares a passage with a, d has no German"
    record = negatives.record()["0/listed"]
    # by question: German a, b, c; English a, b (the passages of c and d), c, d (that of a and b, and the other one)
    assert (record["questions"], record["kept"]) == (7, (1 + 1 + 2) + (2 + 2 + 2 + 2))


def test_the_model_that_mines_decides(workshop: Workshop, tmp_path: Path):
    """The first mined item is the nearest to the question, as the trained model of a trial sees it."""
    run(workshop, tmp_path / "first", changes(None, **{"training.learning_rate": 0.05, "training.steps": 20}))
    shutil.move(tmp_path / "first" / "00000" / "model", workshop.location.root / "trained")
    own = hard(workshop, MINED)
    other = hard(workshop, {**MINED, "model": "trained"})
    tables = sorted((workshop.location.cache / "negatives").glob("*/mined.json"))
    assert len(tables) == 2
    again = hard(Workshop(workshop.location), {**MINED, "model": "trained"})
    assert sorted((workshop.location.cache / "negatives").glob("*/mined.json")) == tables
    one = batch([C], [EN], [EN])
    assert words(again, one) == words(other, one)
    assert own.record() == other.record(), "the same are left out: no filter looks at scores"


def test_a_table_is_made_once_by_two_processes(workshop: Workshop, tmp_path: Path):
    spec = tmp_path / "experiment.json"
    spec.write_text(experiment(changes(MINED)).model_dump_json(), encoding="utf-8")
    program = """
import sys
from pathlib import Path
from hybridbatch.spec.experiment import Experiment
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training import mined_negatives
from hybridbatch.training.losses import Shard
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

make, made = mined_negatives._make, []
mined_negatives._make = lambda *arguments: (made.append(1), sys.stdin.readline(), make(*arguments))
root, spec = map(Path, sys.argv[1:])
experiment = Experiment.model_validate_json(spec.read_text())
workshop = Workshop(DataLocation(root, root / "cache"))
workshop.training_tokens(experiment)
print("ready", flush=True)
trainer = Trainer(experiment, workshop, Shard(), "cpu")
print(len(made), trainer.objective.negatives.chosen(trainer.plan.batch(0)).tolist(), flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "platform")}
    command = [sys.executable, "-c", program, str(workshop.location.root), str(spec)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:  # before one of them is waited for: it may be in line behind the other
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert sorted(one[0] for one in said) == ["0", "1"], "one of the two has mined"
    assert said[0][1:] == said[1][1:]


@pytest.mark.parametrize("negatives", [{"source": "given", "per_pair": 2}, {**MINED, "per_pair": 2}])
def test_an_interrupted_trial_ends_as_if_it_had_not_been(workshop: Workshop, tmp_path: Path, negatives: Any):
    lively = changes(negatives, **{"backbone.dropout": 0.3})
    whole = run(workshop, tmp_path / "whole", lively)
    with pytest.raises(InterruptedTrialError):
        run(workshop, tmp_path / "parts", lively, Rungs(interrupt_at=4))
    resumed = run(Workshop(workshop.location), tmp_path / "parts", lively)
    assert [rung.train_loss for rung in resumed.rungs] == [rung.train_loss for rung in whole.rungs]
    assert resumed.values == whole.values
    assert resumed.provenance["hard_negatives"] == whole.provenance["hard_negatives"]
    assert set(whole.provenance["hard_negatives"]) == {"0/listed"}
    plain = run(workshop, tmp_path / "plain", changes(None, **{"backbone.dropout": 0.3}))
    assert plain.rungs[0].train_loss != whole.rungs[0].train_loss
    assert "hard_negatives" not in plain.provenance
    assert plain.mixture == whole.mixture, "which pairs a batch holds does not depend on it"


@pytest.mark.parametrize("negatives", [{"source": "given", "per_pair": 2}, {**MINED, "per_pair": 2}])
def test_parts_that_wait_change_no_loss(workshop: Workshop, negatives: Any):
    losses = []
    for chunk in ("auto", 12):
        made, curve = trainer(workshop, negatives, **{"training.chunk_tokens": chunk}), list[float]()
        made.train_until(8, lambda point, curve=curve: curve.append(point.loss))
        losses.append(curve)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_set_without_lists_is_trained_on_beside_one_that_has_them(workshop: Workshop):
    (workshop.location.root / "plain.csv").write_text(
        "item,language,query,passage\n" + "".join(f"p{i},en,q{i},passage {i}\n" for i in range(8)), encoding="utf-8"
    )
    first = changes(None)["data.train"][0]
    both = [first, {"dataset": "parallel-pairs", "path": "plain.csv"}]
    made = trainer(workshop, {"source": "given"}, **{"data.train": both, "batches.mix": {"english": 1.0}})
    made.train_until(8, lambda point: None)
    assert len(made.mixture_so_far().datasets) == 2


def switch(workshop: Workshop, **more: Any) -> dict[str, Any]:
    """Write a dictionary in which three words have a translation; return the change that switches to them."""
    words = {"alone": "allein", "shared": "geteilt", "one": "eins"}
    rows = [{"english": word, "language": "de", "word": other, "source": "made"} for word, other in words.items()]
    pq.write_table(pa.Table.from_pylist(rows), workshop.location.root / "words.parquet")
    return {"arms.code-switching": {"dictionary": "words.parquet", **more}}


def hashes(*texts: str) -> list[int]:
    return [int(fingerprint.of_texts([text]), 16) for text in texts]


@pytest.mark.parametrize(
    ("negatives", "expected"), [({"source": "given", "per_pair": 2}, ["allein c", "n4"]), ({**MINED}, ["allein c"])]
)
def test_hard_negatives_are_changed_as_passages_are(workshop: Workshop, negatives: dict[str, Any], expected: list[str]):
    one = batch([B, D], [EN, EN], [EN, EN])
    plain = hard(workshop, negatives)
    assert sorted(words(plain, one)[0])[0] == "alone c"
    switched = hard(workshop, negatives, **switch(workshop, probability=1.0))
    of_b = switched.texts(StepBatch(one, slice(0, 1)))["negatives"]
    assert sorted(of_b.text_hashes_R.tolist()) == sorted(hashes(*expected))
    of_questions = hard(workshop, negatives, **switch(workshop, sides="questions", probability=1.0))
    unchanged = of_questions.texts(StepBatch(one, slice(0, 1)))["negatives"].text_hashes_R.tolist()
    assert hashes("alone c")[0] in unchanged


def test_a_text_is_switched_alike_as_a_passage_and_as_a_hard_negative(workshop: Workshop):
    made = trainer(workshop, {"source": "given", "per_pair": 2}, **switch(workshop, probability=0.5))
    pairs, negatives = made.objective.texts[:2]
    seen = set()
    for step in range(20):
        batches = [replace(batch(items, [EN, EN], [EN, EN]), step=step) for items in ([B, D], [C, D])]
        of_b, passages = negatives(StepBatch(batches[0], slice(0, 1))), pairs(StepBatch(batches[1], slice(0, 1)))
        (text,) = passages["passages"].text_hashes_R.tolist()
        assert text in of_b["negatives"].text_hashes_R.tolist()
        seen.add(text)
    assert seen == set(hashes("alone c", "allein c")), "anew at every step"


def test_masked_translations_and_hard_negatives_go_together(workshop: Workshop):
    made = trainer(workshop, {"source": "given", "per_pair": 2}, **{"loss.mask_translations": True})
    keys = made.objective.keys(batch([A, B, C], [EN, EN, EN], [DE, EN, DE]))
    assert len(keys) == 3 + 3 * 2
    a, b, c = keys[:3].tolist()
    assert a == b != c, "a and b share a passage in English"
    assert not {a, c} & set(keys[3:].tolist()), "no hard negative is masked for one question alone"
    # a lists one text in German, b the passage of c, which is in the batch, and another, c two in German
    assert (keys[3:] == ABSENT).tolist() == [False, True, False, True, False, False]


def test_a_trimmed_vocabulary_has_the_tokens_of_listed_negatives(workshop: Workshop):
    made = experiment(changes({"source": "given"}, **{"training.trim_vocabulary": True}))
    (store,) = workshop.negative_tokens(made)
    assert store is not None
    ids = workshop.token_ids(made)
    assert set(store.ids.tolist()) <= set(ids.tolist())
    plain = workshop.training_tokens(made)[0]
    assert set(store.ids.tolist()) - set(plain.questions.ids.tolist()) - set(plain.passages.ids.tolist()), (
        "of their own"
    )
    trainer(workshop, {"source": "given"}, **{"training.trim_vocabulary": True}).train_until(8, lambda point: None)


@pytest.mark.parametrize(
    ("negatives", "columns", "path", "problem"),
    [
        ({"source": "given"}, {}, "batches.hard_negatives.source", "no training set lists negatives"),
        (
            {"source": "given", "per_pair": 4},
            {"negatives": "negatives"},
            "batches.hard_negatives.per_pair",
            "more hard negatives for each pair than any row lists",
        ),
        ({**MINED, "model": "nowhere"}, {}, "batches.hard_negatives.model", "the model cannot be loaded"),
    ],
)
def test_what_no_trial_could_start_with_is_refused(
    workshop: Workshop, negatives: dict[str, Any], columns: dict[str, str], path: str, problem: str
):
    source = {"dataset": "parallel-pairs", "path": "listed.jsonl", "columns": columns}
    made = experiment(changes(negatives, **{"data.train": [source], "search.baselines": {}}))
    with pytest.raises(UserError) as caught:
        check_study(made, workshop.location)
    assert (caught.value.path, caught.value.problem) == (path, problem)


def test_plan_tries_the_ends_of_what_is_searched_and_a_baseline_without(workshop: Workshop):
    search = {
        "search.baselines": {"in-batch": {"batches.hard_negatives": None}},
        "search.space": {"batches.hard_negatives.per_pair": {"integer": [1, 3]}},
    }
    check_study(experiment(changes({"source": "given"}, **search)), workshop.location)
    search["search.space"] = {"batches.hard_negatives.per_pair": {"integer": [1, 5]}}
    with pytest.raises(UserError, match=r"with batches\.hard_negatives\.per_pair 5") as caught:
        check_study(experiment(changes({"source": "given"}, **search)), workshop.location)
    assert caught.value.path == "batches.hard_negatives.per_pair"


@pytest.mark.parametrize(
    ("negatives", "path", "problem"),
    [
        ({"source": "gven"}, "batches.hard_negatives.source", "unknown source of hard negatives"),
        ({"source": "given", "per_pair": 0}, "batches.hard_negatives.per_pair", ""),
        ({**MINED, "per_pair": 20, "keep": 20}, "batches.hard_negatives.per_pair", "depth - skip"),
        ({**MINED, "per_pair": 9, "skip": 2}, "batches.hard_negatives.per_pair", "depth - skip"),
        ({**MINED, "per_pair": 3, "keep": 2}, "batches.hard_negatives.per_pair", "keep"),
        ({"source": "given", "depth": 3}, "batches.hard_negatives.depth", "unknown key"),
    ],
)
def test_settings_that_cannot_be_are_refused(negatives: dict[str, Any], path: str, problem: str):
    with pytest.raises(Exception, match="hard_negatives") as caught:
        experiment(changes(negatives))
    (error,) = caught.value.errors if hasattr(caught.value, "errors") else [caught.value]
    assert error.path == path
    assert problem in error.problem
