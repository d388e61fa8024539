"""The commands that are printed as the next step: complete, so that they can be pasted into a shell."""

from __future__ import annotations

import shlex

from hybridbatch.spec.folders import HomeFolder


def command(home: HomeFolder, *words: str) -> str:
    """Return ``hybridbatch`` with ``words``, quoted for a shell, and with ``--home`` where it has to be said."""
    place = () if home == HomeFolder.choose(None) else ("--home", str(home.path))
    return shlex.join(["hybridbatch", *words, *place])


def resume_command(
    home: HomeFolder, study: str, *, local: bool = False, address: str | None = None, no_token: bool = False
) -> str:
    """Return the command that goes on with a study in the way it was run; the study itself knows where its data lie."""
    where = ["--local"] if local else ["--address", address] if address else []
    return command(home, "resume", study, *where, *(["--no-token"] if no_token else []))
