"""Names of studies."""

from __future__ import annotations

import re

from hybridbatch.foundation.errors import UserError

# A name becomes a folder: it must not be able to climb out of the home folder.
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"

NAME_RULE = "lower-case letters, digits, - and _, starting with a letter or digit, at most 64"


def check_name(name: str) -> str:
    """Return ``name`` if it can name a study.

    Raises:
        UserError: If it cannot.
    """
    if not re.fullmatch(NAME_PATTERN.rstrip("$"), name):  # `$` alone lets a line end follow
        raise UserError(
            "not a name of a study",
            seen=name,
            allowed=NAME_RULE,
        )
    return name
