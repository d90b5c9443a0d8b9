"""Whatever use case is declared, the server can describe it: of columns of any kind, and of tables without rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from jsonschema import Draft202012Validator
from worlds.marts import TIME

from jobs.decisions import opened
from jobs.decisions.event_schema import event_source, needed_columns
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from serving.decisions.service import DecisionService
from serving.description.document import document
from serving.description.examples import examples
from serving.description.overview import overview
from serving.live_models.watch import LiveModels

pytestmark = pytest.mark.embedded

TYPES: dict[str, Any] = {
    "identifier": pa.int64(), "timestamp": TIME, "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(),
    "string": pa.string(), "category": pa.string(), "vector": pa.string(), "text": pa.string(),
}  # fmt: skip
BOOKKEEPING = {"known_at": TIME, "superseded_at": TIME, "version": pa.int64(), "event_date": pa.date32()}


def write_empty(settings: Settings, use_case: UseCase) -> None:
    """Tables of a use case's events and labels, of the types that its columns have, without rows."""
    reported = {name for windows in use_case.windows for name in (*windows.keys, *windows.label_columns)}
    reported |= {use_case.event_id, use_case.event_timestamp, use_case.label}
    sent = {*needed_columns(use_case), *(column.name for column in event_source(use_case).columns)}
    undeclared = {use_case.label: "boolean"}
    for table, names in ((use_case.events, sent), (use_case.labels, reported)):
        kinds = {name: use_case.kinds.get(name) or undeclared.get(name, "number") for name in names}
        schema = pa.schema({name: TYPES[kind] for name, kind in kinds.items()} | BOOKKEEPING)
        write_deltalake(attach(settings).path(table), schema.empty_table(), partition_by=["event_date"])


@pytest.fixture(params=USE_CASES, ids=lambda use_case: use_case.name)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DecisionService]:
    settings, use_case = Settings(home=tmp_path), request.param
    write_empty(settings, use_case)
    with opened.lease(settings, use_case) as handle:
        opened.renew(settings, use_case, handle)
        found = DecisionService(settings, use_case, LiveModels(settings, []), opened.wall_clock)
        found.start()
        yield found
        found.stop()


@pytest.mark.parametrize("like_tables", [True, False])
def test_its_examples_are_as_it_is_described_and_are_read(service: DecisionService, like_tables: bool) -> None:
    shown, name = examples(service, like_tables), service.use_case.name
    described = document({}, {name: service}, like_tables)
    for schema, example in (("Event", shown.event), ("Label", shown.label)):
        Draft202012Validator({**described, "$ref": f"#/components/schemas/{name}.{schema}"}).validate(example)
    assert service.read(shown.event).id == service.labels.read(shown.label)[0]


def test_everything_of_it_has_a_meaning(service: DecisionService) -> None:
    found = overview(service.use_case, None, service, None, True)
    assert {column.name for column in found.columns} == set(service.decider.schema.asked)
    texts = [*(column.meaning for column in found.columns), *found.features.values(), *found.entities.values()]
    assert all(text.strip().endswith((".", "!", "?")) for text in texts) and len(found.features) > 10
