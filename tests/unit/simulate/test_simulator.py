"""What the simulated world promises: repeatable days, known rates, and drift that starts on its date and not before."""

from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.simulate.simulator import (
    SCENARIOS,
    World,
    customers,
    reports,
    scenario,
    terminals,
    transactions,
    truth,
    write,
)
from jobs.simulate.world import Fraud, Openings, Reporting, Spending, WorldChange

SMALL = World(seed=3, days=24, customers=150, terminals=60)
# Large enough for rates: 63 days of about 2,300 payments.
TOWN = World(seed=5, days=63, customers=1_500, terminals=1_100)
CHANGE = SMALL.start + timedelta(days=12)
CHANGES = [
    Fraud(skimmed_terminals=0.0, siphoned_share=0.9),
    Fraud(stolen_amounts=(0.2, 0.6), stolen_cards=5.0, takeover_hours=(10.0, 16.0), tested_minutes=60.0),
    Spending(amount=1.3, rate=1.2, roaming=0.3, later_hours=2.0),
    Openings(share=0.5, attraction=0.5, over_days=3),
    Reporting(median_days=20.0, never=0.5),
]


def drifted(world: World, to: Fraud | Spending | Reporting | Openings, since: date = CHANGE) -> World:
    return replace(world, drifts=(WorldChange(since, to),))


def column(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy())


@lru_cache(maxsize=8)
def whole_world(world: World) -> tuple[pa.Table, pa.Table, pa.Table]:
    return transactions(world), truth(world), reports(world)


@pytest.fixture(scope="module")
def town() -> dict[str, np.ndarray]:
    """Payments, truth and the delay in days of the report about each (NaN: none) of TOWN."""
    paid, true, told = transactions(TOWN), truth(TOWN), reports(TOWN)
    told = told.filter(pc.equal(told["TX_FRAUD"], 1))
    at = np.full(paid.num_rows, np.datetime64("NaT", "us"))
    at[np.searchsorted(column(paid, "TRANSACTION_ID"), column(told, "TRANSACTION_ID"))] = column(
        told, "FRAUD_REPORTED_AT"
    )
    when = column(paid, "TX_DATETIME")
    return {
        "when": when,
        "hour": (when - when.astype("datetime64[D]")) / np.timedelta64(1, "h"),
        "day": (when.astype("datetime64[D]") - np.datetime64(TOWN.start)).astype(int),
        "customer": column(paid, "CUSTOMER_ID"),
        "terminal": column(paid, "TERMINAL_ID"),
        "amount": column(paid, "TX_AMOUNT"),
        "fraud": true["IS_FRAUD"].to_numpy(zero_copy_only=False),
        "kind": np.array(true["KIND"].to_pylist()),
        "delay": (at - when) / np.timedelta64(1, "D"),
    }


def test_columns_and_types_are_those_of_the_input_files() -> None:
    instant = pa.timestamp("us", "UTC")
    ids = [("TRANSACTION_ID", pa.int64())]
    assert transactions(SMALL).schema == pa.schema(
        [
            *ids,
            ("TX_DATETIME", instant),
            ("CUSTOMER_ID", pa.int64()),
            ("TERMINAL_ID", pa.int64()),
            ("TX_AMOUNT", pa.float64()),
        ]
    )
    assert reports(SMALL).schema == pa.schema([*ids, ("TX_FRAUD", pa.int8()), ("FRAUD_REPORTED_AT", instant)])
    assert truth(SMALL).schema == pa.schema([*ids, ("IS_FRAUD", pa.bool_()), ("KIND", pa.string())])
    place = [("X", pa.float64()), ("Y", pa.float64()), ("REGION", pa.string())]
    assert customers(SMALL).schema == pa.schema([("CUSTOMER_ID", pa.int64()), *place, ("JOINED_AT", instant)])
    assert terminals(SMALL).schema == pa.schema(
        [("TERMINAL_ID", pa.int64()), *place, ("CATEGORY", pa.string()), ("OPENED_AT", instant)]
    )


def test_the_same_world_gives_the_same_rows_and_another_seed_others() -> None:
    from jobs.simulate import day as simulate_day
    from jobs.simulate import people

    first = [make(SMALL) for make in (transactions, reports, truth, customers, terminals)]
    people.people.cache_clear()
    simulate_day._begun.cache_clear()
    assert first == [make(SMALL) for make in (transactions, reports, truth, customers, terminals)]
    assert transactions(replace(SMALL, seed=4)) != first[0]


@with_examples(10)
@given(offset=st.integers(0, 23), length=st.integers(1, 24), change=st.sampled_from([None, *CHANGES]))
def test_any_days_made_alone_equal_those_days_of_the_whole(offset: int, length: int, change: Fraud | None) -> None:
    world = SMALL if change is None else drifted(SMALL, change)
    first = world.start + timedelta(days=offset)
    last = min(first + timedelta(days=length - 1), world.last_day)
    (whole, all_truth, all_reports), part = whole_world(world), transactions(world, first, last)
    days = pc.cast(whole["TX_DATETIME"], pa.date32())
    inside = pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last)))
    assert part == whole.filter(inside).combine_chunks()
    assert truth(world, first, last) == all_truth.filter(inside).combine_chunks()
    of_part = pc.is_in(all_reports["TRANSACTION_ID"], part["TRANSACTION_ID"].combine_chunks())
    assert reports(world, first, last) == all_reports.filter(of_part)


@pytest.mark.parametrize("change", [None, Openings(share=0.5, attraction=0.5, over_days=30)])
def test_a_shorter_world_is_a_prefix_of_a_longer_one(change: Openings | None) -> None:
    long = SMALL if change is None else drifted(SMALL, change)
    short = replace(long, days=14)
    for make in (transactions, truth):
        assert make(short) == make(long, long.start, short.last_day)
    for profiles, name in ((customers, "JOINED_AT"), (terminals, "OPENED_AT")):
        known = pc.less_equal(pc.cast(profiles(long)[name], pa.date32()), pa.scalar(short.last_day))
        assert profiles(short) == profiles(long).filter(known).combine_chunks()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_drift_shows_from_its_date_and_never_before(change: Fraud | Spending | Openings | Reporting) -> None:
    world, before = drifted(SMALL, change), CHANGE - timedelta(days=1)
    for make in (transactions, truth, reports):
        assert make(world, world.start, before) == make(SMALL, SMALL.start, before)
    after = [make(world, CHANGE, world.last_day) for make in (transactions, truth, reports)]
    assert after != [make(SMALL, CHANGE, SMALL.last_day) for make in (transactions, truth, reports)]


def test_the_latest_change_holds_and_other_rules_stay() -> None:
    later = CHANGE + timedelta(days=3)
    world = replace(SMALL, drifts=(WorldChange(later, Spending(amount=3.0)), WorldChange(CHANGE, Spending(amount=2.0))))
    days = (CHANGE - timedelta(days=1), CHANGE, later)
    assert [world.spending_on(day).amount for day in days] == [1.0, 2.0, 3.0]
    assert world.fraud_on(later) == SMALL.fraud


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_stable_until_its_change(name: str) -> None:
    world = scenario(name, customers=100, terminals=50)
    days = (date(2026, 4, 29), date(2026, 4, 30))
    assert transactions(world, *days) == transactions(replace(world, drifts=()), *days)


def test_the_subtle_change_moves_the_blame_and_not_one_payment() -> None:
    subtle, stable = (scenario(name, customers=1_000, terminals=750) for name in ("subtle", "stable"))
    days = (date(2026, 5, 1), date(2026, 5, 21))
    assert transactions(subtle, *days) == transactions(stable, *days)
    kinds = {world.name: set(truth(world, *days)["KIND"].to_pylist()) for world in (subtle, stable)}
    assert kinds["subtle"] - kinds["stable"] == {"siphoning"}
    share = {
        world.name: pc.mean(pc.cast(truth(world, *days)["IS_FRAUD"], pa.int8())).as_py() for world in (subtle, stable)
    }
    assert share["subtle"] == pytest.approx(share["stable"], rel=0.35)


def test_card_testing_differs_from_harmless_bursts_in_new_terminals_and_a_purchase_alone() -> None:
    world = scenario("card_testing", days=134, customers=700, terminals=525)
    known = transactions(world, world.start, date(2026, 4, 30))
    at_home = set(zip(known["CUSTOMER_ID"].to_pylist(), known["TERMINAL_ID"].to_pylist(), strict=True))
    paid, true = transactions(world, date(2026, 5, 1)), truth(world, date(2026, 5, 1))
    tested = np.array(true["KIND"].to_pylist()) == "card_testing"
    small = column(paid, "TX_AMOUNT") <= 8
    pairs = zip(paid["CUSTOMER_ID"].to_pylist(), paid["TERMINAL_ID"].to_pylist(), strict=True)
    new = np.array([pair not in at_home for pair in pairs])
    who, days = column(paid, "CUSTOMER_ID"), column(paid, "TX_DATETIME").astype("datetime64[D]")
    cases = np.unique(np.stack([who[tested], days[tested].astype(np.int64)]), axis=1).shape[1]
    assert new[tested].mean() > 0.9
    assert new[small & ~tested].mean() < 0.5
    assert 4 <= (tested & small).sum() / cases <= 8
    assert (tested & ~small).sum() == pytest.approx(cases, rel=0.2)


def test_the_volume_of_harmless_bursts_does_not_depend_on_fraud() -> None:
    world = scenario("card_testing", customers=1_000, terminals=750)
    before, after = (date(2026, 3, 1), date(2026, 4, 30)), (date(2026, 5, 1), date(2026, 6, 30))
    harmless = []
    for days in (before, after):
        own = column(transactions(replace(world, spending=Spending()), *days), "TRANSACTION_ID").size
        harmless.append(column(transactions(world, *days), "TRANSACTION_ID").size - own)
    assert harmless[1] == pytest.approx(harmless[0], rel=0.25)
    assert harmless[0] / 61 == pytest.approx(6 * world.spending.bursts, rel=0.2)


def test_ids_are_unique_rise_with_time_and_survive_a_double() -> None:
    paid = transactions(SMALL)
    ids, when = column(paid, "TRANSACTION_ID"), column(paid, "TX_DATETIME")
    assert (np.diff(ids) > 0).all()
    assert (np.diff(when) >= np.timedelta64(0)).all()
    assert ids.max() < 2**53


def test_every_payment_refers_to_a_profile_known_at_its_time() -> None:
    world = drifted(SMALL, Openings(share=0.5, attraction=0.5, over_days=8))
    paid = transactions(world)
    for table, key, since in (
        (customers(world), "CUSTOMER_ID", "JOINED_AT"),
        (terminals(world), "TERMINAL_ID", "OPENED_AT"),
    ):
        known = dict(zip(table[key].to_pylist(), table[since].to_pylist(), strict=True))
        pairs = zip(paid[key].to_pylist(), paid["TX_DATETIME"].to_pylist(), strict=True)
        assert all(known[who] <= when for who, when in pairs)


def test_new_terminals_open_over_the_days_given_and_take_their_share() -> None:
    world = drifted(SMALL, Openings(share=0.5, attraction=0.5, over_days=4))
    first_new = terminals(replace(SMALL, days=730)).num_rows
    paid = transactions(world, CHANGE + timedelta(days=4), world.last_day)
    assert np.mean(column(paid, "TERMINAL_ID") >= first_new) == pytest.approx(0.5, abs=0.06)


def test_the_smallest_world_runs() -> None:
    world = World(days=60, customers=1, terminals=12, fraud=Fraud(tested_cards=900.0, takeovers=900.0))
    assert {"card_testing", "takeover"} <= set(truth(world)["KIND"].to_pylist())


def test_amounts_are_money(town: dict[str, np.ndarray]) -> None:
    assert (town["amount"] >= 0.5).all()
    assert np.allclose(np.round(town["amount"], 2), town["amount"], rtol=0, atol=1e-9)


def test_people_sleep_at_night_and_pay_most_on_saturday(town: dict[str, np.ndarray]) -> None:
    good = ~town["fraud"]
    assert np.mean(town["hour"][good] < 6) < 0.05
    weekday = (town["day"] + TOWN.start.weekday()) % 7
    per_day = np.bincount(weekday) / 9
    assert per_day.argmax() == 5
    assert per_day[5] / per_day[1] == pytest.approx(1.19 / 0.92, rel=0.05)


def test_people_pay_near_their_home(town: dict[str, np.ndarray]) -> None:
    home, shop = (
        np.column_stack([table["X"], table["Y"]]) for table in (customers(TOWN), terminals(replace(TOWN, days=730)))
    )
    distance = np.hypot(*(home[town["customer"]] - shop[town["terminal"]]).T)
    assert np.median(distance[~town["fraud"]]) < 6
    assert np.median(distance[town["kind"] == "stolen_card"]) > 25


def test_somewhat_less_than_one_percent_is_fraud_of_every_kind(town: dict[str, np.ndarray]) -> None:
    assert 0.006 < town["fraud"].mean() < 0.012
    kinds = dict(zip(*np.unique(town["kind"], return_counts=True), strict=True))
    assert set(kinds) == {"legitimate", "skimming", "stolen_card", "card_testing", "takeover"}
    assert min(kinds.values()) > 50
    assert kinds["skimming"] == max(kinds[kind] for kind in kinds if kind != "legitimate")


def test_each_kind_of_fraud_has_its_own_look(town: dict[str, np.ndarray]) -> None:
    usual = np.bincount(town["customer"], town["amount"]) / np.bincount(town["customer"])
    ratio, hour, kind = town["amount"] / usual[town["customer"]], town["hour"], town["kind"]
    assert (hour[kind == "takeover"] < 5).all()
    assert np.median(ratio[kind == "stolen_card"]) > 3
    assert np.median(ratio[kind == "skimming"]) < 1.5
    assert np.median(town["amount"][kind == "card_testing"]) < 2.5
    blamed = np.bincount(town["terminal"], kind == "skimming")
    assert blamed[blamed > 0].mean() > 10


def test_investigations_are_late_and_some_frauds_are_never_reported(town: dict[str, np.ndarray]) -> None:
    delay = town["delay"][town["fraud"]]
    told = delay[~np.isnan(delay)]
    assert np.isnan(delay).mean() == pytest.approx(TOWN.reporting.never, abs=0.03)
    assert told.min() > 0
    assert np.median(told) == pytest.approx(TOWN.reporting.median_days, rel=0.12)
    # A lognormal's 95th percentile is median * exp(1.645 sigma).
    assert np.quantile(told, 0.95) == pytest.approx(4.0 * np.exp(1.645 * 0.9), rel=0.2)


def test_good_payments_are_blamed_only_where_the_world_says_so(town: dict[str, np.ndarray]) -> None:
    assert np.isnan(town["delay"][~town["fraud"]]).all()


def test_a_withdrawn_report_is_followed_by_a_second_one_of_the_same_id() -> None:
    world = replace(SMALL, reporting=Reporting(withdrawn=0.02, disputed=0.01))
    told = reports(world).to_pylist()
    bad = {row["TRANSACTION_ID"] for row in truth(world).to_pylist() if row["IS_FRAUD"]}
    versions: dict[int, list[int]] = {}
    for row in told:
        versions.setdefault(row["TRANSACTION_ID"], []).append(row["TX_FRAUD"])
    assert {tuple(verdicts) for key, verdicts in versions.items() if key in bad} == {(1,)}
    assert {tuple(verdicts) for key, verdicts in versions.items() if key not in bad} == {(1, 0), (0,)}


def test_slower_reports_change_nothing_but_reports() -> None:
    slow = drifted(TOWN, Reporting(median_days=12.0, never=0.3), TOWN.start)
    days = (TOWN.start, TOWN.start + timedelta(days=13))
    assert transactions(slow, *days) == transactions(TOWN, *days)
    late, usual = reports(slow, *days), reports(TOWN, *days)
    assert late.num_rows < usual.num_rows
    when = dict(zip(usual["TRANSACTION_ID"].to_pylist(), usual["FRAUD_REPORTED_AT"].to_pylist(), strict=True))
    assert all(when[row["TRANSACTION_ID"]] < row["FRAUD_REPORTED_AT"] for row in late.to_pylist())


@pytest.mark.parametrize(("file_format", "read"), [("parquet", pq.read_table), ("csv", pyarrow.csv.read_csv)])
def test_files_hold_the_tables(tmp_path: Path, file_format: str, read: object) -> None:
    seen: list[tuple[int, int]] = []
    files = write(
        SMALL, tmp_path / "out", file_format, truth=True, progress=lambda done, days: seen.append((done, days))
    )
    assert seen == [(day, 24) for day in range(1, 25)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{file_format}" for name in files
    )
    for name, make in {
        "transactions": transactions,
        "reports": reports,
        "customers": customers,
        "truth": truth,
    }.items():
        assert read(files[name]).cast(make(SMALL).schema) == make(SMALL)  # type: ignore[operator]


def test_the_truth_is_written_only_when_asked_for(tmp_path: Path) -> None:
    assert "truth" not in write(replace(SMALL, days=2), tmp_path)
    assert not (tmp_path / "truth.parquet").exists()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(replace(SMALL, days=2), tmp_path)
    old = pq.read_table(tmp_path / "transactions.parquet")

    def fail(table: pa.Table, where: Path, **options: object) -> None:
        Path(where).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="No space"):
        write(SMALL, tmp_path)
    monkeypatch.undo()
    assert pq.read_table(tmp_path / "transactions.parquet") == old
    assert len(list(tmp_path.iterdir())) == 4


def test_errors_say_what_was_expected_and_found(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of stable, .* found 'calm'"):
        scenario("calm")
    with pytest.raises(ValueError, match="expected parquet or csv, found 'xlsx'"):
        write(SMALL, tmp_path, "xlsx")
    with pytest.raises(ValueError, match="days: expected a range within 2026-01-01"):
        transactions(SMALL, date(2025, 12, 31), date(2026, 1, 2))
    with pytest.raises(ValueError, match="terminals: expected at least 12, found 3"):
        World(terminals=3)
