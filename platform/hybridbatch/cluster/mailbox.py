"""The mailbox of a worker group: one trial in, its rungs out, verdicts back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridbatch.spec.attempts import Cause


class Mailbox:
    """Holds the one current trial of a worker group; run as an asynchronous Ray actor.

    Every change of trial is a new version. A worker that was restarted takes the current version again, reports from
    its checkpoint, and gets the verdicts that were given before.
    """

    def __init__(self) -> None:
        self.job: dict[str, Any] | None = None
        self.version = 0
        self.unfinished = False
        self.arrivals = self.workers = 0
        self.told_of_interruption = False
        self.notice = False
        self.closed = False
        self.lost: str | None = None
        self.verdicts: dict[int, bool] = {}
        self.reported: set[int] = set()
        self.changed = asyncio.Condition()
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hand_over(self, job: dict[str, Any]) -> None:
        """Make ``job`` the current trial; what is left of the one before is forgotten."""
        async with self.changed:
            self.job, self.version = job, self.version + 1
            self.verdicts, self.reported, self.events = {}, set(), asyncio.Queue()
            self.unfinished, self.told_of_interruption = True, False
            if self.lost is not None:
                await self.events.put({"lost": self.lost})
            self.changed.notify_all()

    async def close(self) -> None:
        """Tell all workers that no trial follows."""
        async with self.changed:
            self.closed = True
            self.changed.notify_all()

    async def next_job(self, seen: int) -> tuple[int, dict[str, Any]] | None:
        """Wait for a version after ``seen``; return it with its trial, or None when no trial follows."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.closed or self.version > seen)
            return None if self.closed or self.job is None else (self.version, self.job)

    async def report(self, version: int, step: int, rung: str | None) -> bool | None:
        """Report a rung (its JSON from the first worker, None from the others); wait for the verdict.

        None instead of a verdict says that the trial is over for other reasons, such as a failure in another worker.
        """
        if rung is not None and version == self.version and step not in self.reported:
            self.reported.add(step)
            await self.events.put({"rung": rung, "step": step})
        async with self.changed:
            await self.changed.wait_for(lambda: self.closed or self.version != version or step in self.verdicts)
            return self.verdicts.get(step) if self.version == version else None

    async def decide(self, step: int, goes_on: bool) -> None:
        """Give the verdict of a rung."""
        async with self.changed:
            self.verdicts[step] = goes_on
            self.changed.notify_all()

    async def say(self, version: int, event: dict[str, Any]) -> None:
        """Say that the trial is finished, or what the user has to mend."""
        if version == self.version:
            self.unfinished = False
            await self.events.put(event)

    async def interrupted(self, cause: Cause, detail: str | None) -> None:
        """Say that the workers ended in the middle of a trial, which others are about to go on with.

        Each time counts, also when those others ended before they arrived. Only after a notice is it told again and
        again, while Ray Train waits for the rest of the group.
        """
        if self.unfinished and not (self.notice and self.told_of_interruption):
            self.told_of_interruption = True
            await self.events.put({"interrupted": (cause, detail)})

    async def noticed(self) -> None:
        """Say that a machine of the group is about to be taken away."""
        self.notice = True

    async def arrived(self, workers: int = 1) -> None:
        """Say that the workers of the group have started, or started again, and how many there are."""
        self.arrivals += 1
        # Ray Train tells of no error when it ended the group itself: at the end of a notice, or to change its size.
        if self.arrivals > 1 and not self.told_of_interruption:
            await self.interrupted(*self._ended_by_ray_train(workers))
        self.told_of_interruption = self.notice = False
        self.workers = workers

    def _ended_by_ray_train(self, workers: int) -> tuple[Cause, str | None]:
        if self.notice:
            return "preempted", None
        if workers != self.workers:
            return "resized", f"from {self.workers} to {workers} workers"
        return "worker_lost", None

    async def give_up(self, why: str) -> None:
        """Say that the group is no more: this ends the current trial and every later one."""
        self.lost = why
        await self.events.put({"lost": why})

    async def next_event(self) -> dict[str, Any]:
        """Wait for the next event of the current trial."""
        return await self.events.get()
