"""Verdicts of reviewers as further reports: a file of them is checked, rewritten and registered as input of the labels'
source.

For their loading see `jobs.ingest.load`: a verdict is known from the moment of its review on, one of an unknown event
waits in quarantine, and a later verdict supersedes an earlier one.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jobs.error_messages import in_words
from jobs.ingest import registered_inputs
from jobs.ingest.columns_file import columns_file
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.settings import Settings
from jobs.use_case import Source, UseCase

VERDICTS: Mapping[str, bool | None] = {"positive": True, "negative": False, "unsure": None}
"""Words of a file -> label; an event that stays unclear gets none."""
ReviewVerdict = tuple[str, bool, datetime]
"""Id of the event, whether it is positive, and the moment of the review."""
COLUMNS = ("verdict", "reviewed_at")
"""Columns of a file of verdicts, besides the event's id."""


def register(settings: Settings, use_case: UseCase, file: Path, now: datetime) -> int:
    """Make the verdicts of a CSV file (event id, `verdict`, `reviewed_at`) input of the next run. Returns their number.

    The same file again changes nothing. Times without a zone are UTC.

    Raises:
        InputError: the file or a line of it cannot be used, or the use case has no source that verdicts could join.
    """
    inputs = registered_inputs.ensure(settings, use_case)
    source = label_source(use_case, inputs)
    rows = _read(file, use_case.event_id, now)
    if rows:
        text = _as_reports(rows, use_case, source, inputs)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        _keep(_folder(settings, use_case) / f"{digest}.csv", text)
        registered_inputs.register(settings, use_case, joined(settings, use_case, inputs))
    return len(rows)


def joined(settings: Settings, use_case: UseCase, inputs: Inputs) -> Inputs:
    """`inputs` with the files of all verdicts registered so far."""
    folder = _folder(settings, use_case)
    if not folder.exists():
        return inputs
    name = label_source(use_case, inputs).input
    files = dict.fromkeys([*inputs.files[name], str(folder.absolute())])
    return replace(inputs, files={**inputs.files, name: tuple(files)})


def label_source(use_case: UseCase, inputs: Inputs) -> Source:
    """The source whose rows are labels of events: an event's id, a yes or no, and when it was known.

    Raises:
        InputError: there is none, or its rows are columns of another source's file.
    """
    for source in use_case.sources:
        if source.known_at and source.key == (use_case.event_id,) and _verdict_column(source):
            if inputs.files.get(source.input):
                return source
            raise InputError(
                f"{source.name}: expected files of their own (`--{source.input} FILE`) that verdicts could join, found "
                "labels that are columns of another file; give them as a file"
            )
    raise InputError(f"{use_case.name}: expected a source of labels by event and time, found none; verdicts need one")


def _verdict_column(source: Source) -> str | None:
    return next((c.name for c in source.columns if c.kind == "boolean"), None)


def _read(file: Path, event_id: str, now: datetime) -> list[ReviewVerdict]:
    """Id, verdict and moment of every line with a verdict."""
    try:
        lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: expected a readable CSV file of verdicts, found {in_words(error)}") from error
    expected = (event_id, *COLUMNS)
    if not lines or not set(expected) <= lines[0].keys():
        header = list(lines[0]) if lines else "no line"
        raise InputError(f"{file}: expected lines with the columns {', '.join(expected)}, found {header}")
    read = (_line(f"{file}, line {n}", line, event_id, now) for n, line in enumerate(lines, start=2))
    return [line for line in read if line is not None]


def _line(
    where: str, line: Mapping[str, str | None], event_id: str, now: datetime
) -> tuple[str, bool, datetime] | None:
    """Id, verdict and moment of a line; None for an event without a verdict."""
    word = (line["verdict"] or "").strip().lower()
    if word and word not in VERDICTS:
        raise InputError(f"{where}: expected a verdict among {', '.join(VERDICTS)}, found {word!r}; correct the line")
    verdict = VERDICTS[word] if word else None
    if verdict is None:
        return None
    identifier, moment = (line[event_id] or "").strip(), _moment(where, line["reviewed_at"] or "")
    if not identifier or moment > now:
        raise InputError(f"{where}: expected an event and a review in the past, found {identifier!r} at {moment}")
    return identifier, verdict, moment


def _moment(where: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"{where}: expected reviewed_at as 2026-05-01T09:30:00Z, found {text!r}") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _as_reports(rows: list[ReviewVerdict], use_case: UseCase, source: Source, inputs: Inputs) -> str:
    """The verdicts as a CSV file with the columns that the source's other files have."""
    names = columns_file(inputs.columns, use_case).of(source)
    in_file = {column.name: names.get(column.name, column.file_name) for column in source.columns}
    verdict, at = _verdict_column(source), source.known_at
    header = {use_case.event_id: 0, verdict: 1, at: 2}
    columns = [(in_file[name], place) for name, place in header.items() if name is not None]
    columns += [(names[KNOWN_AT], 2)] if KNOWN_AT in names else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for identifier, positive, moment in rows:
        values = (identifier, str(positive).lower(), f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")
        writer.writerow([values[place] for _, place in columns])
    return out.getvalue()


def _keep(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _folder(settings: Settings, use_case: UseCase) -> Path:
    return settings.home / "input" / use_case.name / "verdicts"
