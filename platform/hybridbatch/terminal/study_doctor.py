"""What is wrong with a study, for people and for scripts."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.text import Text

from hybridbatch.search.examination import Finding, examine_study
from hybridbatch.search.session import load_study
from hybridbatch.spec.folders import HomeFolder
from hybridbatch.terminal.chatter import quiet_terminal
from hybridbatch.terminal.next_step import command


def run_study_doctor(home: HomeFolder, study: str, repair: bool, as_json: bool) -> int:
    """Print what is wrong with a study, mended or not; return 1 when something is left to mend."""
    experiment = load_study(home, study)
    findings = []
    with quiet_terminal(home.logs / "doctor.log", verbose=False) as console:
        for finding in examine_study(experiment, home, repair=repair):
            findings.append(finding)
            if not as_json:
                console.print(_line(finding), soft_wrap=True)
                if not finding.mended:
                    console.print(f"    mend: {finding.remedy}", style="dim", soft_wrap=True)
        left = [finding for finding in findings if not finding.mended]
        if as_json:
            console.print(json.dumps([asdict(finding) for finding in findings], indent=1), soft_wrap=True)
        elif not findings:
            console.print(f"{study}: ledger, folders and MLflow runs agree; nothing is left over")
        elif left and not repair:
            again = f"{command(home, 'doctor', study)} --repair"
            console.print(f"{len(left)} to mend: {again} mends what can be mended without a person", soft_wrap=True)
    return int(bool(left))


def _line(finding: Finding) -> Text:
    mark, style = ("✓ mended", "green") if finding.mended else ("!", "yellow")
    where = f"trial {finding.trial}: " if finding.trial is not None else ""
    return Text.assemble((f"{mark} ", style), (f"{finding.kind} ", "bold"), f"{where}{finding.found}")
