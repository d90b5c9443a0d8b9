"""The log of the decision service as a source: what was decided is in raw tables at the log's stamps, each once."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from worlds import decided_world, streamed_world
from worlds.decided_world import SECOND, decide, server, worker
from worlds.redis_server import RedisServer, empty_home
from worlds.streamed_world import START

from jobs.actions import live_verdict_files
from jobs.decisions import log_contents, opened, shipping, told
from jobs.decisions.decider import Decider
from jobs.decisions.live_reviews import LiveReviews
from jobs.decisions.log_contents import EVENT, Decided
from jobs.decisions.told import Standing, UnknownEvent
from jobs.ingest import load, quarantine, registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.envelope import DELETED, TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.connection import StreamUnreachable
from jobs.secret import ClusterUrl
from jobs.settings import Settings
from jobs.streams import opening, stream, verify
from jobs.streams.rewind import rewind
from jobs.streams.stream import Stream
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

pytestmark = pytest.mark.embedded
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Service:
    """A home with history, whose service decides, and whose stream reads what it logs."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = replace(settings, stream_url=ClusterUrl("decisions://"))
        self.tables = streamed_world.World(self.settings, Random(seed))
        self.tables.history(150)
        self.world = decided_world.World(self.settings, Random(seed), microseconds(START + timedelta(hours=1)))
        self.decided: dict[int, Decided] = {}
        self.names: list[str] = []
        self.reported: list[int] = []
        self.moves = False
        """Whether corrections move payments with a report: tables have it in the new place for the time before, too."""
        self.withdraws = False
        """Whether payments and reports turn out not to be."""

    @property
    def lakehouse(self) -> Lakehouse:
        return self.tables.lakehouse

    def decide(self, one: Decider, **given: Any) -> int:
        """A payment that a client sends; it says when it was, or that it is now."""
        chance = self.world.chance
        self.world.now += chance.choice([1, SECOND, 1800 * SECOND])
        late = chance.choice([None, 0, 3 * SECOND, -SECOND, 3600 * SECOND, 86_400 * SECOND])
        time = None if late is None else (EPOCH + timedelta(microseconds=self.world.now - late)).isoformat()
        made = decide(one, self.world.given(tx_datetime=time) | given)
        self.decided[made.id], self.names = made, list(one.rows.computed)
        return made.id

    def tell(self, one: Decider) -> None:
        """A report, or a correction of a payment, of the log or of tables."""
        chance = self.world.chance
        self.world.now += chance.choice([1, SECOND, 600 * SECOND])
        id = chance.choice([*self.decided, chance.randrange(150)])
        if self.withdraws and chance.random() < 0.3:
            with contextlib.suppress(UnknownEvent):
                of = chance.choice(["events", "labels"])
                told.withdraw(one, of, chance.choice(self.reported or [id]) if of == "labels" else id)
        elif chance.random() < 0.6:
            reported = chance.choice([None, self.world.now - 60 * SECOND])
            with contextlib.suppress(UnknownEvent):  # it was withdrawn
                told.report(one, id, {"is_fraud": chance.random() < 0.5}, reported)
                self.reported.append(id)
        else:
            standing = Standing.of(one, id)
            is_kept = standing.label() is not None and not self.moves
            kept = dict(standing.event().entities) if is_kept else {}  # type: ignore[union-attr]
            # A row that is again what it was before is none for a topic (`jobs.streams.known_rows`).
            kept |= {"tx_amount": chance.uniform(300, 900)} if self.withdraws else {}
            told.correct(one, one.schema.read(self.world.given(transaction_id=id, tx_datetime=None) | kept))

    def run(self, steps: int | None = None) -> Stream:
        """From where the last stream ended to the end of the log, or killed after some steps."""
        one = opening.open_of(self.settings, FRAUD)
        one.publish = None
        while steps != 0 and one.step(0):
            steps = None if steps is None else steps - 1
            if self.world.chance.random() < 0.3:
                one.commit()
        if steps is None:
            one.commit()
        one.close()
        return one

    def rows(self, source: Any) -> pl.DataFrame:
        """The rows of a raw table that came from the log."""
        return pl.DataFrame(self.lakehouse.to_arrow(FRAUD.raw_table(source), filters=[(TOPIC, "!=", "")]))

    def differing(self) -> list[str]:
        """Cells of streamed features that are not those that decisions were made of."""
        wrong = []
        for windows in FRAUD.windows:
            rows = self.lakehouse.to_arrow(FRAUD.stream_table(windows)).to_pylist()
            assert {row[FRAUD.event_id] for row in rows} == set(self.decided)
            for row in rows:
                was = dict(zip(self.names, self.decided[row[FRAUD.event_id]].features, strict=True))
                wrong += [f"{name} of {row[FRAUD.event_id]}: {row[name]} for {was[name]}"
                          for name in windows.names if _micros(row[name]) != was[name]]  # fmt: skip
        return wrong


def _micros(value: Any) -> Any:
    return microseconds(value) if isinstance(value, datetime) else value


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(stream, "MOST", 13)
    return Service(Settings(tmp_path), 0)


def play(service: Service) -> None:
    """200 decisions and what is told meanwhile, read by streams that die."""
    every = 2 if service.withdraws else 5
    with server(service.world), worker(service.world) as one:
        for number in range(200):
            service.decide(one)
            if number % every == every - 1:
                service.tell(one)
            if number % 67 == 66:
                service.run(steps=service.world.chance.randrange(4))
                service.run()
    service.run()


def expect_no_difference(service: Service) -> None:
    """Streamed features are those of the night, and of the 200 decisions."""
    found = verify.verify(service.lakehouse, FRAUD, verify.days_of(service.lakehouse, FRAUD))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (200, 0, 0)
    assert service.differing() == []


@pytest.mark.parametrize("seed", range(3))
def test_features_are_those_of_decisions_and_of_the_night_in_every_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(stream, "MOST", 13)
    service = Service(Settings(tmp_path), seed)
    play(service)
    shipping.ship(service.lakehouse, FRAUD)
    service.tables.night()
    expect_no_difference(service)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_withdrawn_is_gone_for_decisions_and_for_the_night_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(stream, "MOST", 13)
    service = Service(Settings(tmp_path), seed)
    service.withdraws = True
    play(service)
    shipping.ship(service.lakehouse, FRAUD)
    service.tables.night()
    assert service.rows(TRANSACTIONS)[DELETED].sum() > 3 and service.rows(FRAUD_REPORTS)[DELETED].sum() > 1
    expect_no_difference(service)


@pytest.mark.parametrize("seed", range(2))
def test_features_are_those_of_decisions_where_reports_move_to_other_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(stream, "MOST", 13)
    service = Service(Settings(tmp_path), seed)
    service.moves = True
    play(service)
    assert service.differing() == []


def test_each_record_is_a_row_at_its_stamp(service: Service) -> None:
    with server(service.world), worker(service.world) as one:
        ids = [service.decide(one, tx_datetime=None, tx_amount=number) for number in range(30)]
        service.world.now += SECOND
        told.correct(one, one.schema.read(service.world.given(transaction_id=ids[0], tx_amount=77)))
        first = told.report(one, ids[1], {"is_fraud": True})
        second = told.report(one, ids[2], {"is_fraud": False}, service.world.now - 5 * SECOND)
        service.run()
        assert service.run().counts.messages == 0
    rows = {row["transaction_id"]: row for row in service.rows(TRANSACTIONS).to_dicts() if row["tx_amount"] != 77}
    assert set(rows) == set(ids)
    for id, made in service.decided.items():
        assert microseconds(rows[id]["known_at"]) == microseconds(rows[id]["tx_datetime"]) == made.decided_at
        assert rows[id]["stream_offset"] == made.decided_at
    reports = service.rows(FRAUD_REPORTS).sort("known_at").to_dicts()
    assert [microseconds(row["known_at"]) for row in reports] == [first.stamp, second.stamp]
    assert [microseconds(row["fraud_reported_at"]) for row in reports] == [first.stamp, service.world.now - 5 * SECOND]
    assert [row["tx_fraud"] for row in reports] == [True, False]


@pytest.mark.servers
def test_a_log_in_a_store_is_read_on_after_the_store_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path / "redis") as store:
        service = Service(empty_home(tmp_path / "home", store.url), 0)
        with server(service.world), worker(service.world) as one:
            first = [service.decide(one) for _ in range(3)]
            running = opening.open_of(service.settings, FRAUD)
            running.publish = None
            assert running.step(0) == 3
            store.kill()
            with pytest.raises(StreamUnreachable, match="online store: expected Redis that answers"):
                running.step(0)
            store.start()
            second = service.decide(one)
            assert running.step(0) == 1
            running.commit()
            running.close()
        assert service.rows(TRANSACTIONS).sort("known_at")["transaction_id"].to_list() == [*first, second]
        assert service.run().counts.messages == 0


def test_what_a_file_brought_is_the_same_row(service: Service) -> None:
    with server(service.world), worker(service.world) as one:
        first, second = (service.decide(one, tx_datetime="2026-03-01T01:00:00Z", tx_amount=5) for _ in range(2))
        came = one.came(first)
        assert came is not None
        file = {"transaction_id": first, "tx_datetime": datetime(2026, 3, 1, 1, tzinfo=UTC), "known_at": START}
        service.tables.put_raw(TRANSACTIONS, [file | came.values], mode="append")
        counts = service.run().counts
    assert (counts.new, counts.repeated) == (1, 1)
    assert service.rows(TRANSACTIONS)["transaction_id"].to_list() == [second]


def test_a_withdrawal_is_a_deletion_and_a_move_is_none(service: Service) -> None:
    with server(service.world), worker(service.world) as one:
        wrong, moved = service.decide(one), service.decide(one, customer_id=1)
        for id in (wrong, moved):
            service.world.now += SECOND
            told.report(one, id, {"is_fraud": True})
        told.withdraw(one, "labels", wrong)
        told.withdraw(one, "events", wrong)
        told.correct(one, one.schema.read(service.world.given(transaction_id=moved, customer_id=2)))
        service.run()
    for source in (TRANSACTIONS, FRAUD_REPORTS):
        rows = service.rows(source)
        assert rows.filter(DELETED)["transaction_id"].to_list() == [wrong]
        assert not service.lakehouse.exists(quarantine.table_of(FRAUD.raw_table(source)))
    reports = service.rows(FRAUD_REPORTS).sort("known_at")
    assert reports["transaction_id"].to_list() == [wrong, moved, wrong, moved]


def test_a_stream_that_is_set_back_to_a_moment_reads_on_from_its_stamp(service: Service) -> None:
    with server(service.world), worker(service.world) as one:
        ids = [service.decide(one) for _ in range(6)]
        service.run()
        moment = EPOCH + timedelta(microseconds=service.decided[ids[2]].decided_at)
        rewind(service.settings, FRAUD, moment)
        counts = service.run().counts
    assert (counts.messages, counts.new, counts.repeated) == (4, 0, 4)


def test_without_decisions_nothing_is_read_and_no_log_is_made(service: Service) -> None:
    assert service.run().counts.messages == 0
    assert not opened.log_file(service.settings, FRAUD).exists()


def test_a_log_whose_beginning_was_trimmed_is_read_on(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "TRIM_BYTES", 0)
    with server(service.world), worker(service.world) as one:
        before = [service.decide(one) for _ in range(5)]
    running = opening.open_of(service.settings, FRAUD)
    assert running.step(0) == 5
    shipping.ship(service.lakehouse, FRAUD)
    service.world.now += 200 * 86_400 * SECOND
    for _ in range(2):  # the first takes a newer base, which a log begins with from then on
        service.tables.night()
        with server(service.world), worker(service.world) as one:
            after = service.decide(one)
        shipping.ship(service.lakehouse, FRAUD)
    with opened.log_of(service.settings, FRAUD) as log:
        assert log.get(log_contents.name(EVENT, before[0])) is None
    while running.step(0):
        pass
    running.commit()
    running.close()
    assert {*before, after} < {*service.rows(TRANSACTIONS)["transaction_id"].to_list()}
    assert service.run().counts.messages == 0


@pytest.mark.parametrize("files_first", [False, True])
def test_a_verdict_that_comes_by_the_stream_and_by_a_file_is_one_row(
    service: Service, tmp_path: Path, files_first: bool
) -> None:
    with server(service.world), worker(service.world) as one:
        id = service.decide(one, tx_datetime=None)
        service.run()
        reviews = LiveReviews(FRAUD, one, 5)
        moments = [reviews.judge(id, "positive", "ann").moment, reviews.judge(id, "negative", "bob").moment]
    reports = tmp_path / "reports.csv"
    reports.write_text("TRANSACTION_ID,TX_FRAUD,FRAUD_REPORTED_AT\n")
    day = (EPOCH + timedelta(microseconds=service.world.now)).date()
    files = {"transactions": ("t.csv",), "reports": (str(reports),)}
    registered_inputs.register(service.settings, FRAUD, Inputs(files, day, day))
    if files_first:
        by_files(service)
    service.run()
    if not files_first:
        by_files(service)
    rows = pl.DataFrame(service.lakehouse.to_arrow(FRAUD.raw_table(FRAUD_REPORTS), filters=[(FRAUD.event_id, "=", id)]))
    found = rows.sort("known_at").select("tx_fraud", "fraud_reported_at", "known_at").rows()
    times = [EPOCH + timedelta(microseconds=each) for each in moments]
    assert found == [(True, times[0], times[0]), (False, times[1], times[1])]


def by_files(service: Service) -> None:
    """The verdicts of the log as a file of a night."""
    shipping.ship(service.lakehouse, FRAUD)
    assert live_verdict_files.register(service.lakehouse, FRAUD) == 1
    inputs = registered_inputs.registered(service.settings, FRAUD)
    now = EPOCH + timedelta(microseconds=service.world.now + SECOND)
    assert inputs is not None
    load.load(service.lakehouse, FRAUD, FRAUD_REPORTS, inputs, as_of=now, now=now)
