"""A comparison of runs for other programs and for papers: JSON, CSV, Markdown, LaTeX.

Keys of ``compare A B --json``:

- ``runs``: list of ``name``, ``dataset``, ``seeds`` (number of runs), ``origins`` (where each run's scores are from).
- ``comparisons``: list of ``dataset`` (null for files of scores that do not say theirs), ``first``, ``second``,
  ``measure``, ``place`` (null for the headline, ``de`` for the questions in a language, ``de-en`` for a cell),
  ``first_mean``, ``second_mean``, ``difference`` (first - second), ``low``, ``high`` (confidence interval, null with a
  single parallel question), ``effect`` (difference in standard deviations over parallel questions, or null), ``p``,
  ``cautious_p`` (what is corrected: with several seeds a larger one, which holds in the far tail), ``items`` (parallel
  questions it rests on), ``seeds`` (runs of either), ``test`` (``randomisation``, ``bootstrap``, ``two-level``),
  ``exact``, ``p_holm``, ``holds``, ``better`` (``first``, ``second`` or null).
- ``method``: ``unit``, ``interval``, ``resamples``, ``seed``, ``alpha``, ``correction``, ``family`` (number of
  comparisons in it).
- ``notes``: what a reader has to know.

CSV has the keys of ``comparisons`` as columns, with ``first_seeds`` and ``second_seeds`` in place of ``seeds``.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hybridbatch.report.run_tables import footnotes, interval_name, row_texts

if TYPE_CHECKING:
    from hybridbatch.report.run_comparison import RunComparison, RunDifference

_ESCAPED = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "\u00a0": "~",
}  # fmt: skip


def run_json(comparison: RunComparison) -> dict[str, Any]:
    """Return what ``compare A B --json`` prints; the module's text documents the keys."""
    how = comparison.settings
    return {
        "runs": [
            {"name": run.name, "dataset": dataset, "seeds": len(run.scores), "origins": list(run.origins)}
            for dataset, runs in comparison.runs.items()
            for run in runs
        ],
        "comparisons": [_entry(one) for one in comparison.differences],
        "method": {
            "unit": "item",
            "interval": how.interval,
            "resamples": how.resamples,
            "seed": how.seed,
            "alpha": how.alpha,
            "correction": "holm",
            "family": len(comparison.differences),
        },
        "notes": list(comparison.notes),
    }


def run_csv(comparison: RunComparison) -> str:
    """Return one CSV row a comparison."""
    rows = []
    for one in comparison.differences:
        row = _entry(one)
        row["first_seeds"], row["second_seeds"] = row.pop("seeds")
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def run_markdown(comparison: RunComparison) -> str:
    """Return a Markdown table, with the method below it."""
    rows = [[_markdown(cell) for cell in row] for row in _rows(comparison)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|---|" + "---:|" * 6 + "---|---:|")
    return "\n".join([*lines, "", *(_markdown(note) + "\n" for note in footnotes(comparison))]).rstrip() + "\n"


def run_latex(comparison: RunComparison) -> str:
    """Return a LaTeX table for the package ``booktabs``, with the method as a comment and a note below it."""
    head, *rows = [[_latex(cell) for cell in row] for row in _rows(comparison)]
    bold = [one.holds for one in comparison.differences]
    body = [
        " & ".join(f"\\textbf{{{cell}}}" if strong and at == 6 else cell for at, cell in enumerate(row)) + " \\\\"
        for row, strong in zip(rows, bold, strict=True)
    ]
    notes = [rf"\multicolumn{{{len(head)}}}{{p{{\linewidth}}}}{{\footnotesize {_latex(note)}}} \\"
             for note in footnotes(comparison)]  # fmt: skip
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{tabular}{llllrrrrrrlr}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            *notes,
            r"\end{tabular}",
            "",
        ]
    )


def _rows(comparison: RunComparison) -> list[list[str]]:
    head = ["data set", "first", "second", "measure", "first", "second", "difference", interval_name(comparison)]
    rows = [[*head, "p", "p Holm", "holds for", "items"]]
    for one in comparison.differences:
        figure, *texts = (text.plain for text in row_texts(one))
        rows.append([one.dataset or "", _with_seeds(one, 0), _with_seeds(one, 1), figure, *texts])
    return rows


def _with_seeds(one: RunDifference, side: int) -> str:
    name = (one.first, one.second)[side]
    return name if one.seeds[side] == 1 else f"{name} ({one.seeds[side]} seeds)"


def _entry(one: RunDifference) -> dict[str, Any]:
    return asdict(one) | {"seeds": list(one.seeds)}


def _markdown(cell: str) -> str:
    for character in r"\|*_<`":
        cell = cell.replace(character, f"\\{character}")
    return cell.replace("\u00a0", " ")


def _latex(cell: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in cell)
