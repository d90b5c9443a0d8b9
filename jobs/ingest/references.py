"""Whether what a row is about has arrived: references between the raw tables of a use case."""

from collections.abc import Mapping

import polars as pl

from jobs.ingest.contracts import COLUMNS, REASONS, stored_identifiers, with_reasons
from jobs.ingest.parsing import HAPPENED, UTC, Batch
from jobs.ingest.quarantine import UNKNOWN
from jobs.ingest.readers import FOUND, KNOWN_AT
from jobs.ingest.registered_inputs import InputError
from jobs.lakehouse.envelope import DELETED
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source, UseCase


def target(use_case: UseCase, reference: str) -> tuple[str, str]:
    """Raw table and column of a reference `source.column`."""
    source, column = reference.split(".")
    return use_case.raw_table(use_case.source(source)), column


def expected_identifiers(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> dict[str, str]:
    """Types that the identifiers of `source` should have: those in its table, else in tables with the same ids."""
    expected: dict[str, str] = {}
    others = [s for s in use_case.sources if s.name != source.name]
    for other in others:
        stored = stored_identifiers(lakehouse, use_case, other)
        expected |= {c.name: stored[c.name] for c in source.columns if c.name in stored and c.name not in expected}
    for column, reference in source.references.items():
        name, target_column = reference.split(".")
        stored = stored_identifiers(lakehouse, use_case, use_case.source(name))
        expected |= {column: stored[target_column]} if target_column in stored else {}
    return expected | stored_identifiers(lakehouse, use_case, source)


def stored_values(lakehouse: Lakehouse, use_case: UseCase, source: Source, column: str) -> pl.Series:
    """Values of an identifier column in the raw table, and in the one that it refers to."""
    places = [(use_case.raw_table(source), column)]
    if column in source.references:
        places.append(target(use_case, source.references[column]))
    held = [
        pl.Series(lakehouse.to_arrow(table, columns=[name])[name]) for table, name in places if lakehouse.exists(table)
    ]
    of_text = [values for values in held if values.dtype == pl.String]
    return pl.concat(of_text) if of_text else pl.Series(dtype=pl.String)


def check_types(source: Source, batch: Batch, expected: Mapping[str, str]) -> None:
    """Raises InputError if identifiers are of another type than where they refer to."""
    for column, kind in expected.items():
        if batch.schema.columns.get(column, kind) != kind:
            example = batch.frame[FOUND + column].drop_nulls().first()
            raise InputError(
                f"{', '.join(map(str, batch.files))}: {source.name}.{column}: expected {kind} identifiers as in the "
                f"tables loaded before, found text such as {example!r}; convert the column"
            )


def split(
    lakehouse: Lakehouse, use_case: UseCase, source: Source, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows whose references are all there, and the others as bad rows that may be released later."""
    if not source.references:
        return rows, as_canonical(source, with_reasons(rows.clear(), [], []))
    unknown = {}
    for column, reference in source.references.items():
        table, target_column = target(use_case, reference)
        stored_ids = pl.Series(dtype=rows[column].dtype)
        if not rows.is_empty() and lakehouse.exists(table):
            stored_ids = pl.Series(lakehouse.to_arrow(table, columns=[target_column])[target_column])
        unknown[column] = ~rows[column].is_in(stored_ids.implode()) & rows[column].is_not_null()
    flags = rows.with_columns(
        pl.concat_list([pl.when(f).then(pl.lit(UNKNOWN + c)) for c, f in unknown.items()])
        .list.drop_nulls()
        .alias(REASONS)
    ).with_columns(pl.col(REASONS).list.eval(pl.element().str.strip_prefix(UNKNOWN)).alias(COLUMNS))
    is_bad = pl.col(REASONS).list.len() > 0
    return flags.filter(~is_bad).drop(REASONS, COLUMNS), as_canonical(source, flags.filter(is_bad))


def split_by_time(
    lakehouse: Lakehouse, use_case: UseCase, source: Source, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Rows that were known when their event happened or later, those known before as bad rows, and how many of the
    first were known at that very moment; rows refer to what is there.

    An event that was moved counts with the earliest of its times.
    """
    early, together = pl.Series([False]).new_from_index(0, rows.height), 0
    about = [(c, reference) for c, reference in source.references.items() if source.known_at]
    for column, reference in [] if rows.is_empty() else about:
        happened = rows.select(column).join(
            event_times(lakehouse, use_case, reference, rows[column]), on=column, how="left", maintain_order="left"
        )[HAPPENED]
        early |= (rows[KNOWN_AT] < happened).fill_null(False)
        together += int((rows[KNOWN_AT] == happened).sum())
    reason = f"{source.known_at}: before its event"
    bad = with_reasons(rows.filter(early), [reason], [source.known_at or ""])
    return rows.filter(~early), as_canonical(source, bad), together


def event_times(lakehouse: Lakehouse, use_case: UseCase, reference: str, asked: pl.Series) -> pl.DataFrame:
    """When the events asked for happened, in the earliest of their versions: the column `asked` and HAPPENED."""
    table, column = target(use_case, reference)
    time = use_case.source(reference.split(".")[0]).event_time
    # The bounds let whole files be skipped; the join is what decides.
    bounds = [(column, ">=", asked.min()), (column, "<=", asked.max())]
    stored = pl.DataFrame(lakehouse.to_arrow(table, columns=[column, time], filters=bounds))
    times = stored.select(pl.col(column).cast(asked.dtype).alias(asked.name), pl.col(time).cast(UTC).alias(HAPPENED))
    return times.group_by(asked.name).agg(pl.col(HAPPENED).min())


def as_canonical(source: Source, bad: pl.DataFrame) -> pl.DataFrame:
    """With the canonical values as those found, so that quarantine holds all that a release needs."""
    from jobs.ingest.quarantine import as_text

    told = [DELETED] if DELETED in bad.columns else []
    names = dict.fromkeys([*(c.name for c in source.columns), KNOWN_AT, *told])
    dropped = bad.drop([c for c in bad.columns if c.startswith(FOUND)])
    return dropped.with_columns(as_text(n, dropped.schema[n]).alias(FOUND + n) for n in names)


def types(source: Source, frame: pl.DataFrame) -> dict[str, pl.DataType]:
    """Polars types of the columns that a waiting row keeps."""
    return {n: frame.schema[n] for n in [*(c.name for c in source.columns), KNOWN_AT]} | {KNOWN_AT: UTC}
