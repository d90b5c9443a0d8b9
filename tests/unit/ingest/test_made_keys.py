"""Keys of lines that come without one: the same line has the same key in every file, order and part it comes in."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples
from worlds.retail_lines import EDITIONS, FIRST_EDITION, SECOND_EDITION, publish

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import REASONS
from jobs.ingest.parsing import Batch
from jobs.ingest.readers import FOUND
from jobs.use_cases.returns import LINES

NOW = datetime(2012, 1, 1, tzinfo=UTC)
CONTENT = list(LINES.columns[0].made_of)
START = datetime(2010, 12, 1, 8, 26)
VALUES: dict[str, Any] = {
    "InvoiceNo": ["536365", "C536365", "A563185"], "StockCode": ["85123A", "85123a", "POST"],
    "Description": ["WHITE, HANGING", None], "Quantity": [6, -1], "UnitPrice": [2.55, 0.0, 0.1 + 0.2, -11062.06],
    "CustomerID": [17850, None], "Country": ["United Kingdom", None],
    "InvoiceDate": [START, START + timedelta(minutes=1)],
}  # fmt: skip
LINE = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})
SCHEMA: dict[str, Any] = {
    "InvoiceNo": pl.String, "StockCode": pl.String, "Description": pl.String, "Quantity": pl.Int64,
    "InvoiceDate": pl.Datetime("us"), "UnitPrice": pl.Float64, "CustomerID": pl.Int64, "Country": pl.String,
}  # fmt: skip


def lines(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def read(*paths: Path) -> Batch:
    names = ColumnsFile()
    inspected = inspection.inspect(LINES, paths, names, {})
    assert inspected.problems == ()
    return read_batch(LINES, inspected, names, {}, NOW)


def keyed(*paths: Path) -> Counter[tuple[Any, ...]]:
    """The lines with their keys; an identifier is the same as integer and as text."""
    frame = read(*paths).frame.with_columns(pl.col("buyer_id").cast(pl.String))
    return Counter(frame.select("line_id", *CONTENT).iter_rows())


@given(st.lists(LINE, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 3))
@with_examples(40)
def test_neither_order_nor_parts_nor_edition_nor_format_changes_a_key(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], chance: Any, count: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    whole = keyed(publish(lines(rows), folder / "whole.parquet"))
    assert len({key for key, *_ in whole}) == len(rows)
    shuffled, parts = chance.sample(rows, len(rows)), []
    for number in range(count):
        if part := shuffled[number::count]:
            name = f"part-0000{number}{chance.choice(['.csv', '.parquet'])}"
            parts.append(publish(lines(part), folder / name, chance.choice(EDITIONS)))
    assert keyed(*parts) == whole


@given(st.lists(LINE, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
@with_examples(40)
def test_files_that_overlap_hold_the_rows_of_the_whole_file_each_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], chance: Any, count: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    whole = keyed(publish(lines(rows), folder / "whole.parquet"))
    # All rows that are equal are in one of the files, and any number of them in the others.
    contents: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for content in {repr([row[name] for name in SCHEMA]): row for row in rows}.values():
        equal, home = [row for row in rows if row == content], chance.randrange(count)
        for number, content_of_file in enumerate(contents):
            content_of_file.extend(equal if number == home else equal[: chance.randint(0, len(equal))])
    parts = [
        publish(lines(chance.sample(part, len(part))), folder / f"{number}{chance.choice(['.csv', '.parquet'])}")
        for number, part in enumerate(contents)
        if part
    ]
    assert set(keyed(*parts)) == set(whole)
    assert set().union(*map(keyed, parts)) == set(whole)


@given(st.lists(LINE, min_size=1, max_size=8), st.lists(LINE, max_size=8))
@with_examples(40)
def test_further_lines_leave_the_keys_of_the_others_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    before = keyed(publish(lines(rows), folder / "first.csv"))
    after = keyed(publish(lines([*more, *rows]), folder / "longer.csv", FIRST_EDITION))
    assert before <= after and after.total() == len(rows) + len(more)


@pytest.mark.parametrize("edition", EDITIONS, ids=["Online Retail", "Online Retail II"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_published_file_is_read_as_it_is(tmp_path: Path, edition: tuple[str, ...], ending: str) -> None:
    one = {name: values[0] for name, values in VALUES.items()}
    bad = [one | {"CustomerID": None}, one | {"InvoiceNo": "A1", "UnitPrice": -11062.06}]
    batch = read(
        publish(lines([one, one, one | {"InvoiceNo": "C1", "Quantity": -6}, *bad]), tmp_path / f"a.{ending}", edition)
    )
    good, refused, _ = contracts.split(batch.frame, contracts.row_checks(LINES, batch.frame.columns, "UTC", NOW))
    assert refused[REASONS].list.join("; ").to_list() == ["buyer_id: missing", "unit_price: below 0"]
    assert good["line_id"].n_unique() == 3 and good["line_id"].str.starts_with("C1-").sum() == 1
    assert good["invoiced_at"].to_list() == [START.replace(tzinfo=UTC)] * 3
    assert good["buyer_id"].to_list() == [17850] * 3 and batch.schema.undeclared == ("Description",)


def test_parts_of_a_table_are_one_file(tmp_path: Path) -> None:
    rows = lines([{name: values[0] for name, values in VALUES.items()}])
    names = ["a.csv", "b.csv", "part-00000-x.parquet", "part-00001-x.parquet", "day=1/x.parquet", "day=2/x.parquet"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    paths = [publish(rows, tmp_path / name) for name in names]
    assert len(keyed(*paths[:2])) == 1
    assert len(keyed(*paths[2:4])) == len(keyed(*paths[4:])) == 2


def test_a_key_in_the_file_is_taken_and_one_in_some_files_only_is_refused(tmp_path: Path) -> None:
    rows = lines([{name: values[0] for name, values in VALUES.items()}])
    own, without = tmp_path / "own.parquet", publish(rows, tmp_path / "without.parquet", FIRST_EDITION)
    rows.with_columns(LineID=pl.lit("L-1")).write_parquet(own)
    assert read(own).frame["line_id"].to_list() == ["L-1"]
    [problem] = inspection.inspect(LINES, [own, without], ColumnsFile(), {}).problems
    assert "lines.line_id: expected one type" in problem and "no such column in" in problem


def test_a_line_without_its_invoice_has_no_key_and_says_what_is_missing(tmp_path: Path) -> None:
    one = {name: values[0] for name, values in VALUES.items()} | {"InvoiceNo": None}
    batch = read(publish(lines([one, one | {"InvoiceNo": "1"}]), tmp_path / "a.parquet"))
    assert batch.frame["line_id"].null_count() == 1 and FOUND + "line_id" not in batch.frame.columns


def test_days_where_months_should_be_refuse_the_file_with_the_choice(tmp_path: Path) -> None:
    one = {name: values[0] for name, values in VALUES.items()}
    path = publish(lines([one]), tmp_path / "a.csv", FIRST_EDITION)
    path.write_text(path.read_text() + path.read_text().splitlines()[1].replace("12/1/2010", "13/12/2010") + "\n")
    [problem] = inspection.inspect(LINES, [path], ColumnsFile(), {}).problems
    assert "found '13/12/2010 8:26' in line 3" in problem
    assert '"%m/%d/%Y %H:%M"' in problem and '"%d/%m/%Y %H:%M"' in problem


def test_the_second_edition_is_what_the_declaration_calls_it() -> None:
    known = {name for column in LINES.columns for name in column.file_names}
    assert set(FIRST_EDITION) | set(SECOND_EDITION) <= known | {"Description"}
