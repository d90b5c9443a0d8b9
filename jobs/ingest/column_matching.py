"""Which column of a file holds which column of a table.

Names are matched here and nothing is read; types: see `jobs.ingest.inspection`.
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from jobs.display import listed
from jobs.ingest.readers import KNOWN_AT, DataFile
from jobs.use_case import Column, Source


def match_columns(
    source: Source, file: DataFile, names: Mapping[str, str], carrier: Source | None
) -> tuple[dict[str, str], list[str]]:
    """Which column of the file holds which column of the table, and what is missing.

    Named by the columns file, else by the first declared name that is there, exactly or but for case.
    """
    matched: dict[str, str] = {}
    problems = []
    for column in source.columns:
        expected_names = (names[column.name],) if column.name in names else column.file_names
        alike = next(filter(None, (_matches(name, file) for name in expected_names)), [])
        derived = may_be_derived(source, column) and (carrier is not None or bool(column.made_of))
        if len(alike) == 1:
            matched[column.name] = alike[0]
        elif alike or column.name in names or not (column.optional or derived):
            problems.append(_problem(source, column.name, " or ".join(expected_names), file, alike))
    if KNOWN_AT in names:
        alike = _matches(names[KNOWN_AT], file)
        if len(alike) == 1:
            matched[KNOWN_AT] = alike[0]
        else:
            problems.append(_problem(source, KNOWN_AT, names[KNOWN_AT], file, alike))
    return matched, problems


def may_be_derived(source: Source, column: Column) -> bool:
    """Whether files may lack a column that can do without: it is made of others, or is the time at which a carried row
    became known, which is some time after the carrier's event."""
    return bool(column.made_of) or (
        source.carried_by is not None and source.carried_delay is not None and column.name == source.known_at
    )


def _matches(expected_name: str, file: DataFile) -> list[str]:
    exact = [c for c in file.columns if c == expected_name]
    return exact or [c for c in file.columns if c.casefold() == expected_name.casefold()]


def _problem(source: Source, column: str, expected_name: str, file: DataFile, alike: Sequence[str]) -> str:
    candidates = alike or list(file.columns)
    say = _advice(source, column, expected_name, file)
    own_file = f", or give a file of {source.name} (`--{source.input} FILE`)" if source.carried_by else ""
    return (
        f"{file.path}: {source.name}.{column}: expected one column {expected_name}, found {listed(candidates)}; "
        f"rename it in the file, or name it in a columns file (`--columns`): {say}{own_file}"
    )


def _advice(source: Source, column: str, expected_name: str, file: DataFile) -> str:
    """What to write into a columns file: the name in the file that no column of the table has, if there is only one or
    one that is spelled alike."""
    taken = {name.casefold() for each in source.columns for name in each.file_names}
    free = [name for name in file.columns if name.casefold() not in taken]
    close = get_close_matches(expected_name.casefold(), [name.casefold() for name in free], 1)
    likely = free if len(free) == 1 else [name for name in free if name.casefold() in close]
    name = json.dumps(likely[0], ensure_ascii=False) if len(likely) == 1 else "NAME IN THE FILE"
    return f"`{source.name}: {{{column}: {name}}}`"
