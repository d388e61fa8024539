"""What data sets declare, and which of their files are here."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from hybridbatch.datasets.fetching.fetch import state_of
from hybridbatch.foundation.registries import DATASETS
from hybridbatch.spec.reference import described_settings
from hybridbatch.spec.sources import OWN_FILE, DataLocation, SourceSettings

OFFERS = ("pairs", "task", "labelled_pairs")  # methods of a data set that load it
Presence = Literal["there", "partly there", "missing", "built in", "own file", "needs settings"]


def catalogue(location: DataLocation) -> list[dict[str, Any]]:
    """Return every registered data set by name.

    Keys: ``name``, ``description``, ``languages`` (empty where they follow from the settings), ``licence``, ``state``:
    ``there``, ``partly there``, ``missing`` (all that is published), ``built in`` (it needs no file), ``own file`` (it
    reads the user's own file) or ``needs settings`` (which files it needs follows from settings without default).
    """
    return [
        {
            "name": name,
            "description": kind.description,
            "languages": list(kind.present),
            "licence": kind.licence,
            "state": _presence(kind, None, location),
        }
        for name, kind in DATASETS.entries().items()
    ]


def declaration(name: str, settings: SourceSettings | None, location: DataLocation) -> dict[str, Any]:
    """Return what a data set declares and how its files stand.

    Keys: those of :func:`catalogue`; ``source``, ``revision``, ``citation``; ``offers`` (any of :data:`OFFERS`);
    ``statistics``; ``settings``: list of ``name``, ``allowed``, ``default`` (JSON; null where one has to be given),
    ``meaning``; ``folder``: where files are put; ``files``: list of ``path``, ``url``, ``size``, ``checksum``,
    ``unpack``, ``state`` (``there``, ``missing``, ``partial``, ``different``), null where settings are missing;
    ``commands``: what to run next, by what it does (``fetch`` where there is something to download, ``stats``,
    ``evaluate``), with an example of settings that have to be given.

    Args:
        name: The registered name.
        settings: With these settings; None: with the defaults.
        location: Where data lies.

    Raises:
        UserError: If nothing of that name is registered.
    """
    kind: type[SourceSettings] = DATASETS.get(name)
    chosen = settings or _with_defaults(kind)
    files = None if chosen is None else chosen.remote_files()
    return {
        "name": name,
        "description": kind.description,
        "languages": list(kind.present),
        "licence": kind.licence,
        "state": _presence(kind, chosen, location),
        "source": kind.source,
        "revision": kind.revision,
        "citation": kind.citation,
        "offers": [what for what in OFFERS if getattr(kind, what) is not getattr(SourceSettings, what)],
        "statistics": dict(kind.statistics),
        "settings": [
            {"name": one.name, "allowed": one.allowed, "default": one.default, "meaning": one.meaning}
            for one in described_settings(kind)
            if one.name != "dataset"
        ],
        "folder": str(location.root),
        "files": None if files is None else [{**vars(file), "state": state_of(file, location)} for file in files],
        "commands": _commands(name, kind, chosen),
    }


def _commands(name: str, kind: type[SourceSettings], chosen: SourceSettings | None) -> dict[str, str]:
    """Return what can be done with the data set; settings that have to be given are left to the reader."""
    example = next(iter((chosen,) if chosen else kind.published()), None)
    start = f"hybridbatch data stats {name}"
    given = "".join(f" --set {key}=…" for key, field in kind.model_fields.items() if field.is_required())
    settings = example.data_command("stats").removeprefix(start) if example else given
    commands = {"stats": start + settings}
    if example and example.remote_files():
        commands = {"fetch": f"hybridbatch data fetch {name}{settings}"} | commands
    if kind.task is not SourceSettings.task:
        commands["evaluate"] = f"hybridbatch evaluate MODEL --dataset {name}{settings}"
    return commands


def _with_defaults(kind: type[SourceSettings]) -> SourceSettings | None:
    """Return the data set with its default settings, None where it has to be told more."""
    published = kind.published()
    return published[0] if len(published) == 1 else None


def _presence(kind: type[SourceSettings], settings: SourceSettings | None, location: DataLocation) -> Presence:
    """Return whether the files are there: those of the settings, or without them those of all that is published."""
    chosen = (settings,) if settings else kind.published()
    if kind.revision == OWN_FILE:
        return "own file"
    if not chosen:
        return "needs settings"
    states = Counter(state_of(file, location) for one in chosen for file in one.remote_files())
    if not states:
        return "built in"
    if set(states) == {"there"}:
        return "there"
    return "partly there" if states["there"] or states["partial"] or states["different"] else "missing"
