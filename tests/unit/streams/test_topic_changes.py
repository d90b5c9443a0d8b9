"""What happened to topics beside messages, by the places that are read to; kept over processes."""

from __future__ import annotations

import pytest

from jobs.messages.position import Position, PositionLost
from jobs.streams.topic_changes import KEPT, TopicChanges, between, told

READ = Position("payments", "a", {0: 7, 1: 9})


@pytest.mark.parametrize("now", [READ, Position("payments", "a", {0: 8, 1: 90})])
def test_messages_are_no_change(now: Position) -> None:
    assert between(READ, now) == ""


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (Position("payments"), READ),
        (Position("payments", "folder", {77: 5}), Position("payments", "folder", {77: 5, 4711: 3})),
    ],
    ids=["a topic that is read first", "a further file"],
)
def test_what_is_read_first_is_no_change(before: Position, now: Position) -> None:
    assert between(before, now) == ""


def test_a_topic_that_is_made_again_or_grows_is_told_once() -> None:
    changes = TopicChanges({}, [READ], lambda: 0.0)
    grown, again = Position("payments", "a", {0: 7, 1: 9, 2: 0}), Position("payments", "b", {0: 0, 1: 0})
    for position in (READ, grown, grown, again, again):
        changes.look([position])
    assert [each["what"] for each in changes.told["payments"]] == [
        "it has 3 partitions, where it had 2: the new ones are read whole",
        "it was made again, and is read from its beginning",
    ]


def test_messages_that_are_gone_stay_told_when_another_process_goes_on() -> None:
    changes = TopicChanges({}, [READ], lambda: 86400.0)
    changes.lost(PositionLost("payments", "offsets 7 to 9 are gone"))
    later = TopicChanges(changes.told, [READ], lambda: 86401.0)
    for number in range(KEPT):
        later.look([Position("payments", f"made again {number}")])
        assert len(later.told["payments"]) == min(number + 2, KEPT)
    assert told(changes.told["payments"][0]) == "1970-01-02 00:00:00: offsets 7 to 9 are gone"
