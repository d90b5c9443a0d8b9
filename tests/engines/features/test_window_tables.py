"""Window features on tables: both engines give the kernel's values, and an update gives what a full run gives."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.mart_rows import plain, same, versions

from jobs.features import window_runs, window_tables
from jobs.features.window_kernel import compute
from jobs.lakehouse.tables import Lakehouse
from jobs.window_lengths import BEFORE, Last, Trend
from jobs.windows import Aggregate, Ratio, WindowFeatures

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS, LABELS, TARGET = "fraud.transactions", "fraud.labels", "fraud_features.windows"
LOG = "fraud_serving.prediction_log"
TIMES: dict[str, Any] = {"known_at": pl.Datetime("us", "UTC"), "superseded_at": pl.Datetime("us", "UTC")}
EVENT_TYPES: dict[str, Any] = TIMES | {
    "transaction_id": pl.Int64,
    "tx_datetime": pl.Datetime("us", "UTC"),
    "customer_id": pl.String,
    "tx_amount": pl.Float64,
    "version": pl.Int32,
    "loaded_in": pl.Int64,
    "event_date": pl.Date,
}
LABEL_TYPES: dict[str, Any] = TIMES | {
    "transaction_id": pl.Int64,
    "tx_datetime": pl.Datetime("us", "UTC"),
    "customer_id": pl.String,
    "is_fraud": pl.Boolean,
    "loaded_in": pl.Int64,
    "event_date": pl.Date,
}
FEATURES = WindowFeatures(
    "windows",
    "customer_id",
    "transaction_id",
    "tx_datetime",
    (
        Aggregate("count", windows=(DAY, 3 * DAY), name="nb_tx"),
        Aggregate("mean", "tx_amount", (DAY, 3 * DAY)),
        Aggregate("max", "tx_amount", (3 * DAY,)),
        Aggregate("std", "tx_amount", (3 * DAY,)),
        Aggregate("distinct", "tx_amount", (3 * DAY,)),
        Aggregate("rate", "is_fraud", (3 * DAY,), 2 * DAY, of="labels", empty=0.0),
        Aggregate("last_age", windows=(4 * DAY,), of="labels", where=("is_fraud", True), name="last_fraud_age"),
        Aggregate("streak", "is_fraud", (4 * DAY,), of="labels"),
        Aggregate("streak_age", "is_fraud", (4 * DAY,), of="labels"),
        Aggregate("mean", "tx_amount", (3 * DAY,), SECOND, where=("to_level", "<=", 1.2), name="usual"),
        Aggregate("max", "to_level", (2 * DAY,)),
    ),
    ratios=(Ratio("to_level", "tx_amount", Aggregate("mean", "tx_amount", (2 * DAY,), SECOND)),),
)


PAIRS = replace(
    FEATURES,
    entity=("customer_id", "terminal_id"),
    aggregates=(
        Aggregate("count", windows=(6 * HOUR, 3 * DAY), delay=BEFORE),
        Aggregate("last_age", windows=(3 * DAY,), delay=BEFORE),
        Aggregate("count", windows=(3 * DAY,), where=(("tx_amount", ">", 5), ("tx_amount", "<=", 60))),
        Aggregate("percentile", "tx_amount", (3 * DAY, Last(2, 3 * DAY)), percentile=0.9),
        Aggregate("mean", "tx_amount", (Last(2, 4 * DAY), Trend(DAY, 3 * DAY))),
        Aggregate("count", windows=(4 * DAY,), of="labels", where=("is_fraud", True)),
    ),
    ratios=(),
)


class World:
    """Raw versions of events and labels, and the marts dbt would make of them, load by load."""

    labels_are_where_events_end = False

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.events: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.load = 0

    def grow(self, first_day: int, days: int) -> None:
        """One load: new transactions (some late, some known earlier than what we have), corrections, reports."""
        chance, self.load = self.random, self.load + 1
        when = lambda: START + chance.uniform(first_day, first_day + days) * DAY  # noqa: E731
        for _ in range(chance.randint(3, 12)):
            happened = START + timedelta(seconds=round((when() - START).total_seconds()))
            if chance.random() < 0.2:
                happened -= chance.randint(1, 6) * DAY
            late = chance.choice([0, 0, 0, 0.001, 1, 5]) * DAY
            self._event(len({e["transaction_id"] for e in self.events}), happened, happened + late)
        for event in chance.sample(self.events, min(3, len(self.events))):
            happened = event["tx_datetime"] + chance.choice([0, 0, -2, 1]) * DAY
            known = event["known_at"] + chance.choice([-0.5, 0.3, 2, 9]) * DAY
            self._event(event["transaction_id"], happened, known)
        for event in chance.sample(self.events, min(6, len(self.events))):
            known = event["tx_datetime"] + chance.choice([-1, 0, 0.01, 1, 2, 6]) * DAY
            number = event["transaction_id"]
            if not any(r["transaction_id"] == number and r["known_at"] == known for r in self.reports):
                report = {"transaction_id": number, "known_at": known, "is_fraud": chance.random() < 0.7}
                self.reports.append(report | {"loaded_in": self.load})

    def _event(self, number: int, happened: datetime, known: datetime) -> None:
        if any(e["transaction_id"] == number and e["known_at"] == known for e in self.events):
            return
        customer = self.random.choice(["a", "a", "b", "c", None])
        amount = self.random.choice([round(self.random.uniform(1, 99), 2), 1e12, None])
        values = {"tx_datetime": happened, "customer_id": customer, "tx_amount": amount}
        self.events.append({"transaction_id": number, "known_at": known, "loaded_in": self.load} | values)

    def add(self, number: int, happened: datetime) -> None:
        """One transaction of one customer, known at once."""
        row = {"transaction_id": number, "known_at": happened, "tx_datetime": happened, "customer_id": "a"}
        self.events.append(row | {"tx_amount": 1.0 + number, "loaded_in": self.load})

    def marts(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        events = versions(self.events, "transaction_id")
        for event in events:
            event["event_date"] = event["tx_datetime"].date()
        labels = [
            placed for label in versions(self.reports, "transaction_id") for placed in self._placed(label, events)
        ]
        return pl.DataFrame(events, schema=EVENT_TYPES), pl.DataFrame(labels, schema=LABEL_TYPES)

    def _placed(self, label: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A label where each version of its event is, in turn; or where the last is, as SQL may have it."""
        mine = [event for event in events if event["transaction_id"] == label["transaction_id"]]
        first, last = mine[0], mine[-1]
        if self.labels_are_where_events_end:
            mine = [last | {"version": 1}]
        rows = []
        for event in mine:
            known = label["known_at"] if event["version"] == 1 else max(label["known_at"], event["known_at"])
            ends = [row["superseded_at"] for row in (label, event) if row["superseded_at"] is not None]
            if known < min(ends, default=known + DAY):
                loaded = max(label["loaded_in"], last["loaded_in"])
                place = {name: event[name] for name in ("tx_datetime", "customer_id")}
                about = {"known_at": known, "superseded_at": min(ends, default=None), "loaded_in": loaded}
                rows.append(
                    {name: (label | place | about | {"event_date": first["event_date"]})[name] for name in LABEL_TYPES}
                )
        return rows

    def marts_of_pairs(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """With a second column of the entity, sometimes null."""
        number = pl.col("transaction_id") % 3
        events, labels = (mart.with_columns(terminal_id=pl.when(number < 2).then(number)) for mart in self.marts())
        return events, labels


def put(lakehouse: Lakehouse, events: pl.DataFrame, labels: pl.DataFrame) -> None:
    for table, frame in ((EVENTS, events), (LABELS, labels)):
        write_deltalake(lakehouse.path(table), frame.to_arrow(), mode="overwrite", partition_by=["event_date"])


def expected(events: pl.DataFrame, labels: pl.DataFrame, as_of: datetime, features: WindowFeatures) -> pl.DataFrame:
    """The kernel over everything that was known."""
    known = pl.max_horizontal("known_at", "tx_datetime") <= as_of
    events = events.filter(known).with_columns(is_target=pl.col("version") == 1)
    rows = compute(features, plain(events), plain(labels.filter(known)))
    return pl.DataFrame(rows).sort("transaction_id")


def update(lakehouse: Lakehouse, as_of: datetime, features: WindowFeatures = FEATURES) -> window_tables.Result:
    return window_tables.update(lakehouse, features, EVENTS, LABELS, TARGET, as_of, decisions=LOG)


def stored(lakehouse: Lakehouse) -> pl.DataFrame:
    return pl.DataFrame(lakehouse.to_arrow(TARGET)).sort("transaction_id")


# Apache Spark takes seconds per update: the engines agree on values elsewhere, so one world is enough there.
WORLDS = [
    *(pytest.param("sail", seed, 5) for seed in (*range(6), 18)),
    pytest.param("spark", 0, 2, marks=pytest.mark.spark),
]


@pytest.mark.parametrize(("engine_name", "seed", "steps"), WORLDS, indirect=["engine_name"])
def test_updates_after_late_and_corrected_rows_equal_a_full_recomputation(
    lakehouse: Lakehouse, seed: int, steps: int
) -> None:
    world = World(seed)
    for step in range(steps):
        world.grow(2 * step, 2)
        events, labels = world.marts()
        put(lakehouse, events, labels)
        as_of = START + (2 * step + 2) * DAY
        result = update(lakehouse, as_of)
        same(stored(lakehouse), expected(events, labels, as_of, FEATURES))
        assert update(lakehouse, as_of).rows_written == 0
        assert lakehouse.version(TARGET) == result.version


# In these worlds the label of a moved event was counted at the old place before the event was known there.
@pytest.mark.embedded
@pytest.mark.parametrize("seed", [0, 18])
def test_labels_that_are_where_their_events_end_are_counted_there(
    lakehouse: Lakehouse, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "labels_are_where_events_end", True)
    test_updates_after_late_and_corrected_rows_equal_a_full_recomputation(lakehouse, seed, 5)


# On Spark, `test_both_engines.py` has a table of pairs.
@pytest.mark.embedded
@pytest.mark.parametrize("seed", [1, 18])
def test_updates_of_pairs_equal_a_full_recomputation(lakehouse: Lakehouse, seed: int) -> None:
    world = World(seed)
    for step in range(4):
        world.grow(2 * step, 2)
        events, labels = world.marts_of_pairs()
        put(lakehouse, events, labels)
        as_of = START + (2 * step + 2) * DAY
        update(lakehouse, as_of, PAIRS)
        same(stored(lakehouse), expected(events, labels, as_of, PAIRS))
        assert update(lakehouse, as_of, PAIRS).rows_written == 0


def decided(lakehouse: Lakehouse, world: World, log: dict[int, datetime]) -> None:
    """Some events more are shipped as decided: a little before, at, after, or days after their event time."""
    chance, new = world.random, {}
    for event in chance.sample(world.events, min(5, len(world.events))):
        away = chance.choice([-HOUR, timedelta(0), SECOND, SECOND, DAY, 4 * DAY])
        if event["transaction_id"] not in log:
            new[event["transaction_id"]] = event["tx_datetime"] + away + chance.random() * SECOND
    shipped(lakehouse, new)
    log |= new


def shipped(lakehouse: Lakehouse, stamps: dict[int, datetime]) -> None:
    """Rows of decisions in the prediction log, by id, and nightly ones of the same days."""
    online = [{"transaction_id": id, "scored_at": stamp, "origin": "online"} for id, stamp in stamps.items()]
    nightly = [row | {"scored_at": START, "origin": "nightly"} for row in online]
    rows = pl.DataFrame(online + nightly, schema_overrides={"scored_at": pl.Datetime("us", "UTC")})
    # A client told another time than the file: the day is not that of the event.
    rows = rows.with_columns(event_date=START.date() + pl.duration(days=pl.col("transaction_id") % 5))
    write_deltalake(lakehouse.path(LOG), rows.to_arrow(), mode="append", partition_by=["event_date"])


def stamped(events: pl.DataFrame, log: dict[int, datetime], as_of: datetime) -> pl.DataFrame:
    """The rule, word for word: a stamped event is known and decided at its stamp, once that is past; a correction has
    its own time."""
    rows = events.with_columns(decided_at=pl.lit(None, pl.Datetime("us", "UTC"))).to_dicts()
    for row in rows:
        if row["version"] == 1 and log.get(row["transaction_id"], as_of + DAY) <= as_of:
            row["known_at"] = row["decided_at"] = log[row["transaction_id"]]
    return pl.DataFrame(rows, schema=EVENT_TYPES | {"decided_at": pl.Datetime("us", "UTC")})


@pytest.mark.embedded
@pytest.mark.parametrize("seed", range(8))
def test_updates_after_decisions_that_are_shipped_late_equal_a_full_recomputation(
    lakehouse: Lakehouse, seed: int
) -> None:
    world, log = World(seed), dict[int, datetime]()
    for step in range(5):
        world.grow(2 * step, 2)
        events, labels = world.marts()
        put(lakehouse, events, labels)
        if step != 1:
            decided(lakehouse, world, log)
        as_of = START + (2 * step + 2) * DAY
        update(lakehouse, as_of)
        same(stored(lakehouse), expected(stamped(events, log, as_of), labels, as_of, FEATURES))
        assert update(lakehouse, as_of).rows_written == 0


@pytest.mark.embedded
def test_an_event_that_is_decided_weeks_later_counts_what_was_there_then(lakehouse: Lakehouse) -> None:
    world, log = World(0), {0: START + 20 * DAY, 1: START + 30 * DAY}
    for number, day in enumerate((1.0, 5.0)):
        world.add(number, START + day * DAY)
    for late, day in (([], 21), ([(2, 19.5)], 21), ([(3, 1.5)], 21), (None, 31)):
        # A row of the day of the decision; one of the event's own day; nothing new but that the other is decided now.
        if late is not None:
            world.load += 1
            for number, at in late:
                world.add(number, START + at * DAY)
            put(lakehouse, *world.marts())
            if not late:
                shipped(lakehouse, log)
        events, labels = world.marts()
        as_of = START + day * DAY
        update(lakehouse, as_of)
        wanted = expected(stamped(events, log, as_of), labels, as_of, FEATURES)
        assert wanted.height == len(world.events)
        same(stored(lakehouse), wanted)


@pytest.mark.embedded
def test_rows_that_become_known_later_appear_without_a_new_load(lakehouse: Lakehouse) -> None:
    world = World(7)
    world.grow(0, 6)
    events, labels = world.marts()
    put(lakehouse, events, labels)
    for as_of in (START + half * DAY / 2 for half in (2, 3, 9, 40)):
        update(lakehouse, as_of)
        same(stored(lakehouse), expected(events, labels, as_of, FEATURES))


def test_a_new_day_writes_that_day_and_nothing_new_writes_nothing(lakehouse: Lakehouse) -> None:
    rows = [
        {"transaction_id": n, "known_at": START + n * DAY / 4, "tx_datetime": START + n * DAY / 4, "customer_id": "a"}
        | {"tx_amount": float(n), "version": 1, "loaded_in": 1, "event_date": (START + n * DAY / 4).date()}
        for n in range(40)
    ]
    events, labels = pl.DataFrame(rows, schema=EVENT_TYPES), pl.DataFrame(schema=LABEL_TYPES)
    put(lakehouse, events.head(36), labels)
    first = update(lakehouse, START + 9 * DAY)
    assert (first.rows_written, len(first.days)) == (36, 9)
    put(lakehouse, events.with_columns(loaded_in=pl.when(pl.col("transaction_id") < 36).then(1).otherwise(2)), labels)
    second = update(lakehouse, START + 10 * DAY)
    assert second.rows_written == 4 and second.days == (date(2026, 3, 10),)
    assert second.version == first.version + 1
    assert update(lakehouse, START + 11 * DAY) == window_tables.Result(0, (), second.version)
    assert update(lakehouse, START + 2 * DAY) == window_tables.Result(0, (), second.version)
    same(stored(lakehouse), expected(events, labels, START + 10 * DAY, FEATURES))


@pytest.mark.embedded
def test_events_known_only_now_add_files_to_their_days_and_rewrite_none(lakehouse: Lakehouse) -> None:
    world = World(2)
    world.load += 1
    for number in range(40):
        world.add(number, START + number * DAY / 4)
    put(lakehouse, *world.marts())
    update(lakehouse, START + 10 * DAY)
    before = lakehouse.files(TARGET)
    world.load += 1
    for number in range(40, 48):
        world.add(number, START + (number - 40) * DAY)
        world.events[-1]["known_at"] = START + 10 * DAY + SECOND
    put(lakehouse, *world.marts())
    result = update(lakehouse, START + 11 * DAY)
    assert (result.rows_written, len(result.days)) == (8, 8)
    assert lakehouse.files(TARGET).items() >= before.items()
    same(stored(lakehouse), expected(*world.marts(), START + 11 * DAY, FEATURES))


@pytest.mark.embedded
def test_tables_that_only_the_engine_can_read_give_the_same_values(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lakehouse, "scan", lambda *_: None)
    world = World(5)
    for step in range(3):
        world.grow(2 * step, 2)
        put(lakehouse, *world.marts())
        as_of = START + (2 * step + 2) * DAY
        update(lakehouse, as_of)
        same(stored(lakehouse), expected(*world.marts(), as_of, FEATURES))


@pytest.mark.embedded
def test_a_changed_declaration_recomputes_the_table(lakehouse: Lakehouse) -> None:
    world = World(11)
    world.grow(0, 5)
    put(lakehouse, *world.marts())
    update(lakehouse, START + 9 * DAY)
    changed = WindowFeatures(
        "windows", "customer_id", "transaction_id", "tx_datetime", (Aggregate("sum", "tx_amount", (DAY,)),)
    )
    update(lakehouse, START + 9 * DAY, changed)
    same(stored(lakehouse), expected(*world.marts(), START + 9 * DAY, changed))


def test_any_number_of_buckets_gives_the_same_bits(lakehouse: Lakehouse) -> None:
    world = World(3)
    for step in range(4):
        world.grow(step, 2)
    events, labels = world.marts()
    put(lakehouse, events, labels)
    wanted = expected(events, labels, START + 99 * DAY, FEATURES)
    for buckets in (1, 3, 16):
        rows = window_runs.run(lakehouse, FEATURES, lakehouse.read(EVENTS), lakehouse.read(LABELS), buckets=buckets)
        table = rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows.toArrow()
        same(pl.DataFrame(table).sort("transaction_id"), wanted)


@pytest.mark.embedded
def test_a_time_without_a_zone_is_refused(lakehouse: Lakehouse) -> None:
    with pytest.raises(ValueError, match="time with a zone"):
        update(lakehouse, datetime(2026, 3, 1))
