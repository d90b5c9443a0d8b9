"""Compaction, log expiry and vacuum never take a version that something was built from."""

import hashlib
import os
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from jobs.lakehouse import maintenance
from jobs.lakehouse.tables import Lakehouse, VersionGone
from jobs.ledger.pins import pin, pinned, unpin

# 200 commits on Spark take minutes, and the clean-up is delta-rs's on both.
pytestmark = pytest.mark.embedded
SCHEMA = pa.schema([("id", pa.int64()), ("value", pa.float64())])
COMMITS = 200


def rows(start: int, count: int = 3) -> pa.Table:
    ids = list(range(start, start + count))
    return pa.table({"id": ids, "value": [i / 7 for i in ids]}, schema=SCHEMA)


def row_hash(table: pa.Table) -> str:
    return hashlib.sha256(repr(table.sort_by("id").to_pylist()).encode()).hexdigest()


def commit(lakehouse: Lakehouse, numbers: range, mode: Literal["append", "overwrite"]) -> None:
    """Commits that make the log long, as delta-rs writes them; the last one as the product does."""
    path = lakehouse.path("demo.training_set")
    for i in numbers[:-1]:
        write_deltalake(path, rows(i), mode=mode)
    last = numbers[-1]
    lakehouse.write("demo.training_set", rows(last), mode=mode, schema=SCHEMA, state={"commit": last})


def age_log(lakehouse: Lakehouse, table: str) -> None:
    """Make every file but the newest look 60 days old, so that log and files count as expired."""
    newest = f"{lakehouse.version(table):020}.json"
    for path in Path(lakehouse.path(table)).rglob("*"):
        if path.is_file() and path.name != newest:
            os.utime(path, (path.stat().st_mtime - 60 * 86400,) * 2)


def test_a_pinned_version_survives_200_commits_checkpoints_log_expiry_and_vacuum(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.training_set", rows(0), mode="append", schema=SCHEMA, state={"commit": 0})
    commit(lakehouse, range(1, COMMITS // 2), "append")
    version = lakehouse.version("demo.training_set")
    assert version is not None
    before = row_hash(lakehouse.to_arrow("demo.training_set"))
    pin(lakehouse.settings, {"demo.training_set": version}, by="model 1")
    commit(lakehouse, range(COMMITS // 2, COMMITS), "overwrite")
    age_log(lakehouse, "demo.training_set")
    done = maintenance.maintain(lakehouse, "demo.training_set", retain_hours=0)
    assert done.files > 0 and done.log_entries > 0
    assert row_hash(lakehouse.to_arrow("demo.training_set", version=version)) == before
    assert row_hash(lakehouse.read("demo.training_set", version).toArrow()) == before
    assert lakehouse.to_arrow("demo.training_set").sort_by("id").equals(rows(COMMITS - 1))
    assert lakehouse.state("demo.training_set") == {"commit": COMMITS - 1}


def test_an_unpinned_version_is_cleaned_up(lakehouse: Lakehouse) -> None:
    first = lakehouse.write("demo.rows", rows(0), mode="append", schema=SCHEMA)
    pin(lakehouse.settings, {"demo.rows": first}, by="model 1")
    lakehouse.write("demo.rows", rows(1), mode="overwrite", schema=SCHEMA)
    unpin(lakehouse.settings, by="model 1")
    assert pinned(lakehouse.settings, "demo.rows") == []
    age_log(lakehouse, "demo.rows")
    maintenance.maintain(lakehouse, "demo.rows", retain_hours=0)
    with pytest.raises((VersionGone, DeltaError, FileNotFoundError)):
        lakehouse.to_arrow("demo.rows", version=first)


def test_compaction_changes_files_and_neither_rows_nor_state(lakehouse: Lakehouse) -> None:
    for i in range(10):
        lakehouse.write("demo.rows", rows(10 * i), mode="append", schema=SCHEMA, state={"commit": i})
    before = row_hash(lakehouse.to_arrow("demo.rows"))
    done = maintenance.maintain(lakehouse, "demo.rows", retain_hours=168)
    assert done.compacted == 10
    assert row_hash(lakehouse.to_arrow("demo.rows")) == before
    assert lakehouse.state("demo.rows") == {"commit": 9}
    lakehouse.write("demo.rows", rows(1000), mode="append", schema=SCHEMA)
    assert lakehouse.to_arrow("demo.rows").num_rows == 33
