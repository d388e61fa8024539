"""What training costs by what is trained: time of a step and memory, at the shape of XLM-R base with random weights.

    python experiments/benchmarks/trained_part.py [--rows 40000] [--steps 5] [--texts 16] [--tokens 32]

Each way in a process of its own with one thread: the encoder forth and back on texts of random tokens, clipping, AdamW.
CPU seconds of the process (a wall clock would also count what else the machine does), median of the steps after the
first. Memory is the largest resident set of the process, untouched rows of a trimmed vocabulary included, and the bytes
that weights, gradients and AdamW's moments take on an accelerator (computed, not measured).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "all": {},
    "trim_vocabulary": {"trim_vocabulary": True},
    "freeze_embeddings": {"freeze_embeddings": True},
    "freeze_embeddings, freeze_layers: 6": {"freeze_embeddings": True, "freeze_layers": 6},
    "lora": {"lora": {}},
    "lora, trim_vocabulary": {"lora": {}, "trim_vocabulary": True},
}


def measured(way: str, rows: int, steps: int, texts: int, tokens: int) -> dict[str, float]:
    """Return the figures of one way of training, in this process."""
    import numpy as np
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from hybridbatch.backbones.encoders.text_encoder import TextEncoder
    from hybridbatch.spec.experiment import Training
    from hybridbatch.training.adapters import Adapters
    from hybridbatch.training.dual_encoder import DualEncoder
    from hybridbatch.training.layers import freeze
    from hybridbatch.training.optimization import make_optimizer, set_learning_rates
    from hybridbatch.training.vocabulary import TrimmedVocabulary

    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = Training.model_validate_json(json.dumps(WAYS[way]))
    shape = {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
    encoder = TextEncoder(XLMRobertaModel(XLMRobertaConfig(**shape), add_pooling_layer=False), "mean")
    used = np.linspace(5, shape["vocab_size"] - 1, rows).astype(np.int64)
    freeze(encoder, settings)
    if settings.lora:
        encoder.requires_grad_(False)
        Adapters(encoder.body, settings.lora)
    untouched = TrimmedVocabulary(encoder.body, used) if settings.trim_vocabulary else None
    model = DualEncoder(encoder, 0.05, learn_temperature=False)
    optimizer = make_optimizer(model, settings)
    ids_BT = torch.from_numpy(np.random.default_rng(0).choice(used, (texts, tokens)))
    seconds: dict[str, list[float]] = {"encoder": [], "optimizer": []}
    for step in range(steps + 1):
        start = time.process_time()
        embeddings_BD = encoder(ids_BT, torch.ones_like(ids_BT))
        (embeddings_BD @ embeddings_BD.T).square().sum().backward()
        between = time.process_time()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_learning_rates(optimizer, step, settings)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds["encoder"].append(between - start)
        seconds["optimizer"].append(time.process_time() - between)
    assert untouched is None or untouched.rows[0] <= rows + 1
    parameters = sum(one.numel() for one in model.parameters())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return {
        **{name: statistics.median(values[1:]) for name, values in seconds.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "trained_millions": trained / 1e6,
        "on_accelerator_mb": (4 * parameters + 12 * trained) / 1e6,
    }


def main() -> None:
    """Measure every way and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40000)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--way", choices=list(WAYS), help="this one alone, as JSON")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measured(given.way, given.rows, given.steps, given.texts, given.tokens)))
        return
    print("| trained | millions | encoder | optimizer | peak here | weights, gradients, moments |")
    print("|---|---|---|---|---|---|")
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way]
        for name in ("rows", "steps", "texts", "tokens"):
            command += [f"--{name}", str(getattr(given, name))]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"| {way} | {found['trained_millions']:.1f} | {found['encoder']:.2f} s | {found['optimizer']:.3f} s "
            f"| {found['peak_mb']:.0f} MB | {found['on_accelerator_mb']:.0f} MB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
