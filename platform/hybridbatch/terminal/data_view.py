"""Data sets as a person reads about them: the list, one of them, what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hybridbatch.terminal.consoles import headline

_STATES = {"there": "green", "partly there": "yellow", "partial": "yellow", "missing": "yellow", "different": "red"}
_OFFERS = {"pairs": "training pairs", "task": "retrieval task", "labelled_pairs": "labelled pairs"}
_MANY_FILES = 30
_MANY_LANGUAGES = 20


def print_catalogue(entries: list[dict[str, Any]], root: Path, console: Console) -> None:
    """Print what `terminal.data_catalogue.catalogue` returns."""
    for entry in entries:
        languages = entry["languages"]
        named = " ".join(languages) if len(languages) <= _MANY_LANGUAGES else f"{len(languages)} languages"
        console.print(Text.assemble((entry["name"], "bold"), "  ", _state(entry["state"]), f"  {entry['licence']}"))
        if languages:
            console.print(_indented(named), style="dim")
        console.print(_indented(entry["description"]))
    console.print(f"\nfiles are looked for in {root}", style="dim", soft_wrap=True)
    console.print("more: hybridbatch data show NAME", style="dim")


def print_declaration(found: dict[str, Any], console: Console) -> None:
    """Print what `terminal.data_catalogue.declaration` returns."""
    console.print(headline(found["name"]))
    console.print(_indented(found["description"]))
    facts = Table.grid(padding=(0, 2, 0, 0))
    for name in ("source", "revision", "licence", "citation"):
        facts.add_row(Text(name, "dim"), found[name])
    facts.add_row(Text("languages", "dim"), " ".join(found["languages"]) or "those of the file")
    facts.add_row(Text("offers", "dim"), ", ".join(_OFFERS[what] for what in found["offers"]))
    if found["statistics"]:
        holds = ", ".join(f"{count:,} {what}" for what, count in found["statistics"].items())
        facts.add_row(Text("holds", "dim"), holds)
    console.print(facts)
    if found["settings"]:
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for heading in ("setting", "default", "meaning"):
            table.add_column(heading, overflow="fold")
        for one in found["settings"]:
            meaning = f"{one['meaning'].replace('``', '')} ({one['allowed'].replace('`', '')})"
            table.add_row(one["name"], one["default"] or "to be given", meaning)
        console.print()
        console.print(table)
    console.print()
    _print_files(found, console)
    console.print("\nto run:")
    for what, line in found["commands"].items():
        if what != "fetch" or found["state"] != "there":
            console.print(f"  {line}", style="yellow", soft_wrap=True)


def _print_files(found: dict[str, Any], console: Console) -> None:
    files = found["files"]
    if found["state"] == "own file":
        console.print("files: your own")
    elif files is None:
        console.print("files: which ones follows from the settings")
    elif not files:
        console.print("files: none needed")
    else:
        console.print(f"files below {found['folder']}:", soft_wrap=True)
        table = Table.grid(padding=(0, 2, 0, 0))
        for file in files[:_MANY_FILES]:
            size = "" if file["size"] is None else f"{file['size'] / 1e6:,.1f} MB"
            table.add_row(f"  {file['path']}", size, _state(file["state"]))
        console.print(table)
        if len(files) > _MANY_FILES:
            console.print(f"  and {len(files) - _MANY_FILES} more; --json lists them all")


def print_statistics(found: dict[str, Any], console: Console) -> None:
    """Print what `datasets.data_statistics.data_statistics` returns."""
    task, pairs = found["task"], found["pairs"]
    console.print(headline(found["dataset"]))
    if task:
        said = (
            f"retrieval task: {task['questions']:,} questions on {task['items']:,} items, "
            f"{task['candidates']:,} candidates, {task['relevant']:,} relevant pairs; "
            f"{task['duplicate_candidates']:,} candidates repeat a text"
        )
        console.print(said, soft_wrap=True)
        _print_by_language(task, console)
    if pairs:
        said = f"training pairs: {pairs['pairs']:,} of {pairs['items']:,} items"
        console.print(said, soft_wrap=True)
        _print_by_language(pairs, console)
    for name, one in found["declared"].items():
        if not one["agrees"]:
            said = f"{name}: {one['found']} found, {one['declared']} declared: files are missing or changed"
            console.print(said, style="red", soft_wrap=True)
    if found["declared"] and all(one["agrees"] for one in found["declared"].values()):
        console.print("agrees with what is declared", style="green")


def _print_by_language(part: dict[str, Any], console: Console) -> None:
    """Print one row a language, at most 80 columns wide."""
    per_item = ", ".join(f"{items:,} in {languages}" for languages, items in part["languages_per_item"].items())
    console.print(f"items by number of languages: {per_item}", soft_wrap=True)
    console.print("lengths: mean/median/95th percentile in characters", style="dim", soft_wrap=True)
    rows = part["by_language"]
    names = list(next(iter(rows.values())))
    headings = {"relevant_own": "own", "duplicate_candidates": "repeated"}
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("", *names):
        heading = f"{name.removesuffix('_characters')}\nlength" if name.endswith("_characters") else name
        table.add_column(headings.get(name, heading), justify="right", no_wrap=True)
    for language, row in rows.items():
        table.add_row(language, *(_cell(row[name]) for name in names))
    console.print(table)


def _cell(value: int | dict[str, float] | None) -> str:
    if isinstance(value, dict):
        return "/".join(f"{value[key]:.0f}" for key in ("mean", "median", "p95"))
    return "" if value is None else f"{value:,}"


def _indented(text: str) -> Padding:
    """Return a paragraph that is folded at the width of the console, every line indented."""
    return Padding(Text(text), (0, 0, 0, 4), expand=False)


def _state(state: str) -> Text:
    return Text(state, style=_STATES.get(state, ""))
