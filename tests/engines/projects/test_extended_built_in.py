"""A built-in use case that a project gives further columns and profile features: its SQL and its views take them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from jobs.feature_store import store
from jobs.ingest.parsing import table_schema
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse
from jobs.profiles import ProfileFeatures
from jobs.project_file import ProjectFile
from jobs.projects import assembly
from jobs.use_case import Column, UseCase
from jobs.use_cases import catalog
from jobs.use_cases.fraud import CUSTOMERS, FRAUD, FRAUD_REPORTS, TERMINALS, TRANSACTIONS

CHANNEL, RATING = Column("channel", "category", nullable=True), Column("rating", "number", nullable=True)
CARDS = replace(
    FRAUD,
    sources=(
        replace(TRANSACTIONS, columns=(*TRANSACTIONS.columns, CHANNEL)),
        FRAUD_REPORTS,
        replace(CUSTOMERS, columns=(*CUSTOMERS.columns, RATING)),
        TERMINALS,
    ),
    profiles=(ProfileFeatures("customers", ("rating",)),),
)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS: dict[str, dict[str, Any]] = {
    "transactions": {"transaction_id": 1, "tx_datetime": AT, "customer_id": 2, "terminal_id": 3, "tx_amount": 1.0,
                     "channel": "web"},
    "fraud_reports": {"transaction_id": 1, "tx_fraud": True, "fraud_reported_at": AT},
    "customers": {"customer_id": 2, "opened_at": AT, "rating": 4.5},
    "terminals": {"terminal_id": 3, "opened_at": AT},
}  # fmt: skip


def put(lakehouse: Lakehouse, use_case: UseCase) -> None:
    for source in use_case.sources:
        row = ROWS[source.name] | {"known_at": AT, "event_date": date(2026, 3, 1), "loaded_in": 1}
        schema = table_schema(source, {})
        frame = pl.DataFrame([{name: row.get(name) for name in schema.names}])
        write_deltalake(lakehouse.path(use_case.raw_table(source)), frame.to_arrow().cast(schema))


@pytest.mark.embedded
def test_sql_and_views_take_what_a_project_adds(
    lakehouse: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = lakehouse.settings.home / "project"
    settings = replace(lakehouse.settings, dbt_project=home / "dbt_project", feature_repo=home / "feature_repo")
    object.__setattr__(lakehouse, "settings", settings)
    project = ProjectFile(folder=tmp_path, name="shop", use_cases=("use_cases.cards:CARDS",), built_in=())
    assembly.assemble(settings, project, [CARDS], catalog.BUILT_IN)
    put(lakehouse, CARDS)
    done = dbt_models.build(lakehouse, CARDS, dbt_models.manifest(settings), ["--select", "fqn:*"])
    assert not done.errors
    [event] = lakehouse.to_arrow(CARDS.events).to_pylist()
    assert event["channel"] == "web" and event["tx_amount"] == 1.0
    [customer] = lakehouse.to_arrow("fraud.customers").to_pylist()
    assert customer["rating"] == 4.5
    monkeypatch.setattr(catalog, "USE_CASES", (CARDS,))
    names = {each.name for each in store.declared_objects(settings, CARDS)}
    assert {"customer_windows", "customer_terminal_windows", CARDS.profiles[0].name, "payment_amount"} <= names
    services = [each for each in store.declared_objects(settings, CARDS) if hasattr(each, "feature_view_projections")]
    [service] = services
    assert len(service.feature_view_projections) == 6
