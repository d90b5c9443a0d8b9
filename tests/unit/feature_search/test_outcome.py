"""What a search leaves behind: files that are whole, and an offer of the loop that is over once it is answered."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds import bursts
from worlds.bursts import BURSTS, END

from jobs import settings as settings_module
from jobs.feature_search import outcome
from jobs.feature_search.outcome import Kept
from jobs.feature_search.search import Found
from jobs.feature_search.selection import OUT_OF_TIME, Selection
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import feature_searches
from jobs.ledger.feature_searches import DueSearch
from jobs.tasks.binary import BINARY

DAY = timedelta(days=1)


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    return Lakehouse(settings_module.load({"EVERGREEN_HOME": str(tmp_path)}))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that finds nothing at once; searches are looked at in `test_search.py`."""

    def found(lakehouse: Lakehouse, use_case: Any, as_of: Any, *_: Any) -> Found:
        return Found(as_of, BINARY, (), (0.1, 0.1), (0.1, 0.1), None, Selection(ended=OUT_OF_TIME), 10, 5, 0.1)

    monkeypatch.setattr(outcome, "search", found)


def run(lakehouse: Lakehouse, **asked: Any) -> Kept:
    return outcome.run(lakehouse, BURSTS, **{"as_of": END, "seconds": 0.0, "now": END, **asked})


def offered(lakehouse: Lakehouse) -> None:
    day = (END - 20 * DAY).date()
    due = DueSearch(day, "average precision", 0.7, 0.5, day + 3 * DAY, day + 9 * DAY, END - DAY)
    feature_searches.record(lakehouse.settings, BURSTS.name, due, END)


@pytest.mark.usefixtures("quick")
def test_a_search_ends_the_offer_that_it_answers_and_no_other(lakehouse: Lakehouse) -> None:
    offered(lakehouse)
    assert not run(lakehouse, from_nothing=True).answered and not run(lakehouse, as_of=END - 2 * DAY).answered
    [row] = feature_searches.rows(lakehouse.settings, BURSTS.name)
    assert row.ended_at is None
    kept = run(lakehouse)
    [row] = feature_searches.rows(lakehouse.settings, BURSTS.name)
    assert kept.answered and (row.outcome, row.ended_at) == ("searched", END)
    assert row.result == f"a search as of {END:%Y-%m-%d} proposes nothing ({kept.files['report'].name})"
    assert not run(lakehouse).answered, "none is due any more"


@pytest.mark.usefixtures("quick")
def test_files_of_an_earlier_search_of_the_same_moment_are_not_taken_for_this_ones(lakehouse: Lakehouse) -> None:
    folder = lakehouse.settings.home / "feature_search"
    folder.mkdir(parents=True)
    stem = f"fraud_{END:%Y-%m-%dT%H%M%S}"
    for name in (f"{stem}.patch", f"{stem}.py", "fraud_2020-01-01T000000.patch"):
        (folder / name).write_text("old")
    assert list(run(lakehouse).files) == ["report"]
    assert sorted(path.name for path in folder.iterdir()) == ["fraud_2020-01-01T000000.patch", f"{stem}.json"]
    assert json.loads((folder / f"{stem}.json").read_text())["ended"] == OUT_OF_TIME


def test_a_home_that_cannot_be_written_is_found_before_the_search(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched(*_: Any) -> Found:
        raise AssertionError("the search began")

    monkeypatch.setattr(outcome, "search", searched)
    (lakehouse.settings.home / "feature_search").write_text("a file in the way")
    with pytest.raises(OSError, match="feature_search"):
        run(lakehouse)


def test_an_interrupted_search_leaves_nothing_and_the_offer_stands(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    bursts.write(lakehouse)
    offered(lakehouse)

    def interrupt(sentence: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(lakehouse, seconds=600.0, report=interrupt)
    assert list((lakehouse.settings.home / "feature_search").iterdir()) == []
    [row] = feature_searches.rows(lakehouse.settings, BURSTS.name)
    assert row.ended_at is None
