"""Gives back what worker groups had reserved when nobody else does.

Ray removes a placement group when the job and the actor that made it have ended, if it knew of the group by then. When
a driver goes, its workers go first, now and then; a controller of Ray Train that sees them go reserves a place for new
ones at once, a moment after its job ended, and that place would stay taken for ever. Likewise, the group of a
controller that dies without notice lives as long as its job. Ray Train has a cleaner of its own, which asks the
dashboard's API, which not every cluster has, and knows only of groups whose workers had started.
"""

from __future__ import annotations

import logging
import threading
import time

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_LOOK_SECONDS = 1.0
_LINGER_SECONDS = 20.0  # after the end of the job, or the last group that was found then

_log = logging.getLogger(__name__)


class Reclaimer:
    """Watches the groups of one job, from a thread; run as a detached Ray actor, which outlives the job by seconds.

    Args:
        job: Identity of the job, in hexadecimal.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        end = float("inf")
        while time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
            try:
                over = has_ended(self._job)
                groups = abandoned_groups(self._job, over)
                for group in groups:
                    _log.warning("giving back placement group %s of job %s", group.id.hex(), self._job)
                    remove_placement_group(group)
            except Exception:  # the head may be away for a moment; whatever it is, it is tried again
                _log.exception("could not look after the placement groups of job %s", self._job)
                continue
            if over and (groups or end == float("inf")):
                end = time.monotonic() + _LINGER_SECONDS
        ray.kill(ray.get_runtime_context().current_actor)


def start_reclaimer() -> None:
    """Start the one reclaimer of this job, on this node if it can be, and on another one when this is lost."""
    job, node = ray.get_runtime_context().get_job_id(), ray.get_runtime_context().get_node_id()
    actor = ray.remote(num_cpus=0, max_restarts=-1)(Reclaimer).options(
        name=f"reclaimer of {job}",
        namespace="hybridbatch",
        get_if_exists=True,
        lifetime="detached",
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )
    actor.remote(job)


def has_ended(job: str) -> bool:
    """Return whether a job has ended, however that was."""
    from ray._private.state import jobs

    return any(bool(one["IsDead"]) for one in jobs() if one["JobID"] == job)


def abandoned_groups(job: str, over: bool) -> list[PlacementGroup]:
    """Return the placement groups of a job that nobody needs: all when it is ``over``, else those of dead actors."""
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import ActorTableData, PlacementGroupTableData

    head, found = state._connect_and_get_accessor(), []
    for entry in head.get_placement_group_table():
        group = PlacementGroupTableData.FromString(entry)
        if group.creator_job_id.hex() != job or group.state == PlacementGroupTableData.REMOVED:
            continue
        if not over:
            made_by = head.get_actor_info(ray.ActorID(group.creator_actor_id))  # None when the driver made it
            if made_by is None or ActorTableData.FromString(made_by).state != ActorTableData.DEAD:
                continue
        found.append(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
    return found
