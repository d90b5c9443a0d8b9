"""Verdicts of reviewers as further reports: a file of them is checked, rewritten and registered as input of the labels'
source.

For their loading see `jobs.ingest.load`: a verdict is known from the moment of its review on, one of an unknown event
waits in quarantine, and a later verdict supersedes an earlier one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from pathlib import Path

import polars as pl

from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.ingest import contracts, references, registered_inputs
from jobs.ingest.columns_file import columns_file
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError, Inputs, verdict_folder
from jobs.lakehouse.tables import Lakehouse
from jobs.objective import LABEL_KINDS
from jobs.settings import Settings
from jobs.state_files import replace_bytes
from jobs.times import end_of
from jobs.use_case import Source, UseCase

UNSURE = "unsure"
"""Of an event that stays unclear: it gets no label."""
VERDICTS: Mapping[str, str] = {"positive": "true", "negative": "false"}
"""Words of a file about yes or no -> label, as files have it."""
ReviewVerdict = tuple[str, str, datetime]
"""Id of the event, its label as files have it, and the moment of the review."""
Answers = Callable[[str], str]
"""The label that a word of a file is. Raises ValueError, of what was expected, on a word that is none."""
INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
COLUMNS = ("verdict", "reviewed_at")
"""Columns of a file of verdicts, besides the event's id."""


def register(settings: Settings, use_case: UseCase, file: Path, now: datetime) -> int:
    """Make the verdicts of a CSV file (event id, `verdict`, `reviewed_at`) input of the next run. Returns their number.

    The same file again changes nothing. Times without a zone are UTC.

    Raises:
        InputError: the file or a line of it cannot be used, it is about no event that was loaded, or the use case has
            no source that verdicts could join. Nothing is registered then.
    """
    with registered_inputs.locked(settings, use_case):
        inputs = registered_inputs.ensure(settings, use_case)
        source = label_source(use_case, inputs)
        rows = _read(file, use_case.event_id, now, _answers(settings, use_case, source))
        if rows:
            _check_events(settings, use_case, source, file, rows)
            text = as_reports(rows, use_case, source, inputs)
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            replace_bytes(verdict_folder(settings, use_case) / f"{digest}.csv", text.encode())
            registered_inputs.register(settings, use_case, joined(settings, use_case, inputs))
    return len(rows)


def joined(settings: Settings, use_case: UseCase, inputs: Inputs) -> Inputs:
    """`inputs` with the files of all verdicts registered so far."""
    folder = verdict_folder(settings, use_case).absolute()
    if not list(folder.glob("*.csv")):
        return inputs
    name = label_source(use_case, inputs).input
    others = [str(path) for path in inputs.paths(name) if folder not in (path, path.parent)]
    return replace(inputs, files={**inputs.files, name: (*others, str(folder))})


def label_source(use_case: UseCase, inputs: Inputs) -> Source:
    """The source whose rows are labels of events: an event's id, the label, and when it was known.

    Raises:
        InputError: there is none, or its rows are columns of another source's file.
    """
    for source in use_case.sources:
        if source.known_at and source.key == (use_case.event_id,) and _verdict_column(use_case, source):
            if inputs.files.get(source.input):
                return source
            raise InputError(
                f"{source.name}: expected files of their own (`--{source.input} FILE`) that verdicts could join, found "
                "labels that are columns of another file; give them as a file"
            )
    raise InputError(f"{use_case.name}: expected a source of labels by event and time, found none; verdicts need one")


def _verdict_column(use_case: UseCase, source: Source) -> str | None:
    """The column that labels are in: that of the label's name, or else the first one of its kind."""
    kinds = LABEL_KINDS[use_case.task]
    able = [c.name for c in source.columns if c.kind in kinds and c.name not in {*source.key, source.known_at}]
    return use_case.label if use_case.label in able else next(iter(able), None)


def _answers(settings: Settings, use_case: UseCase, source: Source) -> Answers:
    """What words mean: yes or no, a class that labels have, a number."""
    task = use_case.task
    if task == "regression":
        kinds = {column.name: column.kind for column in source.columns}
        return _whole if kinds[_verdict_column(use_case, source) or ""] == "integer" else _number
    known = VERDICTS if task == "binary" else {name: name for name in _classes(settings, use_case)}

    def answer(word: str) -> str:
        found = known.get(word.lower() if task == "binary" else word)
        if found is None:
            raise Invalid(f"a verdict among {', '.join([*known, UNSURE])}")
        return found

    return answer


def _classes(settings: Settings, use_case: UseCase) -> list[str]:
    """Classes of the labels so far: a word that is none of them is taken for a slip of the pen."""
    lakehouse = Lakehouse(settings)
    if not lakehouse.exists(use_case.labels):
        return []
    column = lakehouse.to_arrow(use_case.labels, columns=[use_case.label])[use_case.label]
    return sorted(str(name) for name in column.unique().to_pylist() if name is not None)


def _number(word: str) -> str:
    try:
        if isfinite(float(word)):
            return word
    except ValueError:
        pass
    raise Invalid(f"a finite number, or {UNSURE}")


def _whole(word: str) -> str:
    if not INTEGER.fullmatch(word):
        raise Invalid(f"a whole number, or {UNSURE}")
    return word


def _read(file: Path, event_id: str, now: datetime, answers: Answers) -> list[ReviewVerdict]:
    """Id, verdict and moment of every line with a verdict."""
    try:
        reader = csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: expected a readable CSV file of verdicts, found {in_words(error)}") from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    _check_header(file, (event_id, *COLUMNS), header, len(lines) - 1)
    read = (
        _line(f"{file}, line {n}", _by_name(f"{file}, line {n}", header, fields), event_id, now, answers)
        for n, fields in lines[1:]
    )
    return [line for line in read if line is not None]


def _check_header(file: Path, expected: tuple[str, ...], header: list[str], lines: int) -> None:
    if not lines or not set(expected) <= set(header):
        raise InputError(
            f"{file}: expected lines with the columns {', '.join(expected)}, found {lines} lines of {header}; name the "
            "columns in the first line"
        )
    if doubled := sorted(name for name in set(header) if header.count(name) > 1):
        raise InputError(
            f"{file}: expected every column once, found {', '.join(doubled)} more often; leave one of each"
        )


def _by_name(where: str, header: list[str], fields: list[str]) -> dict[str, str]:
    """The fields of a line. Raises InputError if there are more or fewer than columns."""
    if len(fields) != len(header):
        raise InputError(
            f"{where}: expected {len(header)} fields, one per column of the first line, found {len(fields)}; correct it"
        )
    return dict(zip(header, fields, strict=True))


def _line(where: str, line: Mapping[str, str], event_id: str, now: datetime, answers: Answers) -> ReviewVerdict | None:
    """Id, verdict and moment of a line; None for an event without a verdict."""
    word = line["verdict"].strip()
    if word.lower() in ("", UNSURE):
        return None
    try:
        verdict = answers(word)
    except ValueError as expected:
        raise InputError(f"{where}: expected {expected}, found {word!r}; correct the line") from None
    identifier, moment = line[event_id].strip(), _moment(where, line["reviewed_at"].strip(), now)
    if not identifier or moment > now:
        raise InputError(f"{where}: expected an event and a review in the past, found {identifier!r} at {moment}")
    return identifier, verdict, moment


def _moment(where: str, text: str, now: datetime) -> datetime:
    """The moment of a review; a date alone means the end of that day, or `now` while it lasts."""
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if len(text) == len("2026-05-01"):
            end = end_of(moment.date()) - timedelta(microseconds=1)
            return min(end, now) if moment <= now else moment
        return moment
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: expected reviewed_at as 2026-05-01T09:30:00Z, found {text!r}") from error


def _check_events(settings: Settings, use_case: UseCase, source: Source, file: Path, rows: list[ReviewVerdict]) -> None:
    """Raises InputError for ids of another kind than the loaded events have, for ids of none of them, and for a review
    before its event. A verdict about an unknown event next to known ones waits in quarantine, as any report does."""
    lakehouse = Lakehouse(settings)
    reference = source.references[use_case.event_id]
    events = use_case.source(reference.split(".")[0])
    kind = contracts.stored_identifiers(lakehouse, use_case, events).get(use_case.event_id)
    if kind is None:
        raise InputError(
            f"{file}: expected verdicts about loaded events, found no event yet; `evergreen run` loads them"
        )
    if kind == "integer" and (wrong := next((i for i, _, _ in rows if not INTEGER.fullmatch(i)), None)):
        raise InputError(
            f"{file}: expected {use_case.event_id} to be integers as in the events, found {wrong!r}; correct it"
        )
    asked = pl.Series(use_case.event_id, [int(i) if kind == "integer" else i for i, _, _ in rows])
    happened = dict(references.event_times(lakehouse, use_case, reference, asked).iter_rows())
    if not happened:
        raise InputError(
            f"{file}: expected verdicts about events of {use_case.name}, found none of the {len(rows)} ids, such as "
            f"{rows[0][0]!r}; look at the column {use_case.event_id}"
        )
    for identifier, (_, _, moment) in zip(asked, rows, strict=True):
        if identifier in happened and moment < happened[identifier]:
            raise InputError(
                f"{file}: expected a review after its event, found {use_case.event_id} {identifier} of "
                f"{happened[identifier]} reviewed at {moment}; correct reviewed_at"
            )


def as_reports(rows: list[ReviewVerdict], use_case: UseCase, source: Source, inputs: Inputs) -> str:
    """The verdicts as a CSV file with the columns that the source's other files have."""
    names = columns_file(inputs.columns, use_case).of(source)
    in_file = {column.name: names.get(column.name, column.file_name) for column in source.columns}
    verdict, at = _verdict_column(use_case, source), source.known_at
    header = {use_case.event_id: 0, verdict: 1, at: 2}
    columns = [(in_file[name], place) for name, place in header.items() if name is not None]
    columns += [(names[KNOWN_AT], 2)] if KNOWN_AT in names else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for identifier, label, moment in rows:
        values = (identifier, label, f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")
        writer.writerow([values[place] for _, place in columns])
    return out.getvalue()
