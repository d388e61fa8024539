"""The findings of the doctor, for people and for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.doctor import examine

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def run_doctor(home: HomeFolder, data_root: Path, ledger: str | None, tracking: str | None, as_json: bool) -> int:
    """Print every check as it is made; return 1 when something failed."""
    checks = []
    with quiet_terminal(home.logs / "doctor.log", verbose=False) as console:
        for check in examine(home, data_root, ledger, tracking):
            checks.append(check)
            if not as_json:
                mark, style = _MARKS[check.state]
                console.print(Text.assemble((f"{mark} ", style), f"{check.name}: {check.found}"), soft_wrap=True)
                if check.mend:
                    console.print(f"    mend: {check.mend}", style="dim", soft_wrap=True)
        if as_json:
            console.print(json.dumps([asdict(check) for check in checks], indent=1), soft_wrap=True)
    return int(any(check.state == "failed" for check in checks))
