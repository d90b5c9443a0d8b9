"""Nothing is undescribed: every asset, column and feature of every use case says in words what it is."""

from __future__ import annotations

import dagster as dg
import pytest

from jobs import settings as settings_module
from jobs.actions import review_queue
from jobs.data_dictionary.ledger_tables import LEDGER, QUARANTINE, LedgerDictionary
from jobs.feature_store import feature_repo, store
from jobs.ground_truth import business_table, estimates_table, performance_table
from jobs.ingest import quarantine
from jobs.leaderboard import board_table
from jobs.ledger.schema import METADATA
from jobs.scoring import prediction_log
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration.definitions import build_definitions

TABLES = ("raw", "staging", "marts")
OF_EVENTS = (
    "features/history",
    "serving/batch_predictions",
    "monitoring/review_queue",
    "monitoring/performance",
    "monitoring/business",
    "monitoring/estimate",
    "promotion/leaderboard",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_module.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def specs(home: Settings) -> dict[str, dg.AssetSpec]:
    assets = build_definitions(settings=home).resolve_all_asset_specs()
    return {spec.key.to_user_string(): spec for spec in assets}


def test_every_asset_says_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    assert [name for name, spec in specs.items() if len((spec.description or "").split()) < 3] == []


def test_every_column_that_is_known_before_a_run_has_a_sentence(specs: dict[str, dg.AssetSpec]) -> None:
    schemas = {name: spec.metadata.get("dagster/column_schema") for name, spec in specs.items()}
    windows = {f"{u.name}/features/{w.name}" for u in USE_CASES for w in u.windows}
    tables = windows | {name for name in specs if name.split("/")[1] in TABLES}
    tables |= {f"{u.name}/features/training_set" for u in USE_CASES}
    tables |= {f"{u.name}/{name}" for u in USE_CASES if u.problem for name in OF_EVENTS}
    assert tables <= {name for name, schema in schemas.items() if schema}
    wordless = [
        f"{name} {column.name}"
        for name, schema in schemas.items()
        for column in (schema.columns if isinstance(schema, dg.TableSchema) else ())
        if not (column.description or "").endswith(".") or "as the SQL of" in (column.description or "")
    ]
    assert wordless == []


def test_every_column_of_a_model_is_in_its_yaml(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        if spec.key.path[1] in ("staging", "marts"):
            assert spec.metadata["dagster/column_schema"].columns, name


@pytest.mark.parametrize("use_case", USE_CASES, ids=lambda use_case: use_case.name)
def test_features_on_demand_have_their_sentences_before_a_run(
    home: Settings, specs: dict[str, dg.AssetSpec], use_case: UseCase
) -> None:
    from feast import OnDemandFeatureView

    objects = store.declared_objects(home, use_case)
    views = [each for each in objects if isinstance(each, OnDemandFeatureView)]
    sentences, computed = store.service_sentences(use_case, objects), {f.name for view in views for f in view.features}
    shown = feature_repo.on_demand_sentences(home.feature_repo, use_case)
    assert shown == {name: sentences[name] for name in computed}
    columns = specs[f"{use_case.name}/features/training_set"].metadata["dagster/column_schema"].columns
    assert computed and shown.items() <= {column.name: column.description for column in columns}.items()


@pytest.mark.parametrize("use_case", USE_CASES, ids=lambda use_case: use_case.name)
def test_every_feature_has_a_sentence_of_its_own(home: Settings, use_case: UseCase) -> None:
    from feast import FeatureView

    objects = store.declared_objects(home, use_case)
    sentences = store.service_sentences(use_case, objects)
    assert set(sentences) >= {name for windows in use_case.windows for name in windows.names}
    assert [name for name, text in sentences.items() if not text.endswith(".")] == []
    assert [name for name, text in sentences.items() if "Computed on demand" in text] == []
    assert len(set(sentences.values())) == len(sentences)
    assert [o.name for o in objects if not o.description] == []
    views = [o for o in objects if isinstance(o, FeatureView)]
    assert [f"{v.name} {f.name}" for v in views for f in v.features if not f.description] == []


def test_the_ledger_and_quarantine_describe_exactly_their_columns(specs: dict[str, dg.AssetSpec]) -> None:
    for name, table in METADATA.tables.items():
        sentences = [LedgerDictionary(name).meaning(column.name).sentence for column in table.columns]
        assert all(text.endswith(".") for text in sentences) and len(set(sentences)) == len(sentences), name
        assert set(LEDGER[name]) <= {column.name for column in table.columns}
    assert set(LEDGER) == set(METADATA.tables) and set(QUARANTINE) == set(quarantine.SCHEMA.names)
    raw = specs["fraud/raw/transactions"].metadata["quarantine: fraud_raw.transactions_quarantine"].value
    assert [line.split(" | ")[0] for line in raw.splitlines()[2:]] == [f"| {name}" for name in QUARANTINE]
    assert (
        "| since | From when on it was in production"
        in specs["fraud/promotion/champion"].metadata["ledger: champions"].value
    )


def test_tables_of_evergreen_describe_all_their_own_columns() -> None:
    assert set(performance_table.DESCRIPTIONS) == set(performance_table.SCHEMA.names)
    assert set(business_table.DESCRIPTIONS) == set(business_table.SCHEMA.names)
    assert set(estimates_table.DESCRIPTIONS) == set(estimates_table.SCHEMA.names)
    assert set(board_table.DESCRIPTIONS) == set(board_table.SCHEMA.names)
    for columns in (prediction_log.DECIDED, review_queue.QUEUE_COLUMNS):
        assert [name for name, (_, text) in columns.items() if not text.endswith(".")] == []
