"""What a columns file declares: the zone of times without one, other column names, how files and values are written.

What the declarations mean: see `jobs.ingest.declared_formats`.
"""

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from jobs.display import listed
from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.ingest.declared_formats import FileFormat, ValueFormat
from jobs.ingest.readers import KNOWN_AT
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.time_formats import checked_format
from jobs.use_case import Column, Source, UseCase

FILE = "file"
"""The key beside the columns of a source that says how its files are written."""
_FILE_KEYS = ("encoding", "separator", "quotes")
_NO_CHARSETS = ("idna", "punycode", "undefined", "raw-unicode-escape", "unicode-escape")
"""What Python calls encodings and no file is written in."""
_KEYS_OF_KIND = {
    "timestamp": ("format", "timezone"), "number": ("decimal", "thousands"), "integer": ("thousands",),
    "boolean": ("true", "false"), "string": (), "category": (), "vector": (), "text": (), "identifier": (),
}  # fmt: skip


@dataclass(frozen=True)
class ColumnsFile:
    """A columns file, checked."""

    timezone: str = "UTC"
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Source name -> column of the table -> column in the file; `known_at` is the source's own arrival time."""
    files: Mapping[str, FileFormat] = field(default_factory=dict)
    """Source name -> how its files are written, where that is declared."""
    values: Mapping[str, Mapping[str, ValueFormat]] = field(default_factory=dict)
    """Source name -> column of the table -> how its values are written, where that is declared."""
    zone_is_said: bool = False
    """The file names a zone for all sources."""

    def of(self, source: Source) -> Mapping[str, str]:
        """Columns in the files of a source that are named here."""
        return self.names.get(source.name, {})

    def file_format(self, source: Source) -> FileFormat:
        return self.files.get(source.name, FileFormat(source.name))

    def value_format(self, source: Source, column: str) -> ValueFormat:
        form = self.values.get(source.name, {}).get(column, ValueFormat(self.timezone, zone_is_said=self.zone_is_said))
        published = next((c.formats for c in source.columns if c.name == column), ())
        return replace(form, published=published)


def read_columns_file(path: Path) -> dict[str, Any]:
    """The content of a columns file (YAML), unchecked: texts, lists and mappings, as `yes` is a word of data here.

    Raises InputError if it is no mapping, or says something twice.
    """
    import yaml

    from jobs.ingest.yaml_texts import Texts

    try:
        declared = yaml.load(path.read_text("utf-8-sig"), Texts)
    except Invalid as error:
        raise InputError(f"columns file {path}: {error}") from error
    except RecursionError as error:
        raise InputError(f"columns file {path}: expected sources and columns, found lists in lists; mend it") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"columns file {path}: expected a readable YAML file, found {in_words(error)}") from error
    if not isinstance(declared, dict):
        raise InputError(f"columns file {path}: expected a mapping of sources to columns, found {_shown(declared)}")
    return declared


def columns_file(declared: Mapping[str, Any], use_case: UseCase, path: str | Path = "") -> ColumnsFile:
    """The content of a columns file, checked against the sources of `use_case`; `path` is named in errors.

    Raises InputError on unknown sources, columns, zones, formats, or declarations that a column cannot have.
    """
    where = f"columns file {path}"
    zone = _zone(where, declared.get("timezone", "UTC"))
    names: dict[str, dict[str, str]] = {}
    files: dict[str, FileFormat] = {}
    values: dict[str, dict[str, ValueFormat]] = {}
    for key, mapping in declared.items():
        if key == "timezone":
            continue
        source = _source(where, key, use_case)
        columns = _columns(source)
        if not isinstance(mapping, dict):
            raise InputError(f"{where}: {key}: expected `column: column in the file`, found {_shown(mapping)}")
        if unknown := sorted(str(k) for k in mapping.keys() - {*columns, FILE}):
            raise InputError(
                f"{where}: {key}: expected columns among {listed([*columns, FILE])}, found {listed(unknown)}"
            )
        for name, said in mapping.items():
            if name not in columns:
                files[source.name] = _file_format(f"{where}: {key}.{name}", source, said)
                continue
            about = _about(f"{where}: {key}.{name}", columns[name], said)
            if "column" in about:
                names.setdefault(source.name, {})[name] = _text(f"{where}: {key}.{name}.column", about.pop("column"))
            if about:
                values.setdefault(source.name, {})[name] = _value_format(
                    f"{where}: {key}.{name}", zone, "timezone" in declared, about
                )
    return ColumnsFile(zone, names, files, values, "timezone" in declared)


def _source(where: str, key: str, use_case: UseCase) -> Source:
    for source in use_case.sources:
        if key in (source.name, source.input):
            return source
    names = sorted(s.name for s in use_case.sources)
    raise InputError(f"{where}: expected `timezone` or one of the sources {listed(names)}, found {key!r}")


def _columns(source: Source) -> dict[str, Column]:
    return {c.name: c for c in (*source.columns, Column(KNOWN_AT, "timestamp"))}


def _zone(where: str, zone: Any) -> str:
    try:
        pl.Series([datetime(2026, 1, 1)]).dt.replace_time_zone(ZoneInfo(zone).key)
        return str(zone)
    except Exception as error:  # ZoneInfo raises five kinds of errors for a bad name, Polars knows fewer names
        raise InputError(
            f"{where}: expected `timezone` to be an IANA zone such as Europe/Berlin, found {_shown(zone)}"
        ) from error


def _about(where: str, column: Column, said: Any) -> dict[str, Any]:
    """What is declared of a column; its name in the file may be given by itself."""
    if isinstance(said, str):
        return {"column": said}
    keys = ("column", *_KEYS_OF_KIND[column.kind], "null")
    if not isinstance(said, dict) or not said:
        raise InputError(
            f"{where}: expected `column: column in the file`, or a mapping with some of {', '.join(keys)}, "
            f"found {_shown(said)}"
        )
    if unknown := [k for k in said if k not in keys]:
        raise InputError(f"{where}: expected, for a {column.kind}, some of {', '.join(keys)}, found {listed(unknown)}")
    return dict(said)


def _shown(said: Any) -> str:
    """What a file says, for people: as YAML has it."""
    if not said and not isinstance(said, str):
        return "nothing" if said is None else f"an empty {'list' if isinstance(said, list) else 'mapping'}"
    return repr(said) if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _text(where: str, said: Any) -> str:
    if not isinstance(said, str) or not said:
        raise InputError(f"{where}: expected a text, found {_shown(said)}")
    return said


def _texts(where: str, said: Any) -> tuple[str, ...]:
    listed = said if isinstance(said, list) else [said]
    if not listed or not all(isinstance(s, str) for s in listed):
        raise InputError(f"{where}: expected a text or a list of texts, found {_shown(said)}")
    return tuple(listed)


def _value_format(where: str, zone: str, is_said: bool, about: Mapping[str, Any]) -> ValueFormat:
    words = {key: _texts(f"{where}.{key}", about[key]) for key in ("true", "false", "null") if key in about}
    marks = {key: _mark(f"{where}.{key}", about[key]) for key in ("decimal", "thousands") if key in about}
    declared = _texts(f"{where}.format", about["format"]) if "format" in about else ()
    formats = tuple(checked_format(f"{where}.format", form) for form in declared)
    lower = {key: {w.strip().lower() for w in listed} for key, listed in words.items()}
    if both := sorted(lower.get("true", set()) & lower.get("false", set())):
        raise InputError(f"{where}: expected words for true or for false, found {listed(both)} in both")
    if "thousands" in marks and marks["thousands"] == marks.get("decimal", "." if marks["thousands"] != "." else ","):
        raise InputError(f"{where}: expected two marks, found {marks['thousands']!r} for decimal and thousands")
    return ValueFormat(
        timezone=_zone(where, about.get("timezone", zone)),
        zone_is_said=is_said or "timezone" in about,
        times=formats,
        decimal=marks.get("decimal", ""),
        thousands=marks.get("thousands", ""),
        true=words.get("true", ()),
        false=words.get("false", ()),
        null=words.get("null", ()),
    )


def _mark(where: str, said: Any) -> str:
    if said not in (".", ",", "'", " ", "_"):
        raise InputError(f"{where}: expected one of `.` `,` `'` `_` and a blank, in quotes, found {_shown(said)}")
    return str(said)


def _file_format(where: str, source: Source, said: Any) -> FileFormat:
    if not isinstance(said, dict) or not said or (set(said) - set(_FILE_KEYS)):
        raise InputError(f"{where}: expected a mapping with some of {', '.join(_FILE_KEYS)}, found {_shown(said)}")
    about = {key: _text(f"{where}.{key}", value) for key, value in said.items()}
    if about.get("quotes", "text") not in ("text", "fields"):
        raise InputError(f"{where}.quotes: expected `text` or `fields`, found {_shown(about['quotes'])}")
    separator = about.get("separator", ",")
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n\0':
        raise InputError(f"{where}.separator: expected one character of ASCII such as `;`, found {_shown(separator)}")
    try:
        if codecs.lookup(about.get("encoding", "utf-8")).name in _NO_CHARSETS:
            raise LookupError
        "a".encode(about.get("encoding", "utf-8"))
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{where}.encoding: expected a name such as cp1252, latin-1 or utf-16-le, found {_shown(about['encoding'])}"
        ) from error
    return FileFormat(source.name, **about)
