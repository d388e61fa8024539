"""Gives back what a worker group had reserved when the actor that owned it dies without notice.

A placement group lives as long as the job that made it, and Ray Train's own cleaner asks the dashboard's API, which an
embedded Ray does not have: without this, the next group would wait for ever for the CPUs of the dead one.
"""

from __future__ import annotations

import contextlib
from typing import Any

import ray
from ray.exceptions import RayActorError


class Reclaimer:
    """Watches worker groups; run as one asynchronous Ray actor for the whole study."""

    async def watch(self, mailbox: Any, placement_group: Any) -> None:
        """Remove ``placement_group`` when ``mailbox`` is gone, which lives and dies with the owner of the group."""
        with contextlib.suppress(RayActorError):
            await mailbox.outlive.remote()
        ray.util.remove_placement_group(placement_group)  # nothing happens when Ray Train has done so itself
