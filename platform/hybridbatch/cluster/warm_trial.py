"""The Tune trainable that owns a warm worker group: one long-lived TorchTrainer serves trial after trial.

Tune starts one such actor per concurrent trial and reuses it. Starting a group costs ten seconds and more (a
controller, the workers, torch and transformers in each); handing a trial to a warm one costs a message.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray
from ray import tune

from hybridbatch.cluster.interruptions import TellInterruptions
from hybridbatch.cluster.mailbox import Mailbox
from hybridbatch.cluster.worker_loop import serve_trials

_STARTS = 3  # how often a group that cannot start is tried again; nodes may go while it is being placed
_NODE_SECONDS = 3600  # for nodes that an autoscaler adds; spot ones may be wanting for a while
_END_SECONDS = 60  # for an idle group to end: its processes close a store and a process group


class WarmTrial(tune.Trainable):  # type: ignore[misc]
    """Runs trials one after the other in its worker group.

    The configuration of a trial holds ``study``, ``number``, ``home``, ``data_root`` and ``resources`` (of
    :class:`~hybridbatch.spec.resources.Resources`, as a mapping).
    """

    def setup(self, config: dict[str, Any], nodes_may_come: bool = False) -> None:
        """Start the worker group and hand it its first trial."""
        if nodes_may_come:  # read by Ray Train's controller: a node in a cloud takes minutes to start
            os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(_NODE_SECONDS)
        self._start_group(config)
        self._hand_over(config)

    def _start_group(self, config: dict[str, Any]) -> None:
        self.served, self.idle, self.lost = 0, True, False
        self.mailbox = ray.remote(num_cpus=0, max_concurrency=256)(Mailbox).remote()
        self.group = threading.Thread(target=self._serve, args=(dict(config), self.mailbox), daemon=True)
        self.group.start()

    def _end_group(self) -> None:
        ray.get(self.mailbox.close.remote())
        self.group.join(_END_SECONDS)

    def _serve(self, config: dict[str, Any], mailbox: Any) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        resources = config["resources"]
        workers = resources["workers"]  # one number, or the fewest and the most
        needs = {"CPU": resources["cpus_per_worker"], "GPU": resources["gpus_per_worker"]}
        with tempfile.TemporaryDirectory(prefix="hybridbatch-group-") as folder:
            trainer = TorchTrainer(
                serve_trials,
                train_loop_config={
                    "mailbox": mailbox,
                    "home": config["home"],
                    "data_root": config["data_root"],
                    "on_gpu": needs["GPU"] > 0,
                },
                scaling_config=ScalingConfig(
                    num_workers=tuple(workers) if isinstance(workers, list) else workers,
                    use_gpu=needs["GPU"] > 0,
                    resources_per_worker={name: amount for name, amount in needs.items() if amount},
                ),
                run_config=RunConfig(
                    name=f"group-{os.getpid()}",
                    storage_path=folder,
                    # The ledger counts, by trial and by cause. What Ray Train counts is a group that cannot start.
                    failure_config=FailureConfig(max_failures=-1, controller_failure_limit=_STARTS),
                    callbacks=[TellInterruptions(mailbox)],
                ),
            )
            try:
                trainer.fit()
            except Exception as error:  # whatever it was: the trial is given back and a fresh group started
                ray.get(mailbox.give_up.remote(f"{type(error).__name__}: {error}"))

    def _hand_over(self, config: dict[str, Any]) -> None:
        self.served, self.idle = self.served + 1, False
        ray.get(self.mailbox.hand_over.remote({"study": config["study"], "number": config["number"]}))

    def step(self) -> dict[str, Any]:
        """Return the next event of the trial.

        A rung (with the mailbox that waits for the verdict), an interruption of its workers, or the end.
        """
        event = ray.get(self.mailbox.next_event.remote())
        self.lost = "lost" in event
        done = not event.keys() & {"rung", "interrupted"}
        self.idle = done
        return {**event, "mailbox": self.mailbox, "done": done}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial, with a fresh group where one is due.

        Never refuses: Tune would drop the trial without a word to the searcher, which would wait for it for ever.
        """
        if self.lost or not self.group.is_alive() or self.served >= new_config["resources"]["trials_per_group"]:
            self._end_group()
            if self.group.is_alive():  # its workers hold what a fresh group would wait for
                raise RuntimeError(f"the worker group was idle and did not end within {_END_SECONDS} s")
            self._start_group(new_config)
        self._hand_over(new_config)
        return True

    def cleanup(self) -> None:
        """End the group: by itself when it is idle; in the middle of a trial it ends with this process."""
        if self.idle:
            self._end_group()

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Return nothing: checkpoints lie in the trial folder."""
        Path(checkpoint_dir).mkdir(parents=True, exist_ok=True)
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: trials go on from their folder."""
