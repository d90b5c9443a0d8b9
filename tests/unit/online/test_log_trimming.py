"""A log without its beginning: what is kept is what was there, and a death on the way costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.online.file_log import FileLog
from jobs.online.log_records import Record
from jobs.online.log_trimming import trim

pytestmark = pytest.mark.embedded


def filled(path: Path) -> list[Record]:
    stamps = iter(range(1000, 2000, 100))
    with FileLog(path, now=lambda: next(stamps)) as log:
        for number in range(8):
            log.append(f"{'base' if number == 1 else 'event'}/{number}", b"x" * number)
        return list(log.records())


def test_records_before_a_moment_go_but_for_those_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "log"
    records = filled(path)
    moved: list[int] = []
    removed = trim(path, 1500, 10**9, lambda record: record.id.startswith("base/"), moved.append)
    with FileLog(path) as log:
        left = list(log.records())
        assert [(r.stamp, r.id, r.content) for r in left] == [
            (r[0], r[1], r[2]) for r in records if r[0] >= 1500 or r[1] == "base/1"
        ]
        assert moved == [removed] and left[-1].end == records[-1][3] - removed
        # Stamps go on, ids that are gone count as new, and those that are left as known.
        assert log.append("event/7", b"x" * 7).is_new is False
        assert log.append("event/0", b"").is_new is True
    assert trim(path, 1500, 10**9, lambda record: record.id.startswith("base/"), moved.append) == 0


def test_nothing_goes_that_is_behind_the_position(tmp_path: Path) -> None:
    path = tmp_path / "log"
    records = filled(path)
    trim(path, 10**9, records[2][3], lambda record: False, lambda removed: None)
    with FileLog(path) as log:
        assert [record.id for record in log.records()] == [record[1] for record in records[3:]]


def test_a_death_before_the_exchange_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    records = filled(path)

    def die(removed: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trim(path, 10**9, 10**9, lambda record: False, die)
    with FileLog(path) as log:
        assert list(log.records()) == records
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
