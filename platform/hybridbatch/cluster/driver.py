"""A study on Ray: Tune drives, the ledger decides, warm worker groups train."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridbatch.cluster.tokens import token_for
from hybridbatch.foundation.errors import StoreError, first_line
from hybridbatch.search.session import StudySession

# Read by Ray when it is imported, in this process and, inherited, in those it starts.
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the trial folder holds everything
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # the ledger is the only truth: no snapshot beside it
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is to come through here, where trials are given back
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_LOGGING": "1",
    "RAY_worker_niceness": "0",  # Ray's own 15 lets anything else on the machine starve the workers, thirty to one
}

_log = logging.getLogger(__name__)
_KNOCK_SECONDS = 10
_STEADY_SHARE = 0.0001  # of the resource, the least that Ray counts: a driver leaves room for a hundred
_AUTH_MODE = "RAY_AUTH_MODE"  # Ray reads it when it connects
# The node's address is then 127.0.0.1. Without it a Ray of one's own listens on every interface.
_ON_LOOPBACK = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
_IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for what it runs as a job


def run_on_ray(
    session: StudySession,
    address: str | None = None,
    *,
    no_token: bool = False,
    tell: Callable[[str], None] = _log.info,
) -> None:
    """Run trials on a Ray cluster until none is left for this driver.

    Args:
        session: The study.
        address: Address of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS`` names one.
        no_token: Show no token, also to a cluster beyond this machine.
        tell: Is told what is waited for before the first trial.

    Raises:
        StoreError: If the cluster cannot be reached.
        UserError: If there is no token for a cluster beyond this machine, no trial fits on the cluster, or what a trial
            met that only the user can mend.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with (
        connected(session.home.logs, address, no_token=no_token),
        tempfile.TemporaryDirectory(prefix="hybridbatch-tune-") as scratch,
    ):
        _tune(session, Path(scratch), tell)


def _tune(session: StudySession, scratch: Path, tell: Callable[[str], None]) -> None:
    from ray import tune

    from hybridbatch.cluster.inventory import STEADY, has_steady_nodes, look_at_cluster, wait_for_nodes
    from hybridbatch.cluster.ledger_search import Faults, LedgerScheduler, LedgerSearcher
    from hybridbatch.cluster.metric_export import exported
    from hybridbatch.cluster.placement import place
    from hybridbatch.cluster.reclaimer import start_reclaimer
    from hybridbatch.cluster.warm_trial import WarmTrial

    faults = Faults()

    class StopOnFault(tune.Stopper):  # type: ignore[misc]
        def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
            return False

        def stop_all(self) -> bool:
            return faults.first is not None

    resources, cluster = session.experiment.resources, look_at_cluster()
    placement = place(resources, cluster)
    if placement.now == 0:
        wait_for_nodes(resources, tell)
    searcher = LedgerSearcher(session, faults)
    start_reclaimer()
    trainable = tune.with_parameters(WarmTrial, nodes_may_come=cluster.autoscaler is not None)
    # One byte: the workers reserve what they need themselves. What a trainable starts stays on its node.
    own = {"memory": 1, **({STEADY: _STEADY_SHARE} if has_steady_nodes() else {})}
    tuner = tune.Tuner(
        tune.with_resources(trainable, own),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            max_concurrent_trials=placement.later,
            reuse_actors=True,
            search_alg=searcher,
            scheduler=LedgerScheduler(searcher),
        ),
        run_config=tune.RunConfig(
            name=session.folder.name, storage_path=str(scratch), verbose=0, stop=StopOnFault(), log_to_file=False
        ),
    )
    with exported(session):
        tuner.fit()
    if faults.first is not None:
        raise faults.first


@contextmanager
def connected(logs: Path, address: str | None, *, no_token: bool = False) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine and end it afterwards.

    Ray's own chatter stays in Ray's log folder, of which ``logs/ray`` is a link.

    Raises:
        StoreError: If the cluster at ``address`` cannot be reached.
        UserError: If it is beyond this machine and there is no token, though nobody said ``no_token``.
    """
    where = address or os.environ.get("RAY_ADDRESS")
    if where in (None, "local"):
        os.environ.setdefault(*_ON_LOOPBACK)  # before Ray is imported, which reads there who it is
    with _token_shown(where, no_token), _connected(where, logs):  # likewise: whether to show a token
        yield


@contextmanager
def _connected(where: str | None, logs: Path) -> Iterator[None]:
    import ray

    was_connected = ray.is_initialized()
    try:
        if not was_connected:
            _knock(where)
            with warnings.catch_warnings(), _kept_handler():
                warnings.simplefilter("ignore")
                context = ray.init(
                    address=where or "local",  # else Ray joins whatever cluster was started here last
                    include_dashboard=None if where else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=True,
                )
            _link(logs / "ray", Path(context.address_info["session_dir"]) / "logs")
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreError(
            "the Ray cluster cannot be reached",
            file=where,
            seen=first_line(error),
            allowed="the address of a running cluster, host:port, or none to use this machine alone",
            remedy="check that `ray start --head` runs there, or run with --local",
        ) from error
    try:
        yield
    finally:
        if not was_connected:
            ray.shutdown()


@contextmanager
def _kept_handler() -> Iterator[None]:
    """Keep what SIGTERM does: Ray's own handler would end the driver before it has said how to go on."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _token_shown(address: str | None, no_token: bool) -> Iterator[None]:
    """Have Ray show the user's token to the cluster at ``address``: to one that is named it does not by itself."""
    mode = None
    if address not in (None, "auto", "local") and _IN_A_JOB not in os.environ:  # a job is let in already
        host = address.removeprefix("ray://").rpartition(":")[0] or address
        if token_for(host, no_token=no_token) is not None:
            mode = os.environ.get(_AUTH_MODE, "token")
        elif no_token:
            mode = "disabled"
    if mode is None:
        yield
        return
    before = os.environ.get(_AUTH_MODE)
    os.environ[_AUTH_MODE] = mode
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_AUTH_MODE, None)
        else:
            os.environ[_AUTH_MODE] = before


def _knock(address: str | None) -> None:
    """Raise an OSError when nobody listens at ``address``: Ray itself would go on trying for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
