"""The ledger's PostgreSQL goes away and comes back: it is waited for, and nothing is lost, made or written twice."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from tests.cutting_proxy import CuttingProxy, Loss
from tests.ledger_fixtures import ASHA, NO_BASELINES, take, trials_of
from tests.postgresql_server import PostgreSQLServer
from tests.small_study import experiment, result, rung

from hybridbatch.foundation.errors import StoreError
from hybridbatch.search import patience
from hybridbatch.search.assignment import Begun, Counts
from hybridbatch.search.attempts import read
from hybridbatch.search.ledger import LEASE, Ledger
from hybridbatch.search.ownership import Owner, lease
from hybridbatch.search.storage import OutOfReachError
from hybridbatch.search.verdicts import RUNGS, VERDICTS

pytestmark = pytest.mark.postgresql
ELSEWHERE = Owner("another-machine", process=1, born=0.0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_PAUSE", 0.5)


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQLServer]:
    """A server for a test that stops it."""
    server = PostgreSQLServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def proxy(postgresql_server: PostgreSQLServer) -> Iterator[CuttingProxy]:
    made = CuttingProxy(postgresql_server.port)
    yield made
    made.close()


def through(proxy: CuttingProxy, url: str) -> str:
    before, _, database = url.rpartition("/")
    return f"{before.rpartition(':')[0]}:{proxy.port}/{database}"


def live(ledger: Ledger, value: float, done: Callable[[], None] = lambda: None) -> int:
    """Live a trial's life, from being asked to being told; call ``done`` after every call of the ledger."""
    given = take(ledger)
    done()
    for step in (2, 4):
        assert ledger.report(given.number, rung(step, value)) is True
        done()
    assert ledger.interrupt(given.number, "worker_lost", "killed", Begun(resumes_at=4, reached=5))
    done()
    ledger.tell(result(given.number, values=(value,)))
    done()
    return given.number


def check(trials: list[FrozenTrial], planned: int, causes: tuple[str, ...] = ("worker_lost", "finished")) -> None:
    """Check that there are exactly the planned trials, each told once, with its attempts and rungs."""
    assert [trial.number for trial in trials] == list(range(planned))
    for trial in trials:
        assert trial.state == TrialState.COMPLETE
        assert tuple(one.cause for one in read(trial.user_attrs)) == causes, trial.number
        assert trial.user_attrs[RUNGS] == {str(step): trial.values[0] for step in (2, 4)}
        assert trial.user_attrs[VERDICTS] == {"2": True, "4": True}
        assert trial.intermediate_values == dict.fromkeys((2, 4), trial.values[0])
        assert len(trial.params) == 1
    assert len({str(trial.params) for trial in trials}) == planned, "each drew values of its own"


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, id="restart"), pytest.param(signal.SIGQUIT, id="crash")])
def test_a_server_that_is_away_at_any_step_of_a_trial_is_waited_for(
    own_postgresql: PostgreSQLServer, how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = own_postgresql.new_database()
    ledger = Ledger(experiment({**NO_BASELINES, "search.trials": 3}), url)
    back: list[threading.Thread] = []
    away = 0

    def restart() -> None:
        nonlocal away
        for one in back:
            one.join()
        away += 1
        own_postgresql.stop(how)
        back[:] = [threading.Timer(0.3, own_postgresql.start)]
        back[0].start()

    restart()
    live(ledger, 0.1, restart)
    second = take(ledger)
    restart()
    ledger.release(second.number)
    restart()
    assert take(ledger).number == second.number
    ledger.release(second.number)
    restart()
    assert ledger.counts() == Counts(complete=1, pruned=0, failed=0, running=0, waiting=2)
    for value in (0.2, 0.3):
        live(ledger, value)
    for one in back:
        one.join()
    ledger.close()
    trials = trials_of(url)
    assert [one.cause for one in read(trials[1].user_attrs)] == ["stopped", "stopped", "worker_lost", "finished"]
    check([trials[0], trials[2]][:1], 1)
    assert [trial.state for trial in trials] == 3 * [TrialState.COMPLETE]
    said = [record.getMessage() for record in caplog.records if record.name == patience.__name__]
    assert sum("is out of reach" in one for one in said) == sum("is back after" in one for one in said) == away
    assert all("tester@" in one for one in said)


def test_every_message_that_is_lost_in_the_life_of_a_trial_is_made_good(
    proxy: CuttingProxy, postgresql_url: str, request: pytest.FixtureRequest
) -> None:
    """All answers to commits are lost, one in each trial; of other messages some, or all with ``--exhaustive``."""
    messages: list[bytes] = []

    def count(message: bytes) -> Loss | None:
        messages.append(message)
        return None

    counted = Ledger(experiment({**NO_BASELINES, "search.trials": 2}, name="counted"), through(proxy, postgresql_url))
    live(counted, 0.5)
    proxy.cut = count
    live(counted, 0.5)
    commits = [place for place, message in enumerate(messages) if b"COMMIT" in message]
    assert len(commits) > 15, "nothing was seen: is the connection encrypted?"
    others = [place for place in range(len(messages)) if place not in commits]
    stride = 1 if request.config.getoption("--exhaustive") else 23
    cases: list[tuple[int, Loss]] = [(place, "answer") for place in commits]
    cases += [(place, "request") for place in range(0, len(messages), stride)]
    cases += [(place, "answer") for place in others[::stride]]

    study = experiment({**NO_BASELINES, "search.trials": len(cases)})
    ledger = Ledger(study, through(proxy, postgresql_url))
    for number, (place, loss) in enumerate(cases):
        cutting = iter([None] * place + [loss])
        proxy.cut = lambda message, cutting=cutting: next(cutting, None)  # type: ignore[misc]
        before = proxy.cuts
        assert live(ledger, number / len(cases)) == number, (place, loss)
        assert proxy.cuts == before + 1, (place, loss)
    proxy.cut = lambda message: None
    assert ledger.next_assignment() is None
    assert ledger.counts() == Counts(complete=len(cases), pruned=0, failed=0, running=0, waiting=0)
    assert ledger.in_hand() == []
    ledger.close()
    check(trials_of(postgresql_url), len(cases))


def test_two_drivers_whose_connections_are_cut_at_random_do_exactly_what_is_planned(
    proxy: CuttingProxy, postgresql_url: str
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    study = experiment({**NO_BASELINES, "search.trials": 25})
    ledgers = [Ledger(study, through(proxy, postgresql_url)) for _ in range(2)]
    ledgers[1].owner = ELSEWHERE
    done: list[list[int]] = [[], []]
    failed: list[BaseException] = []

    def cut(message: bytes) -> Loss | None:
        return chance.choice(("request", "answer")) if chance.random() < 1 / 60 else None

    def drive(which: int) -> None:
        ledger, own = ledgers[which], random.Random(seed + which)
        try:
            while (given := ledger.next_assignment()) is not None:
                value = own.random()
                for step in (2, 4):
                    assert ledger.report(given.number, rung(step, value)) is True
                assert ledger.interrupt(given.number, "worker_lost", "killed", Begun(resumes_at=4, reached=5))
                ledger.tell(result(given.number, values=(value,)))
                done[which].append(given.number)
        except BaseException as error:
            failed.append(error)
            raise

    proxy.cut = cut
    drivers = [threading.Thread(target=drive, args=(which,)) for which in (0, 1)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    proxy.cut = lambda message: None
    assert failed == []
    assert sorted(done[0] + done[1]) == list(range(25)), "each trial was in one driver's hands"
    assert proxy.cuts > 10
    assert ledgers[0].counts() == Counts(complete=25, pruned=0, failed=0, running=0, waiting=0)
    for ledger in ledgers:
        ledger.close()
    check(trials_of(postgresql_url), 25)


def test_a_server_that_does_not_come_back_is_an_error_that_says_so_and_later_calls_do_not_wait_again(
    own_postgresql: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "WAIT_SECONDS", 1.0)
    ledger = Ledger(experiment(NO_BASELINES), own_postgresql.new_database())
    given = take(ledger)
    own_postgresql.stop()
    start = time.monotonic()
    with pytest.raises(OutOfReachError, match="cannot be reached"):
        ledger.report(given.number, rung(2, 0.5))
    assert time.monotonic() - start >= 1.0
    tries: list[float] = []
    monkeypatch.setattr(patience, "time", _Clock(tries))
    with pytest.raises(StoreError):
        ledger.close()
    assert tries == [], "it was waited for again"
    assert ledger.in_hand() == [given.number]
    own_postgresql.start()
    ledger.release(given.number)
    assert trials_of(ledger.url)[0].state == TrialState.WAITING
    ledger.close()


class _Clock:
    """The clock of the machine, with naps written down and not taken."""

    def __init__(self, naps: list[float]) -> None:
        self.monotonic, self.sleep = time.monotonic, naps.append


def test_who_loses_patience_need_not_wait_for_what_follows(
    own_postgresql: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(experiment(NO_BASELINES), own_postgresql.new_database())
    take(ledger)
    own_postgresql.stop()

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    clock: Any = _Clock([])
    clock.sleep = interrupted
    monkeypatch.setattr(patience, "time", clock)
    with pytest.raises(KeyboardInterrupt):
        ledger.counts()
    with pytest.raises(OutOfReachError):
        ledger.close()


def test_a_lease_that_ran_out_while_nobody_could_renew_it_is_honoured_for_a_while(postgresql_url: str) -> None:
    study = experiment({**NO_BASELINES, "search.trials": 1, "search.pruner": ASHA})
    other, ledger = Ledger(study, postgresql_url), Ledger(study, postgresql_url)
    other.owner = ELSEWHERE
    given = take(other)
    trial_id = trials_of(postgresql_url)[0]._trial_id
    ran_out = {**lease(ELSEWHERE), "until": time.time() - 1}
    other.storage.set_trial_user_attr(trial_id, LEASE, ran_out)
    ledger.patience.is_away(OutOfReachError("away"))
    ledger.patience.is_back()
    assert ledger.next_assignment() is None
    long_ago = {**ran_out, "until": time.time() - 1000}
    other.storage.set_trial_user_attr(trial_id, LEASE, long_ago)
    assert take(ledger).number == given.number, "it had run out before the outage"
    for one in (other, ledger):
        one.close()
