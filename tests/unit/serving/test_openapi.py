"""The OpenAPI document says what the server does: every example can be sent, every answer is as it is described."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from jsonschema import Draft202012Validator
from worlds import decided_world
from worlds.deciding_server import deciding

from jobs import settings
from jobs.settings import Settings
from serving.decisions.scorer import FAILURES
from serving.description.columns import DescribedColumn, schema_of
from serving.description.examples import made_up
from serving.web import api_keys
from serving.web.api_keys import Scope

pytestmark = pytest.mark.embedded
Json = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("openapi") / "home")})


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    with deciding(home) as address, httpx.Client(base_url=address) as found:
        yield found


def conforms(document: Json, operation: Json, answer: httpx.Response) -> None:
    """Raise if an answer is not as the document describes it."""
    described = operation["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    (media,) = described["content"]
    assert answer.headers["content-type"].startswith(media)
    if media == "application/json":
        Draft202012Validator({**document, **described["content"][media]["schema"]}).validate(answer.json())


def requests_of(path: str, operation: Json, shared: list[Json]) -> Iterator[tuple[str, Json, Any]]:
    """Path, query and body of every example of an operation."""
    given = [*shared, *operation.get("parameters", [])]
    for one in given:
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["example"]))
    query = {one["name"]: one["example"] for one in given if one["in"] == "query"}
    for content in operation.get("requestBody", {"content": {"": {"example": None}}})["content"].values():
        examples = content.get("examples", {"only": {"value": content.get("example")}})
        for example in examples.values():
            yield path, {}, example["value"]
            yield path, query, example["value"]


def test_every_example_gets_the_answer_that_is_described(client: httpx.Client) -> None:
    document, sent = client.get("/openapi.json").json(), 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            for place, query, body in requests_of(path, operation, methods.get("parameters", [])):
                answer = client.request(method, place, params=query, json=body)
                withdrawn = method == "delete" and answer.status_code == 404  # the same example was sent before
                assert answer.status_code == 200 or withdrawn, (method, place, answer.text)
                conforms(document, operation, answer)
                sent += 1
    assert sent > 40


@pytest.mark.parametrize(
    ("change", "status"), [({"tx_amount": -1}, 400), ({"customer_id": None}, 400), ({"tx_amount": 2.5}, 409)]
)
def test_what_the_document_forbids_is_refused_as_it_says(client: httpx.Client, change: Json, status: int) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/fraud/decisions"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    assert client.post("/v1/fraud/decisions", json=example).status_code == 200
    event = Draft202012Validator({**document, "$ref": "#/components/schemas/fraud.Event"})
    assert event.is_valid(example) and event.is_valid(example | change) == (status == 409)
    answer = client.post("/v1/fraud/decisions", json=example | change)
    assert answer.status_code == status
    conforms(document, operation, answer)


def test_numbers_that_no_model_takes_are_decided_without_it_and_keep_nobody_else_from_it(client: httpx.Client) -> None:
    line = {"buyer_id": 7, "item_id": "lamp", "quantity": 2, "unit_price": 1e50}
    for number in range(2 * FAILURES):
        told = client.post("/v1/returns/decisions?explain=true", json={"line_id": f"large {number}", **line}).json()
        assert (told["score"], told["fallback"], told["reasons"]) == (None, "default", [])
        assert "expected numbers that float32 holds" in told["reason"]
    listed = client.post(
        "/v1/returns/decisions",
        json=[{"line_id": "fine", **line}, {"line_id": "too large", **line, "unit_price": 1e300}],
    )
    assert listed.status_code == 400 and "event 1 of the list: column amount: expected a number up to" in listed.text
    assert client.get("/v1/returns/entities/7?entity=buyer_id").json()[0]["facts"]["events"] == 2 * FAILURES
    usual = client.post("/v1/returns/decisions", json={"line_id": "usual", **line, "unit_price": 3}).json()
    assert usual["score"] is not None and usual["model_version"] == "5" and usual["fallback"] is None


def test_each_column_and_feature_has_its_meaning(client: httpx.Client) -> None:
    fraud, _ = client.get("/v1").json()["use_cases"]
    assert fraud["columns"][0]["name"] == fraud["id"] == "transaction_id"
    assert all(column["meaning"] for column in fraud["columns"]) and all(fraud["features"].values())
    assert fraud["features"]["hour_of_day"] == "UTC hour of the payment, 0 to 24, minutes included."
    assert list(fraud["entities"]) == ["customer_id", "terminal_id"]
    assert (fraud["model_version"], fraud["review"]) == ("3", 0.5)


def test_only_who_may_look_up_entities_sees_values_of_the_tables(client: httpx.Client, home: Settings) -> None:
    examples = {}
    try:
        for name, more in (("one", "metrics"), ("other", "entities")):
            headers = {"X-API-Key": api_keys.add(home, name, ["read", cast(Scope, more)], datetime.now(UTC))}
            fraud, _ = client.get("/v1", headers=headers).json()["use_cases"]
            examples[name] = fraud["example"]
            assert str(fraud["example"]["transaction_id"]) in client.get("/openapi.json", headers=headers).text
    finally:
        api_keys.place(home).unlink()
    assert [examples["one"][name] for name in ("customer_id", "terminal_id", "tx_amount")] == [1, 1, 1]
    assert examples["other"]["terminal_id"] in decided_world.TERMINALS


def test_counts_of_all_requests_are_told_as_json(client: httpx.Client) -> None:
    before, asked = client.get("/v1/traffic").json(), {"protocol": "http", "route": "/v1", "status": "200"}
    client.get("/v1")
    after = client.get("/v1/traffic").json()

    def count(totals: Json) -> int:
        return sum(each["count"] for each in totals["requests"] if each.items() >= asked.items())

    assert count(after) == count(before) + 1 and after["models"] == {"fraud": "3", "returns": "5"}
    timed = [next(each for each in counts["seconds"] if each["route"] == "/v1") for counts in (before, after)]
    assert timed[1]["bounds"][-1] is None and sorted(timed[1]["counts"]) == timed[1]["counts"]
    assert timed[1]["counts"][-1] == timed[0]["counts"][-1] + 1


@pytest.mark.parametrize("form", ["number", "integer", "boolean", "text", "category", "time", "vector"])
@pytest.mark.parametrize("bounds", [(None, None), (0, None), (2, 5), (None, -3)])
def test_a_made_up_value_is_one_that_is_allowed(form: Any, bounds: tuple[int | None, int | None]) -> None:
    limits = bounds if form in ("number", "integer") else (None, None)
    column = DescribedColumn("x", form, "X.", True, *limits, 3 if form == "vector" else None)
    Draft202012Validator(schema_of(column)).validate(made_up(column))
