"""JSON Lines: every record is a row or is told of, every value is what was written."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest import contracts, inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.input_files import find_files
from jobs.ingest.json_objects import NAME_TWICE, NO_OBJECT
from jobs.ingest.readers import open_file, read_file
from jobs.ingest.registered_inputs import InputError
from jobs.use_cases.fraud import TRANSACTIONS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAYMENT = '{"TRANSACTION_ID": 9007199254740993, "TX_DATETIME": "2026-05-01 10:00:00", "CUSTOMER_ID": "C1", '\
    '"TERMINAL_ID": 7.0, "TX_AMOUNT": 1.234, "more": {"n": 1.5, "of": [true]}}'  # fmt: skip


def written(path: Path, *lines: str) -> Path:
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def rows(path: Path) -> pl.DataFrame:
    file = open_file(path)
    return read_file(file, file.columns)


@pytest.mark.parametrize("name", ["p.jsonl", "p.ndjson", "p.json", "p.jsonl.gz", "P.NDJSON.GZ"])
def test_numbers_are_exact_and_what_is_no_record_goes_to_quarantine(tmp_path: Path, name: str) -> None:
    path = written(
        tmp_path / name.lower(),
        PAYMENT,
        "",
        "[1]",
        PAYMENT[:-3],
        PAYMENT.replace("more", "TX_AMOUNT"),
        PAYMENT.replace("C1", r"\ud800"),
    )  # half of a character
    inspected = inspection.inspect(TRANSACTIONS, [path], ColumnsFile(), {})
    assert not inspected.problems and inspected.schema.undeclared == ("more",)
    batch = read_batch(TRANSACTIONS, inspected, ColumnsFile(), {}, NOW).frame
    good, bad, _ = contracts.split(batch, contracts.row_checks(TRANSACTIONS, batch.columns, "UTC", NOW))
    assert good.select("transaction_id", "customer_id", "terminal_id", "tx_amount").rows() == [
        (9007199254740993, "C1", 7, 1.234)
    ]
    told = [(row["_line"], reason) for row in bad.iter_rows(named=True) for reason in row["_reasons"]]
    assert {(3, NO_OBJECT), (4, NO_OBJECT), (5, NAME_TWICE), (6, NO_OBJECT)} <= set(
        told
    ) and good.height + bad.height == 5


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.none() | st.booleans() | st.integers() | st.text(min_size=1)),
        min_size=1, max_size=5,
    ),
    st.booleans(),
)  # fmt: skip
def test_whatever_a_program_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], escaped: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=escaped) for record in records), "utf-8")
    if not any(records):
        with pytest.raises(InputError, match=r"expected JSON Lines, an object in every line"):
            rows(path)
        return
    found = rows(path)
    assert found["_malformed"].null_count() == len(records)
    for name in {name for record in records for name in record}:
        assert found[name].to_list() == [as_text(record.get(name)) for record in records]


def as_text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_a_file_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a.jsonl: expected JSON Lines, an object in every line, found none in 2 lines"
    ):
        open_file(written(tmp_path / "a.jsonl", "[", '"x"]'))


def test_json_that_describes_a_folder_is_not_read_with_it_and_json_lines_are(tmp_path: Path) -> None:
    written(tmp_path / "schema.json", '{"a": 1}')
    written(tmp_path / "pretty.json", "{", '"a": 1}')
    lines = written(tmp_path / "part.json", PAYMENT, PAYMENT)
    zipped = written(tmp_path / "part.json.gz", PAYMENT, PAYMENT)
    assert find_files([tmp_path]) == [lines, zipped]


def test_numbers_are_written_in_one_way_and_text_may_be_in_two(tmp_path: Path) -> None:
    alike = [PAYMENT.replace("1.234", number) for number in ("1.234", "57.125")]
    path = written(tmp_path / "a.jsonl", *alike)
    assert not inspection.inspect(TRANSACTIONS, [path], ColumnsFile(), {}).problems
    for text in ('"1.234"', r'"1.23\u0034"'):
        written(path, *alike, PAYMENT.replace("1.234", text))
        (problem,) = inspection.inspect(TRANSACTIONS, [path], ColumnsFile(), {}).problems
        assert "found '1.234' in line 1, which is 1.234 or 1234" in problem


def test_a_number_that_is_an_identifier_is_the_text_that_it_is_in_csv(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *(PAYMENT.replace('"C1"', form) for form in ("1.234", '"1.234"', "1.50")))
    assert rows(path)["CUSTOMER_ID"].to_list() == ["1.234", "1.234", "1.50"]


def test_lines_alike_and_others_keep_their_places(tmp_path: Path) -> None:
    lines = {
        '{"a": 1, "b": ""}': ("1", None, None, None),
        '{ "a":2 ,"b":"x" }': ("2", "x", None, None),
        '{"b": 3, "a": 4}': ("4", "3", None, None),
        '{"a": 05, "b": 1}': (None, None, None, NO_OBJECT),
        '{"a": null, "b": true}': (None, "true", None, None),
        '{"a": 7, "b": 8, "c": "\\n"}': ("7", "8", "\n", None),
        '{"a": 9, "b": "a\tb"}': (None, None, None, NO_OBJECT),
    }
    found = rows(written(tmp_path / "a.jsonl", *lines))
    assert found.select("a", "b", "c", "_malformed").rows() == list(lines.values())
    assert found["_line"].to_list() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "value", ["true", "false", "[]", "[1]", '["a"]', "[true]", "{}", '{"a": 1}', '{"a": []}', "[[1], null]"]
)
@pytest.mark.parametrize("others", ["1", '"C1"'])
def test_a_boolean_a_list_or_an_object_is_no_identifier(tmp_path: Path, value: str, others: str) -> None:
    path = written(tmp_path / "p.jsonl", *(PAYMENT.replace('"C1"', each) for each in (others, value, others)))
    inspected = inspection.inspect(TRANSACTIONS, [path], ColumnsFile(), {})
    batch = read_batch(TRANSACTIONS, inspected, ColumnsFile(), {}, NOW).frame
    good, bad, _ = contracts.split(batch, contracts.row_checks(TRANSACTIONS, batch.columns, "UTC", NOW))
    assert good["customer_id"].cast(pl.String).to_list() == [json.loads(f'"{others}"' if others == "1" else others)] * 2
    [reasons] = bad["_reasons"].to_list()
    assert reasons == ["customer_id: no identifier (a boolean, a list or an object, write it as a number or as text)"]
