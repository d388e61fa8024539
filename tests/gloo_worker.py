"""One of several workers that train together over gloo: ``python -m tests.gloo_worker RANK WORKERS FOLDER NAME...``.

The folder holds the data and cache of the small study, the names are of arrangements; what the worker saw is written
there for the test to compare.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tests.small_arms import arms, settings_of
from tests.small_study import experiment
from torch import Tensor, distributed
from torch.nn import functional

from hybridbatch.foundation import atomic
from hybridbatch.foundation.registries import BATCH_KINDS
from hybridbatch.spec.sources import DataLocation
from hybridbatch.training.losses import Shard, info_nce
from hybridbatch.training.trainer import Trainer
from hybridbatch.training.workshop import Workshop

STEPS = 50
CHANGES: dict[str, Any] = {
    "backbone.dropout": 0.0,
    "loss.learn_temperature": True,
    "training.steps": STEPS,
    "training.learning_rate": 0.0005,
}
MIXES = {**{kind: {kind: 1.0} for kind in BATCH_KINDS.entries()}, "hybrid": {"monolingual": 0.5, "crosslingual": 0.5}}
CHUNKS: dict[str, int | str] = {"whole": "auto", "cached": 40}
ARRANGEMENTS = {
    f"{mix} {chunk}": {**CHANGES, "batches.mix": MIXES[mix], "training.chunk_tokens": CHUNKS[chunk]}
    for mix in MIXES
    for chunk in CHUNKS
}
ARMS = [f"{arm} arm" for arm in arms()]
ARRANGEMENTS |= {
    name: {**CHANGES, "batches.mix": MIXES["hybrid"], f"arms.{arm}": settings_of(arm)}
    for arm, name in zip(arms(), ARMS, strict=True)
}
ARRANGEMENTS["adapters in a trimmed encoder"] = {
    **CHANGES,
    "training.learning_rate": 0.01,
    "training.lora": {"dropout": 0.0},
    "training.trim_vocabulary": True,
}
ARRANGEMENTS["half frozen at several rates"] = {
    **CHANGES,
    "backbone.layers": 2,
    "training.freeze_layers": 1,
    "training.layer_decay": 0.5,
}
ARRANGEMENTS["all arms together"] = {
    **CHANGES,
    "training.lora": {"dropout": 0.0},
    **{f"arms.{arm}": settings_of(arm) for arm in arms()},
}
LISTED = {"dataset": "parallel-pairs", "path": "listed.jsonl", "columns": {"negatives": "negatives"}}
HARD: dict[str, dict[str, Any]] = {
    "given": {"data.train": [LISTED], "batches.hard_negatives": {"source": "given", "per_pair": 2}},
    "mined": {"batches.hard_negatives": {"source": "mined", "per_pair": 2, "keep": 3, "relative_margin": 0.001}},
}
ARRANGEMENTS |= {
    f"{source} {chunk}": {
        **CHANGES,
        **HARD[source],
        "batches.mix": MIXES["hybrid"],
        "training.chunk_tokens": CHUNKS[chunk],
    }
    for source in HARD
    for chunk in CHUNKS
}
ARRANGEMENTS["hard negatives that are switched"] = {
    **CHANGES,
    **HARD["given"],
    "loss.mask_translations": True,
    "arms.code-switching": settings_of("code-switching"),
}
PAIRS, WIDTH = 8, 5
HASHES = torch.tensor([1, 2, 3, 1, 4, 5, 6, 2])  # some passages stand twice, on either side of the cut


def train(folder: Path, shard: Shard, changes: Mapping[str, Any]) -> tuple[list[float], dict[str, Tensor]]:
    """Return the losses of all steps and the weights after them."""
    workshop = Workshop(DataLocation(folder / "data", folder / "cache"))
    trainer = Trainer(experiment(dict(changes)), workshop, shard, "cpu")
    losses: list[float] = []
    trainer.train_until(STEPS, lambda point: losses.append(point.loss))
    return losses, {name: weight.detach().clone() for name, weight in trainer.model.state_dict().items()}


def gradients(shard: Shard) -> tuple[Tensor, Tensor]:
    """Return the loss of made-up embeddings and its gradient by this worker's share of them and by the temperature."""
    generator = torch.Generator().manual_seed(3)
    both = [functional.normalize(torch.randn(PAIRS, WIDTH, generator=generator, dtype=torch.float64)) for _ in range(2)]
    part = PAIRS // shard.workers
    own = slice(shard.rank * part, (shard.rank + 1) * part)
    questions, passages = (one[own].clone().requires_grad_() for one in both)
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    loss = info_nce(questions, passages, temperature, both_directions=True, keys_C=HASHES, shard=shard)
    loss.backward()
    found = [one.grad for one in (questions, passages)]
    return loss.detach(), torch.cat([torch.cat(found, dim=1).flatten(), temperature.grad[None]])


def main(rank: int, workers: int, folder: Path, names: Sequence[str]) -> None:
    """Take part in the training and write what came of it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting-point", rank=rank, world_size=workers)
    shard = Shard(rank, workers)
    loss, gradient = gradients(shard)
    losses = {}
    for name in names:
        losses[name], weights = train(folder, shard, ARRANGEMENTS[name])
    save_file({**weights, "made-up.loss": loss, "made-up.gradient": gradient}, folder / f"worker-{rank}.safetensors")
    atomic.write_json(folder / f"worker-{rank}.json", losses)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
