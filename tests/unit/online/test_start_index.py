"""Where records start, by id: all of them are found, in little memory, also where ids share their hash."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.online import start_index
from jobs.online.file_log import FileLog
from jobs.online.log_records import Conflict
from jobs.online.start_index import StartIndex

pytestmark = pytest.mark.embedded


@given(st.dictionaries(st.text(), st.integers(1, 2**40 - 1), max_size=300))
@with_examples(100)
def test_every_start_is_found_by_its_id(starts: dict[str, int]) -> None:
    index = StartIndex()
    for id, start in starts.items():
        index.add(id, start)
    assert all(start in index.starts(id) for id, start in starts.items())


def test_an_id_takes_few_bytes_however_long_it_is() -> None:
    count, index = 50_000, StartIndex()
    tracemalloc.start()
    for number in range(1, count + 1):
        index.add(f"event/{number:0200d}", number)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 28 * count
    assert sum(len(index.starts(f"decision/{number}")) for number in range(count)) < 100


@pytest.mark.parametrize("different", [1, 3], ids=["all ids share one hash", "many ids share three"])
def test_ids_of_one_hash_are_told_apart_by_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, different: int
) -> None:
    monkeypatch.setattr(start_index, "hash", lambda id: len(id) % different, raising=False)
    ids = [f"event/{number}" for number in (*range(30), *range(1000, 1030))]
    with FileLog(tmp_path / "log") as log, FileLog(tmp_path / "log") as other:
        for id in ids:
            assert log.append(id, id.encode()).is_new
        other.tail()
        for one in (log, other):
            assert one.get("event/999") is None
            assert [one.append(id, id.encode()).is_new for id in ids] == [False] * len(ids)
            found = [one.get(id) for id in ids]
            assert [record and record.content for record in found] == [id.encode() for id in ids]
            with pytest.raises(Conflict):
                one.append(ids[7], b"other")
        assert len(list(log.records())) == len(ids)
