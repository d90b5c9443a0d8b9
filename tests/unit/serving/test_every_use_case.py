"""Whatever use case is declared, the server can describe it: of columns of any kind, and of tables without rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from worlds.empty_tables import write_empty

from jobs.decisions import opened
from jobs.settings import Settings
from jobs.use_cases.catalog import USE_CASES
from serving.decisions.service import DecisionService
from serving.description.document import document
from serving.description.examples import examples
from serving.description.overview import overview
from serving.live_models.watch import LiveModels

pytestmark = pytest.mark.embedded


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
