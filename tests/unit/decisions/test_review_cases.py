"""Who has which case follows from the log alone: within a day's room, each to one reviewer, for a while."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.decisions import log_contents
from jobs.decisions.log_contents import Content, Decided, FactGone, Handed, LabelCame, Unsure, VersionCame
from jobs.decisions.outcome import Outcome
from jobs.decisions.review_cases import LEASE, OPEN_FOR, ReviewCases
from jobs.online.log_records import Record
from jobs.problem import Verdict

DAY = 86_400_000_000
NOON = 20_000 * DAY + DAY // 2


class Story:
    """A log that a test writes, and its fold."""

    def __init__(self, room: int = 3) -> None:
        self.cases = ReviewCases(room, lambda decided: decided.outcome.score or 0.0)
        self.now, self.records = NOON, 0

    def add(self, kind: str, content: Content, after: int = 1) -> str:
        self.now += after
        self.records += 1
        name = log_contents.name(kind, getattr(content, "id", "x"), self.records)
        self.cases.take(Record(self.now, name, log_contents.encode(content), self.now))
        return name

    def decided(self, id: Any, score: float = 0.5, verdict: Verdict = "review", after: int = 1) -> None:
        self.add("decision", Decided(id, self.now + after, Outcome(score, verdict), []), after)

    def asked(self, reviewer: str, *ids: Any, after: int = 1) -> list[Any]:
        """What is granted."""
        name = self.add("handed", Handed(reviewer, list(ids)), after)
        return [id for id, lease in self.cases.leases.items() if lease.granted_by == name]

    def label(self, id: Any, reviewer: str | None = None) -> None:
        self.add("told", LabelCame(id, NOON, {}, {"is_fraud": True}, reviewer=reviewer))

    def open(self) -> list[Any]:
        return [case.id for case in self.cases.open(self.now)]


def test_only_events_to_review_are_cases_and_the_largest_loss_comes_first() -> None:
    story = Story()
    for id, score, verdict in ((1, 0.2, "review"), (2, 0.9, "block"), (3, 0.7, "review"), (4, 0.7, "review")):
        story.decided(id, score, verdict)  # type: ignore[arg-type]
    assert story.open() == [3, 4, 1]


def test_a_case_is_closed_by_any_report_and_by_doubt_and_comes_back_when_the_report_was_wrong() -> None:
    story = Story()
    for id in range(4):
        story.decided(id)
    story.label(0)
    story.add("unsure", Unsure(1, "ann"))
    story.add("told", FactGone(2, "events", {}))
    assert story.open() == [3]
    story.add("told", FactGone(0, "labels", {}))
    story.add("told", FactGone(1, "labels", {}))
    story.add("told", VersionCame(2, {}, NOON))
    assert story.open() == [0, 2, 3]


def test_a_case_is_handed_to_one_reviewer_until_time_is_over() -> None:
    story = Story()
    story.decided("a")
    assert story.asked("ann", "a") == ["a"] and story.cases.left(story.now) == 2
    assert story.asked("bob", "a") == [] and story.cases.holder("a", story.now) == "ann"
    assert story.asked("ann", "a", after=LEASE // 2) == ["a"]
    assert story.asked("bob", "a", after=LEASE - 1) == []
    # Whoever had it is taken for gone: it is anybody's, and counts once.
    assert story.asked("bob", "a", after=1) == ["a"] and story.cases.left(story.now) == 2


def test_a_day_has_room_for_so_many_cases_handed_and_judged() -> None:
    story = Story(room=3)
    for id in range(6):
        story.decided(id)
    assert story.asked("ann", 0, 1) == [0, 1] and story.asked("bob", 1, 2, 3) == [2]
    story.label(0, "ann")
    story.add("unsure", Unsure(1, "ann"))
    story.label(5)  # a report that nobody reviewed takes no room
    assert story.cases.left(story.now) == 0 and story.asked("bob", 2, 3) == [2]
    assert story.asked("bob", 3, after=LEASE) == [3]
    story.label(0, "bob")  # another verdict on the same case
    assert story.cases.left(story.now) == 0
    story.now += DAY // 2
    assert story.cases.left(story.now) == 3


def test_a_case_stays_open_for_a_day() -> None:
    story = Story()
    story.decided(1)
    assert [case.id for case in story.cases.open(story.now + OPEN_FOR - 1)] == [1]
    assert story.cases.open(story.now + OPEN_FOR) == [] and not story.cases.cases


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "ask", "label", "verdict", "unsure", "withdraw"]), st.integers(0, 5),
        st.sampled_from(["ann", "bob", "eve"]), st.sampled_from([1, LEASE // 3, LEASE, DAY // 5]),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 4))
def test_whatever_happens_nobody_has_what_another_has_and_no_day_has_more_than_its_room(
    steps: list[tuple[str, int, str, int]], room: int
) -> None:
    story = Story(room)
    held: dict[int, tuple[str, int]] = {}
    judged: dict[int, set[int]] = {}
    for what, id, who, after in steps:
        if what == "decide":
            story.decided(id, after=after)
        elif what == "ask":
            before = {one: holder for one, holder in held.items() if holder[1] > story.now + after}
            granted = story.asked(who, *range(id, 6), after=after)
            today = judged.get(story.now // DAY, set())
            assert all(before.get(one, (who,))[0] == who for one in granted)
            held = before | dict.fromkeys(granted, (who, story.now + LEASE))
            new = [one for one in granted if one not in before]
            assert not new or len(held) + len(today) <= room
        elif what == "withdraw":
            story.add("told", FactGone(id, "labels", {}), after)
        else:
            story.now += after
            if what == "unsure":
                story.add("unsure", Unsure(id, who))
            else:
                story.label(id, who if what == "verdict" else None)
            held.pop(id, None)
            if what != "label":
                judged.setdefault(story.now // DAY, set()).add(id)
            assert id not in story.open()


@pytest.mark.parametrize("kind", ["shadow", "explored", "base", "event"])
def test_other_records_are_not_even_read(kind: str) -> None:
    story = Story()
    story.cases.take(Record(story.now, f"{kind}/1", b"no JSON", 1))
    story.cases.take(Record(story.now, "decision/1", b"no JSON either", 1))
    assert story.open() == [] and story.cases.stamp == story.now
