"""Who asks is told how long each call of the ledger took, whatever came of it."""

from __future__ import annotations

import time

import pytest
from tests.ledger_fixtures import NO_BASELINES, take
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import StoreError
from hybridbatch.search.ledger import Ledger
from hybridbatch.search.storage import exclusive, open_storage


def test_every_call_is_told_in_order(url: str) -> None:
    ledger, calls = Ledger(experiment(NO_BASELINES), url), list[tuple[str, float]]()
    ledger.latency = lambda call, seconds: calls.append((call, seconds))
    begin = time.perf_counter()
    take(ledger)
    ledger.report(0, rung(2, 0.5))
    ledger.tell(result(0, values=(0.5,)))
    take(ledger)
    ledger.release(1)
    ledger.counts()
    took = time.perf_counter() - begin
    assert [call for call, _ in calls] == ["next_assignment", "report", "tell", "next_assignment", "release", "counts"]
    assert all(seconds > 0 for _, seconds in calls)
    assert sum(seconds for _, seconds in calls) <= took
    ledger.close()


def test_waiting_for_another_driver_counts(url: str) -> None:
    import threading

    ledger, calls = Ledger(experiment(NO_BASELINES), url), list[tuple[str, float]]()
    ledger.latency = lambda call, seconds: calls.append((call, seconds))
    held, asking = threading.Event(), threading.Thread(target=take, args=(ledger,))
    with exclusive(open_storage(url), ledger.name):
        asking.start()
        held.wait(0.3)
    asking.join()
    assert calls[0][0] == "next_assignment"
    assert calls[0][1] >= 0.2, "who waits for a lock waits for the ledger"
    ledger.close()


def test_a_call_that_fails_is_told_too(url: str) -> None:
    ledger, calls = Ledger(experiment(NO_BASELINES), url), list[str]()
    ledger.latency = lambda call, seconds: calls.append(call)
    take(ledger)
    with ledger.storage._backend.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE trial_user_attributes")
        connection.commit()
    with pytest.raises(StoreError):
        ledger.report(0, rung(2, 0.5))
    assert calls == ["next_assignment", "report"]
