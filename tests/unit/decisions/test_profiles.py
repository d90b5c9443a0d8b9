"""Decisions know profiles as they were known at their stamps, cell by cell as the point-in-time join finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from worlds import profiled_world
from worlds.decided_world import score
from worlds.profiled_world import BANK, DAY, HOUR, NAMES, PROFILE, START, Row, expected, payment, profile

from jobs.decisions import base_tables, consistency, feeding, opened, reasons, table_comparison
from jobs.decisions.decider import PROFILES, Decider
from jobs.decisions.entity_states import EntityStates
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.log_before import LogBefore
from jobs.decisions.log_contents import Decided
from jobs.decisions.started import Started
from jobs.lakehouse.tables import attach
from jobs.online.plan import Event
from jobs.settings import Settings
from jobs.times import microseconds

pytestmark = pytest.mark.embedded
CUSTOMERS = (0, 1, 2, 7)
"""The last one has no profile."""


@dataclass
class Bank:
    """A home with payments and profiles, a clock, and a source of chances."""

    settings: Settings
    chance: Random
    now: datetime = START + 6 * DAY
    profiles: list[Row] = field(default_factory=list)
    ids: int = 1000

    def clock(self) -> int:
        return microseconds(self.now)

    def write(self) -> None:
        house = attach(self.settings)
        if not house.exists(BANK.events):
            payments = [payment(n, START + n * 3 * HOUR, self.chance.choice(CUSTOMERS)) for n in range(40)]
            profiled_world.put_marts(house, payments)
        profiled_world.put_profiles(house, self.profiles)

    def profile(self, known_at: datetime, load: int = 1) -> None:
        """A version of anybody: late, of its moment, or one that comes into force later."""
        number = len(self.profiles) + 1
        at = known_at + self.chance.choice([-3 * DAY, -HOUR, timedelta(0), 2 * HOUR])
        known_at += timedelta(microseconds=number)
        self.profiles.append(profile(self.chance.choice(CUSTOMERS[:3]), at, known_at, number, load))

    def decide(self, decider: Decider, customer: int | None) -> tuple[Decided, Row]:
        """A decision, and the features of the profile that its stamp knew, in the order of their names."""
        self.ids += 1
        self.now += self.chance.choice([timedelta(microseconds=1), timedelta(seconds=1), HOUR])
        late = self.chance.choice([None, timedelta(0), 2 * DAY])
        given: Row = {"payment_id": self.ids, "customer_id": customer, "amount": 5.0}
        given |= {} if late is None else {"paid_at": (self.now - late).isoformat()}
        started = decider.start(
            decider.schema.read({name: value for name, value in given.items() if value is not None})
        )
        assert isinstance(started, Started)
        stamp, happened = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at)
                           for at in (started.stamp, started.event.happened))  # fmt: skip
        found = expected(self.profiles, customer, stamp)
        born = next((row["born_at"] for row in self.profiles if row["visits"] == found["visits"] is not None), None)
        found["born_at_age"] = None if born is None or born > happened else (happened - born) / DAY
        return decider.finish(started, score), found


@contextmanager
def served(bank: Bank) -> Iterator[Decider]:
    """A worker of a server that stands on the tables as they are now."""
    with opened.lease(bank.settings, BANK) as handle:
        opened.renew(bank.settings, BANK, handle, bank.clock)
        decider = opened.open_decider(bank.settings, BANK, bank.clock)
        try:
            yield decider
        finally:
            decider.close()


def made(home: Settings, seed: int) -> Bank:
    bank = Bank(home, Random(seed))
    for _ in range(12):
        bank.profile(START + bank.chance.random() * 6 * DAY)
    for _ in range(6):
        bank.profile(bank.now + bank.chance.random() * DAY)  # known later than the base
    bank.write()
    return bank


def of_profiles(decider: Decider, decided: Decided) -> dict[str, Any]:
    values = dict(zip(decider.rows.computed, decided.features, strict=True))
    return {name: values[name] for name in NAMES}


def differences(bank: Bank) -> list[consistency.Difference]:
    with opened.log_of(bank.settings, BANK, bank.clock) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        house = attach(bank.settings)
        found = consistency.compare(house, base_tables.feature_row(house, BANK, base.tables), base, log.records())
    assert found.decisions and not found.undecided
    return found.examples


@pytest.mark.parametrize("seed", range(3))
def test_a_decision_has_the_profile_that_its_stamp_knew(home: Settings, seed: int) -> None:
    bank = made(home, seed)
    with served(bank) as decider:
        for _ in range(40):
            decided, found = bank.decide(decider, bank.chance.choice([*CUSTOMERS, None]))
            assert of_profiles(decider, decided) == found
    assert not differences(bank)
    compared = table_comparison.compare(attach(home), BANK)
    assert compared is not None and not compared.different


def test_a_late_profile_is_known_after_the_next_start(home: Settings) -> None:
    bank = made(home, 5)
    with served(bank) as decider:
        before, _ = bank.decide(decider, 0)
    bank.profiles.append(profile(0, bank.now - HOUR, bank.now - HOUR, 33))
    bank.write()
    with served(bank) as decider:
        after, found = bank.decide(decider, 0)
        assert of_profiles(decider, after) == found and found["visits"] == 33
        assert of_profiles(decider, before)["visits"] != 33
        texts = reasons.meanings(decider.rows)
        assert texts["region"].startswith("Where the customer lives, as known of the customer")
    assert not differences(bank)


def test_an_altered_profile_is_found(home: Settings) -> None:
    bank = made(home, 6)
    with served(bank) as decider:
        bank.decide(decider, 1)
        decider.states.base.profiles.tables[0].facts.columns["limit"][:] = -1.0
        bank.decide(decider, 1)
    assert {each.feature for each in differences(bank)} == {"limit"}


@pytest.mark.parametrize("seed", range(3))
def test_servers_that_run_are_told_of_profiles_that_tables_gain(home: Settings, seed: int) -> None:
    bank = made(home, seed + 20)
    with served(bank) as one, served(bank) as other:
        for night in range(3):
            for _ in range(4):
                bank.profile(bank.now - bank.chance.choice([-HOUR, timedelta(0), DAY]), load=night + 2)
            bank.write()
            bank.now += timedelta(seconds=1)
            fed = feeding.feed(attach(home), BANK, bank.clock)
            assert fed.told["profiles"] == 4 and "4 profiles" in fed.sentence
            assert not feeding.feed(attach(home), BANK, bank.clock).told["profiles"]
            bank.now += DAY
            for _ in range(12):
                # A day later all of it is known by its own time, too.
                decided, found = bank.decide(bank.chance.choice([one, other]), bank.chance.choice(CUSTOMERS))
                assert of_profiles(one, decided) == found
        assert not differences(bank)
        with served(bank) as late:
            decided, found = bank.decide(late, 1)
            assert of_profiles(late, decided) == found
    with served(bank) as anew:
        if anew.log.by_entity:  # the tables have all of it by now
            assert anew.log.facts((PROFILES, 0)).facts == []  # type: ignore[attr-defined]
        decided, found = bank.decide(anew, 1)
        assert of_profiles(anew, decided) == found
        bank.profile(bank.now, load=9)
        bank.write()
        assert feeding.feed(attach(home), BANK, bank.clock).told["profiles"] == 1
        bank.now += DAY
        decided, found = bank.decide(anew, bank.profiles[-1]["customer_id"])
        assert of_profiles(anew, decided) == found
    assert not differences(bank)


def test_what_was_told_is_known_from_then_on_and_not_before(home: Settings) -> None:
    bank = made(home, 30)
    with served(bank) as decider:
        before, _ = bank.decide(decider, 0)
        bank.profiles.append(profile(0, bank.now - HOUR, bank.now - HOUR, 33))
        bank.write()
        still, _ = bank.decide(decider, 0)
        feeding.feed(attach(home), BANK, bank.clock)
        after, found = bank.decide(decider, 0)
        assert of_profiles(decider, after) == found and found["visits"] == 33
        assert 33 not in {of_profiles(decider, each)["visits"] for each in (before, still)}
        # One that tables had earlier, of the same event time, is not put in place of one that is known later.
        bank.profiles.append(profile(0, bank.now - HOUR, bank.now - HOUR, 34))
        bank.profiles.append(profile(0, bank.now - HOUR, bank.now - 2 * HOUR, 35))
        bank.write()
        feeding.feed(attach(home), BANK, bank.clock)
        after, found = bank.decide(decider, 0)
        assert of_profiles(decider, after) == found and found["visits"] == 34
    assert not differences(bank)


def test_servers_do_not_mix_declarations_of_profiles(home: Settings) -> None:
    bank = made(home, 7)
    with served(bank) as decider:
        mine = opened.fingerprint(decider.rows)
        house, versions = attach(home), base_tables.current_versions(attach(home), BANK)
    rows = base_tables.feature_row(house, BANK, versions)
    assert opened.fingerprint(rows) == mine and BANK.profile_table(PROFILE) in versions
    without = base_tables.feature_row(house, BANK, {BANK.events: 0, BANK.labels: 0})
    assert opened.fingerprint(without) != mine


def test_streams_stand_on_no_profiles(home: Settings) -> None:
    bank = made(home, 8)
    house = attach(home)
    versions = base_tables.versions_of(house, BANK)
    assert set(versions) == {BANK.events, BANK.labels}
    rows = base_tables.feature_row(house, BANK, versions)
    tables = base_tables.tables(house, rows, versions, bank.clock(), LogBefore())
    assert not rows.profiles and not tables.profiles
    states = EntityStates(tables.facts(rows, bank.clock()), EventSchema.of(BANK, house.schema(BANK.events)))
    event = {"payment_id": 1, "paid_at": bank.clock(), "customer_id": 1, "amount": 1.0}
    assert [len(found) for found in states.of_tables(Event(1, bank.clock(), event), bank.clock())] == [1]
