"""MLflow's database that was stopped while it was made, at any of its statements: the next training makes it good."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from worlds.draws import drawn
from worlds.tracking_store import PREPARE

from jobs.registry import model_versions, tracking
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
MAKE = tracking._make
STATEMENTS = 1_600
"""Fewer than MLflow makes its database with."""


class Stopped(BaseException):
    """What stops a process in the middle."""


def stopping(database: Path, number: int) -> None:
    """Let MLflow make a database until its statement of this number. Raises Stopped."""
    count = 0

    def stop(*_: object) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise Stopped

    sa.event.listen(sa.Engine, "before_cursor_execute", stop)
    try:
        MAKE(database)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", stop)


@pytest.mark.parametrize("by_an_earlier_release", [True, False])
def test_a_database_that_was_stopped_while_it_was_made_is_made_whole(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_an_earlier_release: bool
) -> None:
    database = home.home / "tracking" / "mlflow.db"
    number = drawn(f"stopped creation {by_an_earlier_release}").randrange(2, STATEMENTS)
    if by_an_earlier_release:  # which let MLflow make it in its place
        elsewhere = tmp_path / "elsewhere" / database.name  # as MLflow keeps connections to what it opened
        for folder in (database.parent, elsewhere.parent):
            folder.mkdir(parents=True)
        with pytest.raises(Stopped):
            stopping(elsewhere, number)
        elsewhere.rename(database)
    else:
        with monkeypatch.context() as patched:
            patched.setattr(tracking, "_make", lambda path: stopping(path, number))
            with pytest.raises(Stopped):
                PREPARE(home)
        assert not database.exists(), number
    PREPARE(home)
    with tracking.client(home) as tracker:
        assert [each.name for each in tracker.search_experiments()] == ["Default"], number
    assert [file.name for file in database.parent.iterdir() if file.name.startswith(".")] == []


def test_a_database_that_is_damaged_or_in_use_is_left_alone(home: Settings) -> None:
    PREPARE(home)
    database = home.home / "tracking" / "mlflow.db"
    database.write_bytes(b"no database" * 1000)
    with (
        pytest.raises(tracking.TrackingUnavailable, match=r"found a damaged file.*doctor --deep"),
        tracking.client(home),
    ):
        pass
    assert database.read_bytes() == b"no database" * 1000


def test_a_home_that_trained_nothing_has_no_aliases_and_is_made_no_database_to_say_so(home: Settings) -> None:
    assert model_versions.aliases(home, FRAUD) == {}
    model_versions.set_aliases(home, FRAUD, {"champion": None})
    assert not (home.home / "tracking").exists()
