"""Cases as workers of one home hand them out: none twice, none after its report, and again once their time is over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC
from typing import Any

import pytest
from click.testing import CliRunner, Result
from worlds.decided_world import SECOND, START, World, made, server, worker

from jobs.decisions import feeding, log_contents, opened, told
from jobs.decisions.decider import Decider
from jobs.decisions.live_reviews import LiveReviews, LiveVerdict
from jobs.decisions.log_contents import Decided, LabelCame
from jobs.decisions.outcome import Outcome
from jobs.decisions.review_cases import LEASE
from jobs.decisions.scores import Scored
from jobs.decisions.started import Started
from jobs.decisions.told import UnknownEvent
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

pytestmark = pytest.mark.embedded
ROOM = 5


class Reviewing:
    """A model that lets everything be reviewed."""

    fallback: Any = None

    def __call__(self, rows: Sequence[list[Any]]) -> list[Scored]:
        return [Scored(Outcome(0.5, "review"), "1", "0" * 64) for _ in rows]


def decide(decider: Decider, world: World, **given: Any) -> Decided:
    world.now += SECOND
    started = decider.start(decider.schema.read(world.given(**given)))
    assert isinstance(started, Started)
    return decider.finish(started, Reviewing())


def cases(decider: Decider, world: World, amounts: Sequence[float]) -> list[int]:
    return [decide(decider, world, tx_amount=amount, tx_datetime=None).id for amount in amounts]


@contextmanager
def reviewing(world: World, workers: int = 1, room: int = ROOM) -> Iterator[list[LiveReviews]]:
    with server(world), ExitStack() as stack:
        deciders = [stack.enter_context(worker(world)) for _ in range(workers)]
        yield [LiveReviews(FRAUD, decider, room) for decider in deciders]


def ids(handed: Sequence[Any]) -> list[int]:
    return [each.case.id for each in handed]


def test_the_largest_loss_comes_first_within_a_days_room(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        found = cases(reviews.decider, world, [10, 500, 7, 90, 80, 20, 300])
        first = reviews.hand_out("ann", 3)
        assert ids(first) == [found[1], found[6], found[3]] and first[0].case.loss == 250
        assert ids(reviews.hand_out("bob", 9)) == [found[4], found[5]]
        assert reviews.hand_out("eve", 9) == []
        assert ids(reviews.hand_out("ann", 9)) == ids(first)
        assert [holder for _, holder in reviews.open_cases()] == ["ann"] * 3 + ["bob"] * 2 + [None] * 2
        reviews.judge(found[1], "negative", "ann")
        assert reviews.hand_out("eve", 9) == []  # what is judged takes the room of its day
        world.now += LEASE + SECOND
        assert ids(reviews.hand_out("eve", 9)) == [found[6], found[3], found[4], found[5]]


def test_asking_again_and_again_writes_nothing(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        cases(reviews.decider, world, [10, 20])
        reviews.hand_out("ann", 5)
        before = sum(1 for _ in reviews.decider.log.records())
        world.now += LEASE // 3
        assert len(reviews.hand_out("ann", 5)) == 2
        assert sum(1 for _ in reviews.decider.log.records()) == before


def test_two_workers_hand_nothing_out_twice(home: Settings) -> None:
    world = made(home)
    with reviewing(world, workers=2, room=20) as [one, other]:
        for number in range(30):
            cases((one, other)[number % 2].decider, world, [number])
        handed = [ids((one, other)[n % 2].hand_out(f"reviewer {n}", 4)) for n in range(8)]
        assert [len(each) for each in handed] == [4, 4, 4, 4, 4, 0, 0, 0]
        assert len({id for each in handed for id in each}) == 20
        # A worker that starts only now reads it all in the log.
        with worker(world) as decider:
            assert LiveReviews(FRAUD, decider, 20).hand_out("late", 4) == []
            assert ids(LiveReviews(FRAUD, decider, 20).hand_out("reviewer 3", 4)) == handed[3]


def test_of_two_who_ask_at_once_the_first_in_the_log_has_the_case(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(home)
    with reviewing(world, workers=2) as [one, other]:
        found = cases(one.decider, world, [10, 20, 30])
        note = one.decider.note
        others: list[list[int]] = []

        def meanwhile(*asked: Any) -> bool:
            if not others:
                others.append(ids(other.hand_out("bob", 2)))
            return note(*asked)

        monkeypatch.setattr(one.decider, "note", meanwhile)
        assert ids(one.hand_out("ann", 2)) == [found[0]] and others == [[found[2], found[1]]]


def test_a_case_with_a_report_is_closed_wherever_it_came_from(home: Settings) -> None:
    world = made(home)
    with reviewing(world, workers=2) as [one, other]:
        found = cases(one.decider, world, [10, 20, 30])
        told.report(other.decider, found[2], {"is_fraud": True})
        assert ids(one.hand_out("ann", 9)) == [found[1], found[0]]
        told.withdraw(other.decider, "events", found[1])
        other.judge(found[0], "unsure", "bob")
        assert one.hand_out("ann", 9) == [] and other.open_cases() == []
        told.withdraw(other.decider, "labels", found[2])
        assert ids(one.hand_out("ann", 9)) == [found[2]]


def test_a_case_that_tables_have_a_report_of_is_closed(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        found = cases(reviews.decider, world, [10, 20])
    event = world.event(found[1], START)
    world.put([event], [world.label(event) | {"known_at": START}], mode="append")
    with reviewing(world) as [reviews]:
        assert ids(reviews.hand_out("ann", 9)) == [found[0]]


def verdicts(decider: Decider) -> list[LabelCame]:
    decider.catch_up()
    contents = [log_contents.decode(record.content) for record in decider.log.records()]
    return [each for each in contents if isinstance(each, LabelCame) and each.reviewer is not None]


def test_a_verdict_is_a_report_at_once_and_counts_once(home: Settings) -> None:
    world = made(home)
    with reviewing(world, workers=2) as [one, other]:
        [id] = cases(one.decider, world, [10])
        first = one.judge(id, "positive", "ann")
        assert first.is_new and other.judge(id, "positive", "bob") == (first.moment, False)
        second = other.judge(id, "negative", "bob")
        assert second.is_new and second.moment > first.moment
        assert [(each.values, each.reviewer) for each in verdicts(one.decider)] == [
            ({"is_fraud": True}, "ann"), ({"is_fraud": False}, "bob"),
        ]  # fmt: skip
        # Not what it was when a client has reported otherwise since.
        told.report(one.decider, id, {"is_fraud": True})
        assert other.judge(id, "negative", "bob").is_new and len(verdicts(other.decider)) == 3


def test_later_decisions_know_of_a_verdict(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        decider = reviews.decider
        place = decider.rows.computed.index("customer_known_frauds_30d")
        id = decide(decider, world, customer_id=901, tx_datetime=None).id

        def known() -> Any:
            return decide(decider, world, customer_id=901, tx_datetime=None).features[place]

        assert not known()
        reviews.judge(id, "positive", "ann")
        assert known() == 1
        reviews.judge(id, "negative", "ann")
        assert known() == 0


def test_doubt_closes_a_case_and_is_no_report(home: Settings) -> None:
    world = made(home)
    with reviewing(world, workers=2) as [one, other]:
        [id] = cases(one.decider, world, [10])
        first = one.judge(id, "unsure", "ann")
        assert first.is_new and other.judge(id, "unsure", "bob") == (first.moment, False)
        assert verdicts(one.decider) == [] and other.hand_out("bob", 1) == []
        assert other.judge(id, "positive", "bob").is_new


def test_a_verdict_on_an_unknown_or_withdrawn_event_is_refused(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        [id] = cases(reviews.decider, world, [10])
        told.withdraw(reviews.decider, "events", id)
        either: tuple[LiveVerdict, ...] = ("positive", "unsure")
        for verdict in either:
            for unknown in (id, 10**15):
                with pytest.raises(UnknownEvent, match=f"event {unknown}: expected one that is known"):
                    reviews.judge(unknown, verdict, "ann")


def test_labels_that_a_verdict_does_not_say_all_of_are_refused(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    world = made(home)
    with server(world), worker(world) as decider:
        monkeypatch.setitem(decider.rows.labels, "other", decider.rows.labels["is_fraud"])
        with pytest.raises(Invalid, match="found the columns \\['other'\\] beside"):
            LiveReviews(FRAUD, decider, ROOM)


def test_a_verdict_that_tables_have_is_told_to_nobody_again(home: Settings) -> None:
    """`told_facts` after the night that loaded it."""
    world = made(home)
    with reviewing(world) as [reviews]:
        decider = reviews.decider
        decided = decide(decider, world, tx_datetime=None)
        judged = reviews.judge(decided.id, "positive", "ann")
        known, happened = (START.fromtimestamp(at / 1e6, UTC) for at in (judged.moment, decided.decided_at))
        came = decider.came(decided.id)
        assert came is not None
        event = world.event(decided.id, happened) | {"known_at": happened, "loaded_in": 2}
        event |= {name: came.values[name] for name in ("customer_id", "terminal_id", "tx_amount")}
        label = world.label(event) | {"is_fraud": True, "known_at": known, "loaded_in": 2}
        world.put([event], [label], mode="append")
        world.now += SECOND
        before = decider.log.last_stamp()
        fed = feeding.feed(attach(home), FRAUD, world.clock)
        assert set(fed.told.values()) == {0} and decider.log.last_stamp() == before
        assert not reviews.judge(decided.id, "positive", "bob").is_new


def test_the_command_lists_open_cases_by_the_clock_of_the_log(
    home: Settings, store: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(home.home))
    monkeypatch.setenv("EVERGREEN_ONLINE_STORE", store or "")

    def said(*more: str) -> Result:
        return CliRunner().invoke(main, ["review", "list", "--live", *more])

    if store is None:
        assert said().output == "No event of fraud waits for a reviewer.\n" and said("--json").stdout == "[]\n"
    world = made(home)
    with reviewing(world) as [reviews]:
        small, large = cases(reviews.decider, world, [10, 20])
        reviews.hand_out("ann", 1)
        listed = json.loads(said("--json").stdout)
        assert [(each["transaction_id"], each["expected_loss"], each["handed_to"]) for each in listed] == [
            (large, 10.0, "ann"), (small, 5.0, None),
        ]  # fmt: skip
        shown = said()
        assert shown.exit_code == 0 and "2 open cases, of which the first 2 are shown" in shown.output
        reviews.judge(large, "unsure", "ann")
        assert [each["transaction_id"] for each in json.loads(said("--json").stdout)] == [small]
    assert said("--day", "2026-05-20").exit_code == 2


DIES = """
import os, signal, sys
from jobs import settings
from jobs.decisions import opened
from jobs.decisions.live_reviews import LiveReviews
from jobs.use_cases.fraud import FRAUD
decider = opened.open_decider(settings.load(), FRAUD, lambda: int(sys.argv[1]))
print([each.case.id for each in LiveReviews(FRAUD, decider, 5).hand_out("ann", 5)], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_dead_worker_handed_out_is_free_again_once_its_time_is_over(home: Settings) -> None:
    world = made(home)
    with reviewing(world) as [reviews]:
        found = cases(reviews.decider, world, [10, 20])
        store = home.online_store_url
        address = {} if store is None else {"EVERGREEN_ONLINE_STORE": store.reveal()}
        done = subprocess.run(
            [sys.executable, "-c", DIES, str(world.now)], capture_output=True, text=True, check=False,
            env={**os.environ, "EVERGREEN_HOME": str(home.home), **address},
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL and done.stdout == f"{found[::-1]}\n", done.stderr
        assert reviews.hand_out("bob", 5) == []
        world.now += LEASE + SECOND
        assert ids(reviews.hand_out("bob", 5)) == found[::-1]
        with opened.log_of(home, FRAUD) as log:
            assert sum(record.id.startswith("handed/") for record in log.records()) == 2
