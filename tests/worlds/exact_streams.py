"""What has to hold of a stream's tables and dead letters, whatever happened to it on the way."""

from __future__ import annotations

import json

from worlds.stream_processes import Topics
from worlds.streamed_world import BROKEN, PAYMENTS, REPORTS, World, contents, stored

from jobs.messages import dead_letters
from jobs.streams import verify
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


def payments(world: World, messages: int | None = None) -> list[int]:
    """Ids of payments among the first messages, or all, once for each message."""
    sent = world.messages[:messages]
    return [json.loads(each.value or b"")["transaction_id"] for each in sent if each.topic == PAYMENTS]


def events(world: World, messages: int | None = None) -> set[int]:
    """Of payments those that keep the contract."""
    return {id for id in payments(world, messages) if id < BROKEN}


def rows_with_features(world: World) -> int:
    """Rows of the table of features that has least."""
    tables = [FRAUD.stream_table(windows) for windows in FRAUD.windows]
    return min(world.lakehouse.row_count(table) if world.lakehouse.exists(table) else 0 for table in tables)


def assert_exact(world: World) -> None:
    """Raw rows are the topics' contents, each once, and features, of each event once, what a batch makes of them."""
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert stored(world, FRAUD_REPORTS) == contents(world, REPORTS)
    for windows in FRAUD.windows:
        ids = world.lakehouse.to_arrow(FRAUD.stream_table(windows), columns=[windows.id]).column(0).to_pylist()
        assert sorted(ids) == sorted(events(world))
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples, found.not_in_marts) == (0, [], 0)
    assert found.events == len(events(world))


def assert_letters(topics: Topics) -> None:
    """Each message that broke the contract is a dead letter, once."""
    names = [topics.names[PAYMENTS] + dead_letters.ENDING]
    options = {"bootstrap.servers": topics.address, "log_level": 0}
    letters = list(dead_letters.stored_letters(options, names, "nobody"))
    ids = [json.loads(letter.message.value or b"")["transaction_id"] for letter in letters]
    assert sorted(ids) == sorted(id for id in payments(topics.world) if id >= BROKEN)
    assert {letter.reason for letter in letters} <= {"tx_amount: below 0"}
