"""Nightly scoring from marts to the prediction log: the model of each night, features as trained on, nothing twice."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA, Row, built_or_copied, put, update_windows
from worlds.pictures import rendered

from assets import evaluation, export
from assets import scoring as assets_scoring
from assets.run_context import AS_OF_TAG
from jobs.checks import predictions
from jobs.datasets import training_set
from jobs.ingest import registered_inputs
from jobs.ingest.parsing import table_schema
from jobs.lakehouse import dbt_models
from jobs.lakehouse.envelope import DELETIONS
from jobs.lakehouse.session_catalog import register_table
from jobs.lakehouse.tables import Lakehouse
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.models.runtime import score
from jobs.models.tables import examples_of, features_of
from jobs.objective import LOG_LOSS
from jobs.promotion import export_onnx
from jobs.registry import bundle
from jobs.registry.bundle import Bundle, Manifest
from jobs.scoring import batch, prediction_log
from jobs.scoring.scoring_kernel import scorer
from jobs.tasks.multiclass import Multiclass
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

DAY = timedelta(days=1)
FIRST = date(2026, 3, 1)
DAYS = [FIRST + n * DAY for n in range(4)]
AS_OF = datetime(2026, 3, 5, tzinfo=UTC)
LOG = prediction_log.table(FRAUD)
NAMES = ("tx_amount", "customer_tx_count_1d", "terminal_known_frauds_7d", "amount_zscore_30d", "hour_of_day")


def payment(number: int, at: datetime, **more: Any) -> Row:
    row = {"transaction_id": number, "tx_datetime": at, "customer_id": number % 3, "terminal_id": number % 2}
    row |= {"tx_amount": 10.1 + number, "known_at": at, "version": 1, "superseded_at": None, "loaded_in": 1}
    return row | {"first_event_date": at.date(), "event_date": at.date()} | more


def noon(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)


@pytest.fixture
def marts(lakehouse: Lakehouse, built_marts: Path) -> Iterator[Lakehouse]:
    home = lakehouse.settings.home
    for kept in (lakehouse.settings.state / "fraud", home / "feast", home / "serving"):
        shutil.rmtree(kept, ignore_errors=True)
    built_or_copied(lakehouse, built_marts, put_marts)
    yield lakehouse


def put_marts(lakehouse: Lakehouse) -> None:
    """Five payments on each of four days; one is corrected a day later, one becomes known two days late."""
    events = [payment(10 * n + k, noon(day) + k * timedelta(hours=1)) for n, day in enumerate(DAYS) for k in range(5)]
    later = noon(DAYS[1])
    events[3] |= {"superseded_at": later}
    events.append(events[3] | {"tx_amount": 9000.0, "known_at": later, "superseded_at": None, "version": 2})
    events.append(payment(99, noon(DAYS[0]), known_at=noon(DAYS[2])))
    put(lakehouse, FRAUD.events, events, EVENT_SCHEMA)
    report = {"is_fraud": True, "known_at": noon(DAYS[1]), "superseded_at": None, "loaded_in": 1}
    about = {name: events[0][name] for name in ("transaction_id", "customer_id", "terminal_id", "tx_datetime")}
    put(lakehouse, FRAUD.labels, [about | report | {"event_date": DAYS[0]}], LABEL_SCHEMA)
    update_windows(lakehouse, AS_OF)


def made(folder: Path, names: tuple[str, ...] = NAMES, family: str = "logistic", seed: int = 0) -> Bundle:
    rng = np.random.default_rng(seed)
    features = rng.gamma(2, 5, size=(200, len(names))).astype(np.float32)
    model = new_model(family, {} if family == "logistic" else {"rounds": 5, "min_data_in_leaf": 5})
    model.fit(Examples(features, features[:, 0] > 8, None, names), None, seed=seed, device="cpu")
    manifest = Manifest("fraud", family, tuple((n, "float32") for n in names), 0.5, AS_OF.isoformat(), {})
    return bundle.write(folder, model, manifest)


@pytest.fixture
def champion(tmp_path: Path) -> Bundle:
    return made(tmp_path / "champion")


def always(version: int, model: Bundle) -> batch.ChampionAt:
    return lambda moment: (version, model)


def logged(lakehouse: Lakehouse) -> dict[int, Row]:
    rows = lakehouse.to_arrow(LOG).to_pylist()
    found = {row["transaction_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_scored_rows_have_the_features_that_are_trained_on_later(marts: Lakehouse, champion: Bundle) -> None:
    batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    later = AS_OF + FRAUD.label_maturity
    update_windows(marts, later)
    training_set.build(marts, FRAUD, later)
    log = marts.to_arrow(LOG).sort_by("transaction_id")
    trained = marts.to_arrow(FRAUD.training_set).sort_by("transaction_id")
    assert log["transaction_id"].equals(trained["transaction_id"]) and log.num_rows == 21
    for name in NAMES:
        assert log[name].combine_chunks().equals(trained[name].cast(pa.float32(), safe=False).combine_chunks()), name
    expected = score(champion.session(), features_of(trained, NAMES))
    np.testing.assert_array_equal(log["score"].to_numpy(), expected)
    assert log["decision"].to_pylist() == (expected >= np.float32(0.5)).tolist()
    # The payment that was corrected later is scored as it was when it was made.
    assert logged(marts)[3]["tx_amount"] == np.float32(13.1)


@pytest.mark.embedded
def test_a_row_says_what_it_was_made_of(marts: Lakehouse, champion: Bundle) -> None:
    batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    row = logged(marts)[12]
    assert (row["model_version"], row["bundle_sha256"]) == (7, champion.sha256)
    assert (row["arm"], row["propensity"], row["origin"], row["scored_at"]) == ("champion", 1.0, "nightly", AS_OF)
    assert f'"{FRAUD.events}":{marts.version(FRAUD.events)}' in row["feature_versions"]
    assert (row["customer_id"], row["terminal_id"], row["tx_datetime"]) == (0, 0, noon(DAYS[1]) + timedelta(hours=2))
    assert row["event_date"] == DAYS[1]


@pytest.mark.embedded
def test_the_same_again_writes_nothing(marts: Lakehouse, champion: Bundle) -> None:
    first = batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    assert first.rows == {DAYS[0]: 6} | dict.fromkeys(DAYS[1:], 5)
    again = batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    assert (again.version, again.rows) == (first.version, {})
    next_night = batch.score_days(marts, FRAUD, DAYS, AS_OF + DAY, always(7, champion))
    assert next_night.rows == {}


@pytest.mark.embedded
def test_only_days_that_something_reached_are_scored_again(marts: Lakehouse, champion: Bundle) -> None:
    batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    before = logged(marts)
    put(marts, FRAUD.events, [payment(77, noon(DAYS[2]), loaded_in=2)], EVENT_SCHEMA, mode="append")
    update_windows(marts, AS_OF + DAY)
    result = batch.score_days(marts, FRAUD, DAYS, AS_OF + DAY, always(7, champion))
    assert set(result.rows) == {DAYS[2], DAYS[3]} and result.rows[DAYS[2]] == 6
    after = logged(marts)
    kept = [n for n, row in before.items() if row["event_date"] in DAYS[:2]]
    assert {n: after[n] for n in kept} == {n: before[n] for n in kept}
    assert after[34]["scored_at"] == AS_OF + DAY


@pytest.mark.embedded
def test_a_long_backfill_takes_several_commits_of_whole_days(
    marts: Lakehouse, champion: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = batch.score_days(marts, FRAUD, DAYS[:1], AS_OF, always(7, champion)).version
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 10)
    done = batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    assert before is not None and done.version == before + 2  # of 5 + 5 and 5 rows
    assert {day for day, rows in done.rows.items() if rows} == set(DAYS[1:])
    assert len(logged(marts)) == 21 and batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion)).rows == {}


@pytest.mark.embedded
def test_an_event_that_is_not_known_yet_is_not_scored(marts: Lakehouse, champion: Bundle) -> None:
    batch.score_days(marts, FRAUD, DAYS[:1], noon(DAYS[1]), always(7, champion))
    assert 99 not in logged(marts)
    batch.score_days(marts, FRAUD, DAYS[:1], AS_OF, always(7, champion))
    assert 99 in logged(marts)


@pytest.mark.embedded
def test_the_log_keeps_what_was_decided_before_it_was_deleted(marts: Lakehouse, champion: Bundle) -> None:
    rows = marts.to_arrow(FRAUD.events).to_pylist()
    night = datetime(2026, 3, 2, tzinfo=UTC)
    gone = {0: night, 1: night + DAY, 2: noon(DAYS[0]) + timedelta(hours=3)}
    rows = [row | {"superseded_at": gone.get(row["transaction_id"], row["superseded_at"])} for row in rows]
    back = next(row for row in rows if row["transaction_id"] == 2)
    rows += [back | {"version": 2, "known_at": night - timedelta(hours=1), "superseded_at": None}]
    put(marts, FRAUD.events, rows, EVENT_SCHEMA)
    raw = pa.unify_schemas([table_schema(TRANSACTIONS, {}), DELETIONS])
    write_deltalake(marts.path(FRAUD.raw_table(TRANSACTIONS)), raw.empty_table(), partition_by=["event_date"])
    for moment in (night, AS_OF):
        batch.score_days(marts, FRAUD, DAYS[:1], moment, always(7, champion))
        assert sorted(logged(marts)) == [1, 2, 3, 4, *([99] if moment == AS_OF else [])]
        outcomes = predictions.judge(marts, FRAUD, DAYS[:1], moment)
        assert [each.passed for each in outcomes][:2] == [True, True]


@pytest.mark.embedded
def test_a_day_that_was_not_over_is_completed(marts: Lakehouse, champion: Bundle) -> None:
    early = batch.score_days(marts, FRAUD, DAYS[:1], noon(DAYS[0]) + timedelta(hours=1), always(7, champion))
    assert early.rows == {DAYS[0]: 2}
    assert batch.score_days(marts, FRAUD, DAYS[:1], AS_OF, always(7, champion)).rows == {DAYS[0]: 6}


@pytest.mark.embedded
def test_a_backfill_scores_with_the_model_of_each_night(marts: Lakehouse, champion: Bundle, tmp_path: Path) -> None:
    other = made(tmp_path / "other", ("tx_amount", "customer_amount_max_7d"), "boosted")
    promoted = {datetime(2026, 3, 2, tzinfo=UTC): (1, champion), datetime(2026, 3, 4, tzinfo=UTC): (2, other)}
    asked = []

    def champion_at(moment: datetime) -> batch.VersionedBundle | None:
        asked.append(moment)
        since = [start for start in promoted if start <= moment]
        return promoted[max(since)] if since else None

    days = [FIRST - DAY, *DAYS]
    result = batch.score_days(marts, FRAUD, days, AS_OF, champion_at)
    assert asked == [datetime(2026, 3, n, tzinfo=UTC) for n in (1, 2, 3, 4, 5)]
    assert result.without_champion == (FIRST - DAY,)
    assert result.models == {DAYS[0]: 1, DAYS[1]: 1, DAYS[2]: 2, DAYS[3]: 2}
    rows = logged(marts).values()
    assert {(r["event_date"], r["model_version"], r["bundle_sha256"]) for r in rows} == {
        (day, promoted[night][0], promoted[night][1].sha256)
        for day, night in zip(DAYS, [*[min(promoted)] * 2, *[max(promoted)] * 2], strict=True)
    }
    # A feature that a model does not use is null in its rows, and only there.
    assert all((row["customer_amount_max_7d"] is None) == (row["model_version"] == 1) for row in rows)
    told = batch.score_days(marts, FRAUD, DAYS, AS_OF, always(2, other))
    assert set(told.rows) == set(DAYS[:2]) and {r["model_version"] for r in logged(marts).values()} == {2}


def test_a_model_with_other_features_keeps_the_log_of_the_days_before(
    marts: Lakehouse, champion: Bundle, tmp_path: Path
) -> None:
    batch.score_days(marts, FRAUD, DAYS[:3], AS_OF, always(1, champion))
    before = logged(marts)
    other = made(tmp_path / "other", ("customer_tx_count_7d", "tx_amount"))
    batch.score_days(marts, FRAUD, DAYS[3:], AS_OF, always(2, other))
    after = logged(marts)
    assert {n: {k: after[n][k] for k in row} for n, row in before.items()} == before
    assert after[30]["customer_tx_count_7d"] is not None and after[30]["hour_of_day"] is None
    # A new session has to find the table as it is now.
    register_table(marts.spark, marts.path(LOG), f"t{uuid4().hex}.log", embedded=marts.settings.spark_remote is None)


def test_what_was_decided_online_is_left_alone(marts: Lakehouse, champion: Bundle, tmp_path: Path) -> None:
    batch.score_days(marts, FRAUD, DAYS[:2], AS_OF, always(1, champion))
    online = marts.to_arrow(LOG, filters=[("event_date", "=", DAYS[0])])
    at = online.schema.get_field_index("origin")
    online = online.set_column(at, "origin", pa.array(["online"] * online.num_rows))
    write_deltalake(marts.delta(LOG), online, mode="append")
    result = batch.score_days(marts, FRAUD, DAYS[:2], AS_OF, always(2, made(tmp_path / "other", seed=1)))
    assert set(result.rows) == set(DAYS[:2])
    found = [(r["origin"], r["model_version"]) for r in marts.to_arrow(LOG).to_pylist() if r["event_date"] == DAYS[0]]
    assert sorted(found) == [("nightly", 2)] * 6 + [("online", 1)] * 6


@pytest.mark.embedded
def test_without_a_champion_nothing_is_scored(marts: Lakehouse) -> None:
    result = batch.score_days(marts, FRAUD, DAYS, AS_OF, lambda moment: None)
    assert result == batch.Scored(None, without_champion=tuple(DAYS)) and not marts.exists(LOG)


@pytest.mark.embedded
def test_a_feature_that_is_missing_or_no_number_is_named(marts: Lakehouse, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"features \['no_such'\]"):
        batch.score_days(marts, FRAUD, DAYS, AS_OF, always(1, made(tmp_path / "a", ("no_such",))))
    with pytest.raises(ValueError, match="encode them"):
        batch.score_days(marts, FRAUD, DAYS, AS_OF, always(1, made(tmp_path / "b", ("tx_datetime",))))
    assert not marts.exists(LOG)


@pytest.mark.embedded
def test_a_graph_that_was_exchanged_is_not_run(marts: Lakehouse, champion: Bundle, tmp_path: Path) -> None:
    other = made(tmp_path / "other", seed=1)
    wrong = scorer(other.read("model.onnx"), champion.manifest.files["model.onnx"], NAMES, 0.5, NAMES[:1])
    with pytest.raises(ValueError, match="not the one that was approved"):
        list(wrong(iter([])))
    (champion.folder / "model.onnx").write_bytes(other.read("model.onnx"))
    with pytest.raises(bundle.BundleError, match="since it was verified"):
        batch.score_days(marts, FRAUD, DAYS, AS_OF, always(7, champion))
    assert not marts.exists(LOG)


def test_an_infinite_feature_is_refused_and_a_missing_one_is_scored(champion: Bundle) -> None:
    kernel = scorer(champion.read("model.onnx"), champion.manifest.files["model.onnx"], NAMES, 0.5, NAMES[:1])
    columns = {name: pa.array([1.0, None, float("nan")], pa.float32()) for name in NAMES}
    [scored] = kernel(iter([pa.RecordBatch.from_pydict(columns)]))
    expected = score(champion.session(), np.array([[1.0] * 5, [np.nan] * 5, [np.nan] * 5], np.float32))
    assert scored.schema.names == ["tx_amount", "score", "decision"]
    np.testing.assert_array_equal(scored.column("score").to_numpy(), expected)
    infinite = columns | {"tx_amount": pa.array([1.0, np.inf, 3e38], pa.float32())}
    with pytest.raises(ValueError, match=r"\['tx_amount'\].*infinity"):
        list(kernel(iter([pa.RecordBatch.from_pydict(infinite)])))
    large = columns | {"tx_amount": pa.array([3e38, 3e38, 3e38], pa.float32())}
    assert len(list(kernel(iter([pa.RecordBatch.from_pydict(large)])))) == 1


def test_a_feature_named_like_a_column_of_the_log_is_refused(champion: Bundle) -> None:
    types = {name: pa.int64() for name in prediction_log.event_columns(FRAUD)}
    with pytest.raises(ValueError, match=r"\['score'\].*rename"):
        prediction_log.schema(FRAUD, types, {"score": "float32"})


def test_the_night_of_a_day_is_the_midnight_that_ends_it() -> None:
    found = batch.nights([FIRST, FIRST + DAY], noon(FIRST + DAY))
    assert found == {FIRST: datetime(2026, 3, 2, tzinfo=UTC), FIRST + DAY: noon(FIRST + DAY)}


@pytest.mark.embedded
def test_other_bundles_with_one_hash_are_one_model(marts: Lakehouse, champion: Bundle) -> None:
    """Restored or registered again under another number, it is still the same model: nothing is scored again."""
    batch.score_days(marts, FRAUD, DAYS, AS_OF, always(1, champion))
    assert batch.score_days(marts, FRAUD, DAYS, AS_OF, always(2, replace(champion))).rows == {}


class Always:
    """One model, or none, in production at any time."""

    def __init__(self, model: batch.VersionedBundle | None) -> None:
        self._model = model

    def at(self, use_case: UseCase, moment: datetime) -> batch.VersionedBundle | None:
        return self._model


def materialized(
    lakehouse: Lakehouse, model: batch.VersionedBundle | None, as_of: datetime
) -> dict[str, dict[str, Any]]:
    """Metadata of the serving assets and the two that explain, by name, of a run for the last day."""
    days = dg.DailyPartitionsDefinition(start_date=DAYS[0].isoformat())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = assets_scoring.build(FRAUD, days, json.loads(dbt_models.manifest(lakehouse.settings).read_text()), {})
        assets += [a for module in (export, evaluation) for a in module.build(FRAUD, days)]
    registered_inputs.register(lakehouse.settings, FRAUD, registered_inputs.Inputs({}, DAYS[0], DAYS[-1]))
    result = dg.materialize(
        assets,
        partition_key=DAYS[-1].isoformat(),
        tags={AS_OF_TAG: as_of.isoformat()},
        resources={"lakehouse": lakehouse, "champions": Always(model)},
    )
    found = {}
    for event in result.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        found[made.asset_key.path[-1]] = {name: value.value for name, value in made.metadata.items()}
    return found


@pytest.mark.embedded
def test_the_assets_show_what_was_scored_exported_and_why(marts: Lakehouse, champion: Bundle) -> None:
    later = AS_OF + FRAUD.label_maturity
    update_windows(marts, later)
    training_set.build(marts, FRAUD, later)
    with rendered():
        shown = materialized(marts, (7, champion), later)
    assert {name: metadata["model_version"] for name, metadata in shown.items()} == dict.fromkeys(
        ("batch_predictions", "online_model", "explanation", "fairness"), 7
    )
    scored = shown["batch_predictions"]
    assert (scored["rows_written"], scored["rows_published"], scored["rows_of_the_last_day"]) == (5, 5, 5)
    rows = [row for row in logged(marts).values() if row["event_date"] == DAYS[-1]]
    assert scored["share_decided_positive"] == sum(row["decision"] for row in rows) / 5
    pictures = [scored["score_histogram"], shown["explanation"]["top_features"], shown["fairness"]["amount picture"]]
    assert all("data:image/png" in picture and len(picture) > 2_000 for picture in pictures)
    assert set(NAMES) <= set(shown["explanation"]["importance"].replace("|", " ").split())
    online = export_onnx.current(marts.settings, FRAUD)
    assert online is not None and online.bundle.sha256 == champion.sha256 == shown["online_model"]["bundle_sha256"]


@pytest.mark.embedded
def test_the_assets_say_so_while_there_is_no_champion(marts: Lakehouse) -> None:
    training_set.build(marts, FRAUD, AS_OF + FRAUD.label_maturity)
    shown = materialized(marts, None, AS_OF + FRAUD.label_maturity)
    notes = [metadata["notes"] for metadata in shown.values()]
    assert len(notes) == 4 and all("no champion" in note or "without a champion" in note for note in notes)


def test_categories_are_scored_by_their_texts_and_missing_or_unknown_ones_too(marts: Lakehouse, tmp_path: Path) -> None:
    kinds = ["0", "1", None, "2"] * 50
    rows = pa.table({"tx_amount": np.arange(200.0), "kind": kinds, "label": [kind in ("1", None) for kind in kinds]})
    model = new_model("boosted", {"rounds": 5, "min_data_in_leaf": 5})
    model.fit(examples_of(rows.slice(0, 180), ("tx_amount", "kind"), "label"), None, seed=0, device="cpu")
    manifest = Manifest("fraud", "boosted", bundle.features_of(model), 0.5, AS_OF.isoformat(), {})
    made_bundle = bundle.write(tmp_path / "categories", model, manifest)
    assert made_bundle.manifest.categories == {"kind"}
    kind = "case when tx_amount > 40 then null when tx_amount > 30 then 'new' else cast(customer_id as string) end"
    frame = marts.read(FRAUD.events).selectExpr("tx_amount", f"{kind} as kind")
    found = batch.score_frame(marts, frame, made_bundle, ["tx_amount", "kind"]).toArrow()
    assert {None, "new", "0", "1", "2"} == set(found["kind"].to_pylist())
    expected = model.predict(features_of(found, ("tx_amount", "kind")))
    np.testing.assert_allclose(found["score"].to_numpy(), expected, atol=1e-6)


def test_classes_are_scored_by_words_on_either_engine(marts: Lakehouse, tmp_path: Path) -> None:
    topics, names = np.array(["card", "fee", "loan"]), ("tx_amount", "note[words]")
    said = [f"my {topic}, please: {n}" if n % 5 else None for n, topic in enumerate(np.resize(topics, 200).tolist())]
    rows = pa.table({"tx_amount": np.arange(200.0), "note": said, "label": np.resize(topics, 200)})
    model = new_model("boosted", {"rounds": 20, "min_data_in_leaf": 5}, names)
    train = examples_of(rows, names, "label", task=Multiclass(LOG_LOSS))
    model.fit(train, None, seed=0, device="cpu")
    manifest = Manifest("support", "boosted", bundle.features_of(model), 0.5, AS_OF.isoformat(), {})
    made_bundle = bundle.write(tmp_path / "words", model, replace(manifest, task=train.task.stored()))
    assert made_bundle.manifest.columns == {"tx_amount": "float32", "note": "string"}
    note = "case when tx_amount > 40 then null when tx_amount > 30 then '?' else concat('My ', topic, '!') end"
    topic = "element_at(array('CARD', 'fee', 'Loan'), cast(customer_id as int) + 1) as topic"
    frame = marts.read(FRAUD.events).selectExpr("tx_amount", topic).selectExpr("tx_amount", f"{note} as note")
    found = batch.score_frame(marts, frame, made_bundle, ["tx_amount", "note"]).toArrow()
    assert {None, "?", "My CARD!", "My fee!", "My Loan!"} == set(found["note"].to_pylist())
    expected = model.predict(features_of(found, names))
    told = [list(json.loads(text).values()) for text in found["probabilities"].to_pylist()]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    said_class = dict(zip(found["note"].to_pylist(), found["prediction"].to_pylist(), strict=True))
    assert [said_class[f"My {each}!"] for each in ("CARD", "fee", "Loan")] == ["card", "fee", "loan"]
