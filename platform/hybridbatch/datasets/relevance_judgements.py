"""Relevance judgements (qrels) in the two public layouts: BEIR's tab-separated table and TREC's four columns.

A grade of 1 or more says that the document is relevant, and how much; 0 or less that it was judged and found not
relevant, which counts as no judgement does. Tolerated, and tested: a BEIR table without its header line, fields in
double quotes as Python's csv module writes them, and a pair that is judged twice with the same grade.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hybridbatch.datasets.text_lines import numbered_lines
from hybridbatch.foundation.errors import UserError

BEIR_HEADER = ("query-id", "corpus-id", "score")
_GRADE = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_GRADES = "a whole number of at most 9 digits"


@dataclass
class Judgements:
    """Judged pairs of a file, each once, in order: one entry a pair.

    Attributes:
        file: Where they stand.
        questions: Id of the question.
        documents: Id of the document.
        grades: How relevant the document is to the question.
        lines: Line of the judgement.
    """

    file: Path
    questions: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    grades: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def relevant(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield question, document, grade and line of every judgement of grade 1 or more."""
        for question, document, grade, line in zip(
            self.questions, self.documents, self.grades, self.lines, strict=True
        ):
            if grade >= 1:
                yield question, document, grade, line


def read_beir_judgements(file: Path) -> Judgements:
    """Return the judgements of a BEIR table: query-id, corpus-id and score, separated by tabs.

    Raises:
        UserError: If a line has another number of columns, a grade is no whole number, a pair is judged twice with
            different grades, or no document is relevant to any question. It names the line.
    """

    def rows() -> Iterator[tuple[int, str, str, str]]:
        for place, (number, line) in enumerate(numbered_lines(file)):
            fields = _tab_separated(file, number, line)
            if len(fields) != len(BEIR_HEADER):
                raise _wrong_columns(file, number, fields, line, f"{', '.join(BEIR_HEADER)}, separated by tabs")
            if place or tuple(name.strip().lower().replace("_", "-") for name in fields) != BEIR_HEADER:
                yield number, fields[0], fields[1], fields[2]

    return _judgements(file, rows(), f"{_GRADES}; a header, if there is one, reads {', '.join(BEIR_HEADER)}")


def read_trec_judgements(file: Path) -> Judgements:
    """Return the judgements of a TREC file: question, an unused column, document and grade, separated by white space.

    Raises:
        UserError: As :func:`read_beir_judgements`.
    """

    def rows() -> Iterator[tuple[int, str, str, str]]:
        for number, line in numbered_lines(file):
            fields = line.split()
            if len(fields) != 4:
                allowed = "question, Q0, document, grade, separated by tabs or spaces"
                raise _wrong_columns(file, number, fields, line, allowed)
            yield number, fields[0], fields[2], fields[3]

    return _judgements(file, rows(), _GRADES)


def _wrong_columns(file: Path, number: int, fields: list[str], line: str, allowed: str) -> UserError:
    seen = f"{len(fields)}: {line}"
    return UserError("wrong number of columns", file=file, path=f"line {number}", seen=seen, allowed=allowed)


def _tab_separated(file: Path, number: int, line: str) -> list[str]:
    if '"' not in line:
        return line.split("\t")
    try:
        (fields,) = csv.reader([line], delimiter="\t", strict=True)
    except csv.Error as error:
        raise UserError(
            "not valid tab-separated text",
            file=file,
            path=f"line {number}",
            seen=line,
            allowed="a field that begins with a double quote ends with one; one inside it is doubled",
        ) from error
    return fields


def _judgements(file: Path, rows: Iterator[tuple[int, str, str, str]], grades: str) -> Judgements:
    found = Judgements(file)
    place_of: dict[tuple[str, str], int] = {}
    for number, question, document, score in rows:
        grade = _grade(file, number, score, grades)
        if not question or not document:
            raise UserError(
                "an id is empty", file=file, path=f"line {number}", seen=[question, document], allowed="two ids"
            )
        place = place_of.setdefault((question, document), len(found.lines))
        if place == len(found.lines):
            found.questions.append(question)
            found.documents.append(document)
            found.grades.append(grade)
            found.lines.append(number)
        elif found.grades[place] != grade:
            raise UserError(
                "the same pair is judged twice with different grades",
                file=file,
                path=f"line {number}",
                seen=f"{question}, {document}: {grade}, but {found.grades[place]} in line {found.lines[place]}",
                allowed="one grade for a question and a document",
            )
    if not any(grade >= 1 for grade in found.grades):
        raise UserError(
            "no document is judged relevant",
            file=file,
            seen=f"{len(found.grades)} judgements",
            allowed="at least one of grade 1 or more",
        )
    return found


def _grade(file: Path, number: int, score: str, allowed: str) -> int:
    if not _GRADE.fullmatch(score.strip()):
        raise UserError("a grade is not a whole number", file=file, path=f"line {number}", seen=score, allowed=allowed)
    return int(score)
