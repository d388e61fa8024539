"""MLflow without chatter, without telemetry and without long waits."""

from __future__ import annotations

import logging
import os

from hybridbatch.foundation.passwords import hide_passwords

_CHATTY = ("mlflow", "alembic", "sqlalchemy.engine", "huey")
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # else MLflow hangs handlers that write to the terminal on its loggers
    # MLflow's own defaults (7 tries with a doubling pause, 120 s each) keep one call to a dead server for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def quiet_mlflow() -> None:
    """Send what MLflow and its libraries say to the :mod:`logging` tree and switch its telemetry off.

    Call it before MLflow is first imported; later, it takes off the handlers that MLflow has hung on its loggers.
    Variables that the user has set are kept, save those for telemetry and logging.
    """
    for name, value in _DEFAULTS.items():
        if name.startswith("MLFLOW_HTTP"):
            os.environ.setdefault(name, value)
        else:
            os.environ[name] = value
    for name in _CHATTY:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if type(getattr(handler, "stream", None)).__name__ == "MlflowLoggingStream":
                logger.removeHandler(handler)
        logger.propagate = True
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a line for each of some 60 migrations otherwise


def one_line(error: BaseException) -> str:
    """Return an error as one line that may be shown: its kind and first sentence, without passwords."""
    text = hide_passwords(" ".join(str(error).split())) or "no message"  # first: a part of a URL is not known for one
    return f"{type(error).__name__}: {text if len(text) <= 300 else text[:299] + '…'}"
