"""Counts against brute force, distances against their definitions, and alarms: planted drifts on their first day, and
never in stable worlds with weekly rhythm, slow growth, days that differ, and small days."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.drift import detector
from jobs.drift.detector import Drift, Reference, judge, reference
from jobs.drift.drift_kernel import MISSING, bins_of, counter, edges_of
from jobs.drift.histograms import Histograms, expected, histograms
from jobs.models.features import hashed, rows_of
from jobs.models.texts import compared, compared_names
from jobs.stats.divergences import jensen_shannon, kolmogorov_smirnov, stability_index

START = date(2026, 1, 1)
Columns = dict[str, np.ndarray[Any, Any]]
Change = Callable[[Columns, np.random.Generator], Columns]
SMALLEST = float(np.finfo(np.float32).min)
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 0.1, -3.5, 2.0**24]), st.floats(width=32, allow_nan=False))
ROWS = st.lists(st.tuples(st.integers(0, 3), VALUES, VALUES), min_size=1, max_size=40)


def table(rows: list[Any]) -> pa.Table:
    days, some, other = zip(*rows, strict=True)
    return pa.table(
        {
            "day": pa.array([START + timedelta(days=n) for n in days], pa.date32()),
            "some": pa.array(some, pa.float64()),
            "other": pa.array(other, pa.float32()),
        }
    )


def counted(rows: pa.Table, edges: dict[str, Any], batch: int) -> pa.Table:
    batches = rows.to_batches(max_chunksize=batch)
    return pa.Table.from_batches(counter(edges, "day")(iter(batches)))


@given(ROWS, ROWS, st.integers(1, 9))
@example([(0, None, SMALLEST)], [(0, None, SMALLEST)], 1)
def test_counts_of_any_batches_add_up_to_those_of_a_brute_force(reference: Any, rows: Any, batch: int) -> None:
    known, found = table(reference), table(rows)
    edges = {name: edges_of(known.column(name).to_numpy(), bins=4) for name in ("some", "other")}
    expected: Counter[tuple[date, str, int]] = Counter()
    for row in found.to_pylist():
        for name, cuts in edges.items():
            value = row[name]
            bin = MISSING if value is None else sum(np.float32(value) > cut for cut in cuts)
            expected[(row["day"], name, int(bin))] += 1
    sums = pl.DataFrame(counted(found, edges, batch)).group_by("day", "feature", "bin").agg(pl.col("rows").sum())
    assert {row[:3]: row[3] for row in sums.iter_rows()} == dict(expected)
    dense = histograms(counted(found, edges, batch), edges)
    assert dense.counts.sum() == 2 * len(rows) and dense.rows.sum() == len(rows)


def test_rows_without_a_day_and_empty_batches_count_nothing() -> None:
    rows = pa.table({"day": pa.array([None, None], pa.date32()), "some": [1.0, 2.0]})
    assert counted(rows, {"some": edges_of(np.array([1.0, 2.0]))}, 2).num_rows == 0


@given(st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=1, max_size=50))
def test_each_of_few_values_has_a_bin_that_nothing_else_falls_into(values: list[float]) -> None:
    edges = edges_of(np.array(values))
    own = bins_of(np.array(sorted(set(values))), edges)
    strangers = bins_of(np.array([-1.0, 0.05, 0.5, 3.0, 9.0]), edges)
    assert len(set(own.tolist())) == len(set(values)) and not set(own.tolist()) & set(strangers.tolist())


def test_bins_hold_the_same_number_of_rows_but_for_ties_at_zero() -> None:
    generator = np.random.default_rng(0)
    values = np.where(generator.random(20_000) < 0.4, 0, generator.lognormal(0, 1, 20_000))
    counts = np.bincount(bins_of(values, edges_of(values)))
    assert counts.max() == (values == 0).sum()
    assert sorted(counts)[-2] <= 1100 and 11 <= np.count_nonzero(counts) <= 14


def test_single_and_double_precision_share_a_bin() -> None:
    values = np.array([0.1, 0.2, 0.3])
    assert (
        bins_of(values, edges_of(values.astype(np.float32))) == bins_of(values.astype(np.float32), edges_of(values))
    ).all()


SHARES = st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any).map(lambda n: np.array(n) / sum(n))


@given(SHARES, SHARES)
def test_distances_are_those_of_their_definitions(p: Any, q: Any) -> None:
    middle = (p + q) / 2
    entropy = [sum(a * np.log2(a / m) for a, m in zip(x, middle, strict=True) if a) for x in (p, q)]
    assert jensen_shannon(p, q) == pytest.approx(max(sum(entropy) / 2, 0) ** 0.5, abs=1e-7)
    assert kolmogorov_smirnov(p, q) == pytest.approx(max(abs(p[:n].sum() - q[:n].sum()) for n in range(5)))
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p)) and 0 <= jensen_shannon(p, q) <= 1 + 1e-12
    assert stability_index(p, q, 0.01) == pytest.approx(
        sum((max(b, 0.01) - max(a, 0.01)) * np.log(max(b, 0.01) / max(a, 0.01)) for a, b in zip(p, q, strict=True))
    )


def payments(generator: np.random.Generator, n: int, rows: int) -> Columns:
    """A day of a world with all that is no drift: weekends are later and larger, days differ a little in what is paid,
    customers get older, terminals' means wander from day to day and never return."""
    weekend = (START + timedelta(days=n)).weekday() >= 5
    amount = generator.lognormal(3 + 0.1 * weekend + generator.normal(0, 0.02), 0.9, rows)
    return {
        "amount": amount.round(2),
        "hour": (generator.normal(12 + 3 * weekend, 4, rows)) % 24,
        "count": generator.poisson(np.exp(generator.normal(1, 0.6, rows))).astype(float),
        "age": generator.uniform(0, 200 + n, rows),
        "category": generator.choice(5, rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(float),
        "rate": np.where(generator.random(rows) < 0.3, np.nan, np.where(generator.random(rows) < 0.9, 0, amount % 1)),
        "constant": np.ones(rows),
        "score": 1 / (1 + np.exp(4 - np.log(amount) + generator.normal(0, 0.5, rows))),
    }


def world(seed: int, days: int, rows: int = 2000, since: int = 10**6, change: Change | None = None) -> Histograms:
    generator = np.random.default_rng(seed)
    made: list[Columns] = []
    for n in range(days):
        # Volume grows, too.
        day = payments(generator, n, int(rows * (1 + 0.002 * n)))
        made.append(change(day, generator) if change and n >= since else day)
    days_of = np.repeat(np.arange(days), [len(day["amount"]) for day in made])
    columns = {name: np.concatenate([day[name] for day in made]) for name in made[0]}
    known = days_of < 56
    edges = {name: edges_of(values[known]) for name, values in columns.items()}
    stamps = np.datetime64(START) + days_of
    return histograms(counted(pa.table({"day": stamps.astype("datetime64[D]"), **columns}), edges, 50_000), edges)


def day(n: int) -> date:
    return START + timedelta(days=n)


def judged(whole: Histograms, known: Reference, first: int, last: int) -> list[Drift]:
    return [judge(known, whole.until(day(n), day(56))) for n in range(first, last + 1)]


@pytest.fixture(scope="module")
def known() -> Reference:
    return reference(world(0, 56).until(day(55)))


@pytest.mark.parametrize("seed", range(4))
def test_a_stable_world_raises_no_alarm(seed: int) -> None:
    whole = world(seed, 56 + 60)
    found = judged(whole, reference(whole.until(day(55))), 56, 115)
    assert not [each for each in found if each.alarm or each.named or each.votes]
    assert all(each.judged == detector.WINDOWS for each in found)
    assert max(each.score for each in found) < 0.95


def test_features_that_are_made_of_labels_alarm_later(known: Reference) -> None:
    def jump(columns: Columns, generator: np.random.Generator) -> Columns:
        return columns | {"amount": columns["amount"] * 1.5}

    today = world(0, 58, since=57, change=jump).until(day(57), day(56))
    plain, cautious = judge(known, today), judge(known, today, {"amount"})
    for name in plain.features:
        line = detector.LABEL_FEATURES_FACTOR if name == "amount" else 1.0
        assert cautious.features[name].score == pytest.approx(plain.features[name].score / line)
    assert "amount" in plain.named


def test_a_shorter_reference_raises_no_alarm_either() -> None:
    whole = world(5, 56 + 60)
    short = reference(whole.until(day(55), day(14)))
    assert not [each for each in judged(whole, short, 56, 115) if each.alarm]


def replacing(name: str, new: Callable[[np.ndarray[Any, Any], np.random.Generator], Any]) -> Change:
    return lambda columns, generator: {**columns, name: new(columns[name], generator)}


def some(share: float, value: float) -> Callable[[np.ndarray[Any, Any], np.random.Generator], Any]:
    return lambda values, generator: np.where(generator.random(len(values)) < share, value, values)


PLANTED = {
    "amounts 1.3 times as large": ("amount", replacing("amount", lambda values, _: values * 1.3)),
    "amounts in cents": ("amount", replacing("amount", lambda values, _: values * 100)),
    "another time zone": ("hour", replacing("hour", lambda values, _: (values + 2) % 24)),
    "a category vanishes": ("category", replacing("category", lambda values, _: np.where(values == 2, 0, values))),
    "a value of ten jumps to missing": ("rate", replacing("rate", some(0.15, np.nan))),
    "missing where nothing was": ("count", replacing("count", some(0.05, np.nan))),
    "a tenth from a new group": ("count", replacing("count", some(0.1, 0.0))),
    "a constant that is none any more": ("constant", replacing("constant", some(0.05, 2.0))),
    "a model that scores higher": ("score", replacing("score", lambda values, _: values * 1.5)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_drift_alarms_on_its_first_day_by_its_name(name: str) -> None:
    feature, change = PLANTED[name]
    whole = world(9, 66, since=63, change=change)
    found = judged(whole, reference(whole.until(day(55))), 62, 65)
    assert [each.alarm for each in found] == [False, True, True, True]
    assert found[1].named == (feature,) and 1 in found[1].votes and found[1].day == day(63)


KIND_NAMES = ("shop", "words[0]", "words[1]", "amount")
SHOPS = np.array([*(f"shop {n}" for n in range(8)), "new"])
USUAL = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05, 0])


def of_kinds(days: int, since: int, shares: Any = USUAL, moved: float = 0.0) -> Histograms:
    """Days with a category, a vector and a number as they are counted: texts by their hash, elements by themselves."""
    generator, tables = np.random.default_rng(11), []
    for n in range(days):
        shops = generator.choice(SHOPS, 1500, p=shares if n >= since else USUAL)
        words = generator.normal(size=(1500, 2)).astype(np.float32) + np.array([0, moved if n >= since else 0])
        amount = generator.lognormal(size=1500).astype(np.float32)
        columns = [pa.array(shops.tolist()), words[:, 0].astype(np.float32), words[:, 1].astype(np.float32), amount]
        values = hashed(rows_of(columns, 1500, 4))
        tables.append(pa.table({"day": [day(n)] * 1500, **dict(zip(KIND_NAMES, values.T, strict=True))}))
    stable = pa.concat_tables(tables[:56])
    edges = {name: edges_of(stable[name].to_numpy()) for name in KIND_NAMES}
    return histograms(counted(pa.concat_tables(tables), edges, 50_000), edges)


@pytest.mark.parametrize(("changed", "named"), [
    ({}, ()),
    ({"shares": np.array([0.2, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.15, 0])}, ("shop",)),
    ({"shares": np.array([0.25, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])}, ("shop",)),
    ({"moved": 0.5}, ("words",)),
], ids=["nothing", "shares", "a new value", "an element"])  # fmt: skip
def test_a_category_and_a_vector_are_one_feature_each_and_alarm(
    changed: dict[str, Any], named: tuple[str, ...]
) -> None:
    whole = of_kinds(60, since=58, **changed)
    found = judged(whole, reference(whole.until(day(55))), 57, 58)
    assert [each.named for each in found] == [(), named] and [*found[0].features] == ["shop", "words", "amount"]


def notes(days: int, since: int, share: float = 0.0, longer: int = 0) -> Histograms:
    """Days with a text, of which from `since` on a share has a new word, or all are longer."""
    generator, tables, names = np.random.default_rng(12), [], ("note[words]", "amount")
    for n in range(days):
        words = generator.integers(0, 300, (1500, 6)).astype(str)
        new = (generator.random(1500) < share) & (n >= since)
        texts = [" ".join(row[: 4 + (longer if n >= since else 0)]) for row in words]
        texts = [f"{text} chargeback" if has else text for text, has in zip(texts, new, strict=True)]
        rows = rows_of([pa.array(texts), generator.normal(size=1500).astype(np.float32)], 1500, 2)
        columns = dict(zip(compared_names(names), compared(rows, names).T, strict=True))
        tables.append(pa.table({"day": [day(n)] * 1500, **columns}))
    stable = pa.concat_tables(tables[:56])
    edges = {name: edges_of(stable[name].to_numpy()) for name in compared_names(names)}
    return histograms(counted(pa.concat_tables(tables), edges, 50_000), edges)


@pytest.mark.parametrize(("changed", "named"), [({}, ()), ({"share": 0.1}, ("note",)), ({"longer": 1}, ("note",))],
                         ids=["nothing", "a new word", "longer texts"])  # fmt: skip
def test_a_text_is_one_feature_and_alarms_when_its_words_or_its_length_change(
    changed: dict[str, Any], named: tuple[str, ...]
) -> None:
    whole = notes(60, since=58, **changed)
    found = judged(whole, reference(whole.until(day(55))), 57, 58)
    assert [each.named for each in found] == [(), named] and [*found[0].features] == ["note", "amount"]


def test_a_small_change_that_lasts_is_seen_in_longer_windows() -> None:
    whole = world(10, 75, since=63, change=replacing("amount", lambda values, _: values * 1.17))
    found = judged(whole, reference(whole.until(day(55))), 63, 74)
    assert not found[0].alarm and not any(1 in each.votes for each in found)
    assert found[6].alarm and found[6].votes[-1] == 7 and found[6].named == ("amount",)


def test_a_small_day_is_noise() -> None:
    whole = world(11, 64)
    counts = whole.counts.copy()
    small = world(12, 64, rows=40)
    counts[-1] = 0
    counts[-1, :, : small.counts.shape[2]] = small.counts[-1][:, : counts.shape[2]]
    found = judge(
        reference(whole.until(day(55))), Histograms(whole.days, whole.features, counts).until(day(63), day(56))
    )
    assert not found.alarm


def test_an_odd_day_alarms_once_and_does_not_echo() -> None:
    normal, odd = world(13, 90), world(13, 90, since=60, change=PLANTED["amounts in cents"][1])
    assert normal.features == odd.features
    counts = normal.counts.copy()
    counts[60] = odd.counts[60]
    whole = Histograms(normal.days, normal.features, counts)
    found = judged(whole, reference(whole.until(day(55))), 60, 89)
    assert found[0].alarm and all(each.named in ((), ("amount",)) for each in found)
    assert not [each.day for each in found[7:] if each.alarm]


def test_an_odd_day_in_the_reference_does_not_hide_a_drift() -> None:
    normal, odd = (
        world(14, 66, since=63, change=PLANTED["amounts 1.3 times as large"][1]),
        world(14, 66, since=30, change=PLANTED["amounts in cents"][1]),
    )
    counts = normal.counts.copy()
    counts[30] = odd.counts[30]
    whole = Histograms(normal.days, normal.features, counts)
    assert judged(whole, reference(whole.until(day(55))), 63, 63)[0].alarm


def test_without_the_weeks_before_nothing_is_judged(known: Reference) -> None:
    later = world(0, 60)
    alone = Reference(known.histograms.until(day(20)), known.weeks, known.noise)
    found = judge(alone, later.until(day(50), day(50)))
    assert (found.judged, found.votes, found.score, found.alarm) == ((), (), 0.0, False)


def test_windows_that_lack_a_day_are_left_out(known: Reference) -> None:
    later = world(0, 62)
    found = judge(known, Histograms(later.days[-2:], later.features, later.counts[-2:]))
    assert found.judged == (1,) and not found.alarm
    # Its features look back into the gap.
    after = judge(known, Histograms(later.days[-1:], later.features, later.counts[-1:]))
    assert after.judged == () and not after.alarm


def test_too_little_to_compare_with_is_an_error(known: Reference) -> None:
    later = world(0, 60)
    with pytest.raises(ValueError, match="found none"):
        judge(known, later.until(day(-1)))
    with pytest.raises(ValueError, match="at least 42 days"):
        reference(later.until(day(20)))
    with pytest.raises(ValueError, match="same edges"):
        judge(known, Histograms(later.days, tuple(reversed(later.features)), later.counts))


def test_a_feature_whose_few_rows_fall_into_other_bins_each_week_has_an_expectation() -> None:
    days = tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(29))
    counts = np.zeros((29, 1, 8), dtype=np.int64)
    counts[np.arange(29), 0, np.arange(29) // 7] = 1
    found = expected(Histograms(days, ("a",), counts), days[28], 4)
    assert found is not None and found[0].sum() == pytest.approx(1) and np.isfinite(found[0]).all()
