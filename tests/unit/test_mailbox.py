"""The mailbox between a trial's driver and its workers; as a plain object, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hybridbatch.cluster.mailbox import Mailbox

JOB, NEXT = {"study": "small", "number": 0}, {"study": "small", "number": 1}


async def started(waiting: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0.01)
    assert not task.done(), "it has to wait"
    return task


def test_both_workers_get_one_verdict_and_the_driver_one_event() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.hand_over(JOB)
        assert await mailbox.next_job(0) == (1, JOB)
        others = await started(mailbox.report(1, 2, None))
        first = await started(mailbox.report(1, 2, "rung"))
        assert await mailbox.next_event() == {"rung": "rung", "step": 2}
        await mailbox.decide(2, True)
        assert (await first, await others) == (True, True)
        # A restarted worker reports the step again: the same verdict, and no second event.
        assert await mailbox.report(1, 2, "rung") is True
        assert mailbox.events.empty()

    asyncio.run(scene())


def test_who_waits_for_a_verdict_on_a_trial_that_is_over_gets_none() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.hand_over(JOB)
        late = await started(mailbox.report(1, 2, None))
        await mailbox.hand_over(NEXT)
        assert await late is None, "False would be a verdict: the trial would be written down as pruned"
        assert await mailbox.report(1, 4, "rung") is None
        await mailbox.say(1, {"finished": True})
        assert mailbox.events.empty(), "what is said of a trial that is over reaches nobody"

    asyncio.run(scene())


def test_a_group_that_is_no_more_ends_its_trial_and_one_handed_over_too_late() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.hand_over(JOB)
        await mailbox.give_up("out of memory")
        assert await mailbox.next_event() == {"lost": "out of memory"}
        await mailbox.hand_over(NEXT)
        assert await mailbox.next_event() == {"lost": "out of memory"}, "the driver would wait for ever"

    asyncio.run(scene())


def test_closing_ends_every_wait() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.hand_over(JOB)
        waiting = await started(mailbox.next_job(1))
        verdict = await started(mailbox.report(1, 2, "rung"))
        await mailbox.close()
        assert (await waiting, await verdict) == (None, None)

    asyncio.run(scene())


def test_each_end_of_workers_counts_also_of_those_that_never_arrived() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.interrupted("worker_lost", "before any trial")
        await mailbox.hand_over(JOB)
        await mailbox.arrived()
        assert mailbox.events.empty(), "workers that start for the first time interrupt nothing"
        for _ in range(2):
            await mailbox.interrupted("worker_lost", "died at its start")
            assert await mailbox.next_event() == {"interrupted": ("worker_lost", "died at its start")}
        await mailbox.arrived()
        assert mailbox.events.empty(), "told already"
        await mailbox.say(1, {"finished": True})
        await mailbox.interrupted("worker_lost", "after the end")
        assert await mailbox.next_event() == {"finished": True}
        assert mailbox.events.empty()

    asyncio.run(scene())


def test_after_a_notice_the_end_of_a_group_is_told_once_whoever_ends_it() -> None:
    async def scene() -> None:
        mailbox = Mailbox()
        await mailbox.hand_over(JOB)
        await mailbox.arrived()
        await mailbox.noticed()
        await mailbox.arrived()  # Ray Train ended the group itself
        assert await mailbox.next_event() == {"interrupted": ("preempted", None)}
        await mailbox.noticed()
        for _ in range(3):  # one worker is gone, and Ray Train waits for the others
            await mailbox.interrupted("preempted", "the node was taken away")
        await mailbox.arrived()
        assert await mailbox.next_event() == {"interrupted": ("preempted", "the node was taken away")}
        assert mailbox.events.empty()
        await mailbox.arrived()  # without a word from anybody
        assert await mailbox.next_event() == {"interrupted": ("worker_lost", None)}
        await mailbox.arrived(3)  # Ray Train found room for more
        assert await mailbox.next_event() == {"interrupted": ("resized", "from 1 to 3 workers")}

    asyncio.run(scene())
