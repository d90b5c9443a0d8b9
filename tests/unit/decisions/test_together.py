"""Events that are decided together: the log, the decisions and the refusals are those of one after another."""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from worlds import decided_world
from worlds.decided_world import SECOND, World, score, server, worker
from worlds.redis_server import empty_home

from jobs.decisions import base_tables, consistency, opened
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import Given
from jobs.decisions.log_contents import Decided
from jobs.decisions.started import Awaited, Begun, Started
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.online.file_log import FileLog, NotWritten
from jobs.online.log_records import Conflict, Entry
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
Together = list[Given]
"""Events that wait at the same time."""


def drawn_events(world: World, chance: Random) -> Together:
    """New events, those that came before, some of them with other content, and one that no column can hold."""
    bodies = [world.given() for _ in range(chance.randrange(1, 9))]
    repeated = [dict(chance.choice(bodies)) for _ in range(chance.randrange(3))]
    for body in repeated:
        body["tx_amount"] = chance.choice([body["tx_amount"], 3.5])
    given = [_given(body) for body in [*bodies, *repeated]]
    if chance.random() < 0.3:
        given.append(Given(world.ids + 10**6, None, {**given[0].values, "customer_id": "nobody"}))
    chance.shuffle(given)
    return given


def _given(body: dict[str, Any]) -> Given:
    schema = FRAUD.event_id, FRAUD.event_timestamp
    return Given(body[schema[0]], None, {name: value for name, value in body.items() if name not in schema})


def decide_together(decider: Decider, events: Together) -> list[Begun]:
    begun = decider.start_all([Awaited(event, 0.0) for event in events])
    decided = iter(decider.finish_all([each for each in begun if isinstance(each, Started)], score))
    return [next(decided) if isinstance(each, Started) else each for each in begun]


def decide_singly(decider: Decider, events: Together) -> list[Begun]:
    """All events enter, one by one, then are decided, one by one: the order that those together have in the log."""
    begun = [_tried(decider, event) for event in events]
    return [decider.finish(each, score) if isinstance(each, Started) else each for each in begun]


def _tried(decider: Decider, event: Given) -> Begun:
    try:
        return decider.start(event, 0.0)
    except Invalid as error:
        return error


def told(found: Begun) -> object:
    if isinstance(found, Conflict):
        return found.record.id, found.record.content
    return str(found) if isinstance(found, Exception) else without_latency(repr(found))


def without_latency(text: str) -> str:
    return re.sub(r'"?latency"?[:=]\d+', "", text)


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_in_groups_is_that_of_one_by_one(store: str | None, tmp_path: Path, seed: int) -> None:
    found = []
    for name, decide in (("together", decide_together), ("singly", decide_singly)):
        world, chance = decided_world.made(empty_home(tmp_path / name, store), seed), Random(seed)
        answers = []
        with server(world), worker(world) as one, worker(world) as other:
            for _ in range(25):
                world.now += chance.choice([1, SECOND, 2 * 86_400 * SECOND])
                events, decider = drawn_events(world, chance), chance.choice([one, other])
                answers += [told(each) for each in decide(decider, events)]
        found.append((answers, logged(world)))
        compared = agreement(world)
        assert compared.decisions > 50 and (compared.different, compared.undecided) == (0, 0), compared.examples
    assert found[0] == found[1]


def logged(world: World) -> list[tuple[str, int, str]]:
    with opened.log_of(world.settings, FRAUD, world.clock) as log:
        return [(each.id, each.stamp, without_latency(each.content.decode())) for each in log.records()]


def agreement(world: World) -> consistency.Comparison:
    with opened.log_of(world.settings, FRAUD, world.clock) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        house = attach(world.settings)
        return consistency.compare(house, base_tables.feature_row(house, FRAUD, base.tables), base, log.records())


def test_an_event_sees_those_before_it_in_its_group(store: str | None, tmp_path: Path) -> None:
    world = decided_world.made(empty_home(tmp_path, store), events=20, future=0)
    with server(world), worker(world) as one:
        events = [_given(world.given(customer_id=5000)) for _ in range(9)]
        decided = [each for each in decide_together(one, events) if isinstance(each, Decided)]
        count = one.rows.computed.index("customer_tx_count_1d")
        assert [each.features[count] for each in decided] == list(range(1, 10))
        assert [each.decided_at for each in decided] == [world.now + n for n in range(1, 10)]


def test_what_is_wrong_with_one_is_told_of_that_one(store: str | None, tmp_path: Path) -> None:
    world = decided_world.made(empty_home(tmp_path, store), events=20, future=0)
    with server(world), worker(world) as one, worker(world) as other:
        former, fresh = _given(world.given()), _given(world.given())
        [decided] = decide_together(other, [former])
        changed = former._replace(values={**former.values, "tx_amount": 1.25})
        wrong = Given(1, None, {**fresh.values, "customer_id": "nobody"})
        again, refused, conflict, new, twice = one.start_all(
            [Awaited(each, 0.0) for each in (former, wrong, changed, fresh, fresh)]
        )
        assert again == decided and isinstance(new, Started) and twice is None
        assert isinstance(refused, Invalid) and isinstance(conflict, Conflict)
        assert isinstance(one.finish(new, score), Decided)


def test_what_others_appended_is_known_after_a_refusal(tmp_path: Path) -> None:
    world = decided_world.made(tmp_path, events=20, future=0)
    with server(world), worker(world) as one, worker(world) as other:
        body = world.given(customer_id=5000)
        decide_together(other, [_given(body)])
        with pytest.raises(Conflict):
            one.start(_given(body | {"tx_amount": 3.5}))
        [decided] = decide_together(one, [_given(world.given(customer_id=5000))])
        assert isinstance(decided, Decided)
        assert decided.features[one.rows.computed.index("customer_tx_count_1d")] == 2


def test_those_that_the_disk_took_whole_are_there_and_the_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, entries = os.write, [Entry(str(number), b"%d" % number) for number in range(6)]
    with FileLog(tmp_path / "log", now=lambda: 5) as log, FileLog(tmp_path / "log", now=lambda: 5) as other:
        log.append("1", b"1")
        size = (tmp_path / "log").stat().st_size
        monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[: len(content) // 2]))
        answers = log.append_all([*entries, Entry("1", b"9")])
        monkeypatch.undo()
        taken = [each for each in answers if not isinstance(each, Exception)]
        assert [each.is_new for each in taken] == [True, False, True]
        assert [type(each) for each in answers[3:]] == [NotWritten, NotWritten, NotWritten, Conflict]
        assert [each.id for each in other.tail()] == ["1", "0", "2"]
        assert (tmp_path / "log").stat().st_size == log._end > size
        again = log.append_all(entries)
        assert [each.is_new for each in again if not isinstance(each, Exception)] == [False] * 3 + [True] * 3
        assert [each.id for each in other.tail()] == ["3", "4", "5"]
