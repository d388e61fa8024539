"""The token that a Ray cluster asks for, and the rule that no cluster beyond this machine is talked to without one.

Whoever reaches a Ray cluster without authentication runs any program on it. Ray reads a token from the same places, but
only where ``RAY_AUTH_MODE=token`` is set, and never turns that on by itself for an address that was named.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from hybridbatch.foundation.errors import UserError

_DISABLED = "disabled"
TOKEN_PLACES = "RAY_AUTH_TOKEN, the file that RAY_AUTH_TOKEN_PATH names, or ~/.ray/auth_token"
"""Where a token is looked for."""


def is_loopback(host: str) -> bool:
    """Return whether ``host`` (a name or an address, without a port) is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def find_token(environment: Mapping[str, str] = os.environ, user: Path | None = None) -> str | None:
    """Return the token of this user, from the places that Ray looks at and in its order; None where there is none.

    Args:
        environment: The environment.
        user: The user's own folder; None: the one of this user.

    Raises:
        UserError: If ``RAY_AUTH_TOKEN_PATH`` names a file that holds none.
    """
    if said := environment.get("RAY_AUTH_TOKEN", "").strip():
        return said
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named).expanduser() if named else (user or Path.home()) / ".ray" / "auth_token"
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        if named is None:
            return None
        raise UserError(
            "the file of the token cannot be read", file=file, path="RAY_AUTH_TOKEN_PATH", seen=str(error)
        ) from error
    if named is not None and not found:
        raise UserError("the file of the token is empty", file=file, path="RAY_AUTH_TOKEN_PATH")
    return found or None


def token_for(host: str, *, no_token: bool = False) -> str | None:
    """Return the token to show to a cluster at ``host``, None where none is needed.

    Args:
        host: Name or address of the machine that is talked to.
        no_token: Whether the user said that there is to be none.

    Raises:
        UserError: If the cluster is not on this machine, there is no token, and nobody said that there is to be none.
    """
    if no_token:
        return None
    token = find_token()
    if token is None and not is_loopback(host) and os.environ.get("RAY_AUTH_MODE", "").lower() != _DISABLED:
        raise UserError(
            "there is no token for this cluster, and without one anybody who reaches it could run programs on it",
            path="--address",
            seen=host,
            allowed=f"a cluster on this machine, or one with token authentication and its token in {TOKEN_PLACES}",
            remedy="start the cluster with RAY_AUTH_MODE=token (docs/clusters.md) and bring its token here; in a "
            "network that you trust, --no-token does without",
        )
    return token
