"""Eight drivers on one study in PostgreSQL: nothing that one of them writes is lost to another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState
from tests.ledger_fixtures import trials_of

from hybridbatch.search.attempts import read
from hybridbatch.search.verdicts import RUNGS, VERDICTS

DRIVERS, EACH = 8, 50
STEPS = (2, 4)
# A driver that takes fifty trials, and for each of them brings two rungs and the outcome; it writes what it did.
DRIVER = """
import json, sys
from tests.small_study import experiment, result, rung
from hybridbatch.search.ledger import Ledger
study = experiment({"search.baselines": {}, "search.trials": int(sys.argv[2])})
ledger, done = Ledger(study, sys.argv[1]), {}
ledger.keep_leases()
for _ in range(int(sys.argv[3])):
    given = ledger.next_assignment()
    value = given.params["loss.temperature"]
    for step in (2, 4):
        assert ledger.report(given.number, rung(step, value + step)) is True
    ledger.tell(result(given.number, values=(value,)))
    done[given.number] = value
ledger.close()
print(json.dumps(done))
"""


@pytest.mark.postgresql
def test_eight_drivers_lose_no_update_of_four_hundred_trials(postgresql_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, postgresql_url, str(DRIVERS * EACH), str(EACH)]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(DRIVERS)]
    try:
        shares = [json.loads(driver.communicate(timeout=500)[0]) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
    assert [driver.returncode for driver in drivers] == DRIVERS * [0]
    assert [len(share) for share in shares] == DRIVERS * [EACH]
    values = {int(number): value for share in shares for number, value in share.items()}
    assert sorted(values) == list(range(DRIVERS * EACH)), "each trial was in one driver's hands"
    assert len(set(values.values())) == DRIVERS * EACH, "each drew values of its own"
    taken = sorted(
        range(DRIVERS * EACH), key=lambda number: next(i for i, one in enumerate(shares) if str(number) in one)
    )
    assert taken != list(range(DRIVERS * EACH)), "one after the other: nothing was contended"
    owners = set()
    for trial in trials_of(postgresql_url):
        assert trial.state == TrialState.COMPLETE
        assert trial.values == [values[trial.number]]
        assert trial.user_attrs[RUNGS] == {str(step): values[trial.number] + step for step in STEPS}
        assert trial.intermediate_values == {step: values[trial.number] + step for step in STEPS}
        assert trial.user_attrs[VERDICTS] == {str(step): True for step in STEPS}
        (attempt,) = read(trial.user_attrs)
        assert attempt.cause == "finished"
        owners.add(attempt.owner)
    assert len(owners) == DRIVERS
