"""CSV lines as records: one row for each, none lost, and a file refused where it cannot be known what its records are.

Which columns are wanted, and what their values mean, is known to `jobs.ingest.readers` and `jobs.ingest.parsing`.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from jobs.ingest.declared_formats import FileFormat
from jobs.ingest.registered_inputs import InputError

LINE, MALFORMED = "_line", "_malformed"
"""Where a record begins in its file (from 1), and why it is none, one of `TOO_MANY` and `STRAY_TEXT`; else null."""
TOO_MANY = "more fields than the header has columns"
STRAY_TEXT = "text after the quote that closes a field"
_HEADER_LINES = 1000
csv.field_size_limit(2**31 - 1)  # a long field is a field
_QUOTED = r'"(?:[^"]|"")*"'


@dataclass(frozen=True)
class Csv:
    """A CSV file in lines: where its records begin, their separator and the names of their fields."""

    path: Path
    lines: pl.Series
    begin: int
    names: tuple[str, ...]
    format: FileFormat


@dataclass(frozen=True)
class _Record:
    """A record that was read by itself: its lines (from 1), its fields, whether one of them is malformed."""

    first: int
    last: int
    fields: tuple[str, ...]
    malformed: bool


def opened(path: Path, lines: pl.Series, declared: FileFormat) -> Csv:
    """The file with its header read. Raises InputError if it has none."""
    top = lines.head(_HEADER_LINES).to_list()
    first = next((n for n, line in enumerate(top) if line.strip("\r")), None)
    if first is None:
        raise InputError(f"{path}: expected a CSV file with a header, found blank lines only; deliver it again")
    separator = declared.separator or max(",;\t|", key=top[first].count)
    form = FileFormat(declared.source, declared.encoding, separator, declared.quotes)
    header = _record(path, top, first, form, len(top[first].split(separator)))
    return Csv(path, lines, header.last, tuple(name.strip() for name in header.fields), form)


def records(file: Csv) -> pl.DataFrame:
    """The records of a file by the names of their fields, with `_line` and `_malformed`.

    An empty field is null, and so is one that a record lacks; a blank line is no record. Raises InputError, with the
    line, where a quote leaves it open which lines are records of their own.
    """
    lines = pl.DataFrame({"text": file.lines.str.strip_chars_end("\r")}).with_row_index(LINE, offset=1)
    lines = lines.slice(file.begin).filter(pl.col("text") != "")
    if file.format.quotes == "text":
        return _split(file, lines)
    plain = lines["text"].str.contains(_plain(file.format.separator))
    if plain.all():
        return _split(file, lines)
    odd = _read_by_themselves(file, lines.filter(~plain)[LINE].to_list())
    within = [n for record in odd for n in range(record.first, record.last + 1)]
    others = lines.filter(plain & ~pl.col(LINE).is_in(within))
    return pl.concat([_split(file, others), _frame(file, odd)]).sort(LINE)


def _plain(separator: str) -> str:
    """Pattern of a line that is a record beyond doubt: every field is without quotes, or is quoted as a whole."""
    part = rf"\x{{{ord(separator):x}}}"
    field = rf'(?:[^"\r{part}]*|{_QUOTED})'
    return rf"^{field}(?:{part}{field})*$"


def _split(file: Csv, lines: pl.DataFrame) -> pl.DataFrame:
    """The fields of lines that are a record each."""
    text, separator, width = lines["text"], file.format.separator, len(file.names)
    quoted = file.format.quotes != "text"
    head = pl.Series([separator.join(map(str, range(width)))])
    content = pl.concat([head, text.rename("")]).str.join("\n").item().encode()
    fields = pl.read_csv(
        content, infer_schema=False, separator=separator, quote_char='"' if quoted else None,
        truncate_ragged_lines=True, new_columns=list(file.names),
    )  # fmt: skip
    if fields.height != lines.height:
        raise InputError(
            f"{file.path}: expected a CSV file of {lines.height} records, found {fields.height} when it was taken "
            "apart; convert it to parquet"
        )
    unquoted = text.str.replace_all(_QUOTED, "") if quoted else text
    too_many = unquoted.str.count_matches(separator, literal=True) >= width
    # A quoted empty field is no more of a value than an empty one.
    filled = fields.select(pl.when(pl.all() != "").then(pl.all()))
    return filled.with_columns(lines[LINE], pl.when(too_many).then(pl.lit(TOO_MANY)).alias(MALFORMED))


def _read_by_themselves(file: Csv, numbers: Sequence[int]) -> list[_Record]:
    """The records that begin on the lines of these numbers, unless a line is within the record before it."""
    lines = file.lines.to_list()
    found: list[_Record] = []
    for number in numbers:
        if not found or number > found[-1].last:
            found.append(_record(file.path, lines, number - 1, file.format, len(file.names)))
    return found


def _record(path: Path, lines: Sequence[str], begin: int, form: FileFormat, width: int) -> _Record:
    """The record that begins on a line (from 0). Raises InputError where it may have swallowed others."""
    if form.quotes == "text":
        return _Record(begin + 1, begin + 1, tuple(lines[begin].rstrip("\r").split(form.separator)), False)
    reader = csv.reader((lines[n] + "\n" for n in range(begin, len(lines))), delimiter=form.separator)
    try:
        fields = next(reader)
    except csv.Error as error:
        raise InputError(
            f"{path}: expected a record in line {begin + 1}, found a carriage return within it, which may end a record "
            "too; end all lines with line feeds, or put the field in quotes"
        ) from error
    own = lines[begin : begin + reader.line_num]
    wrong = _malformed(own, form.separator)
    swallowed = any(line.count(form.separator) >= width - 1 for line in own[1:]) and form.quotes != "fields"
    if wrong == "unexpected end of data" or (len(own) > 1 and (wrong or swallowed)):
        raise InputError(
            f"{path}: expected a field that ends in the line it begins in, found a quote in line {begin + 1} that "
            f"opens a field with {len(own) - 1} more lines, which may be records of their own. If quotes are "
            f"characters like others, write {form.advice('quotes: text')}; if fields have several lines, `quotes: "
            "fields`; or double the quote in the file"
        )
    return _Record(begin + 1, begin + len(own), tuple(fields), bool(wrong))


def _malformed(lines: Sequence[str], separator: str) -> str:
    """What is wrong with the quotes of a record; empty if nothing is."""
    try:
        list(csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def _frame(file: Csv, found: Sequence[_Record]) -> pl.DataFrame:
    width = len(file.names)
    rows = [
        (
            *(record.fields[n] or None if n < len(record.fields) else None for n in range(width)),
            record.first,
            STRAY_TEXT if record.malformed else TOO_MANY if len(record.fields) > width else None,
        )
        for record in found
    ]
    kinds: dict[str, pl.DataType] = {LINE: pl.UInt32(), MALFORMED: pl.String()}
    return pl.DataFrame(rows, schema={**dict.fromkeys(file.names, pl.String()), **kinds}, orient="row")
