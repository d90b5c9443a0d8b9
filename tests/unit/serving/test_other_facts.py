"""Over HTTP: facts that are no events are told, counted, corrected and withdrawn, and described as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from worlds import exported_models, login_world
from worlds.login_world import SHOP
from worlds.served import served

from jobs.settings import Settings
from serving import app, process
from serving.app import ServeOptions, application
from serving.process import decision_bases

pytestmark = pytest.mark.embedded
PLACE = f"/v1/{SHOP.name}"
LOGIN: dict[str, Any] = {
    "login_id": "c/1", "customer_id": 1, "failures": 3, "seconds": 2.0, "country": "at", "browser": "fox",
}  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    for module in (app, process):
        monkeypatch.setattr(module, "USE_CASES", (SHOP,))
    world = login_world.made(Settings(home=tmp_path), 3)
    bundle = exported_models.made(tmp_path / "made", names=("logins_3d", "amount", "austria_3d"), use_case=SHOP)
    exported_models.export(world.settings, 3, bundle, use_case=SHOP)
    options = ServeOptions((SHOP.name,), began_at=world.clock(), began=time.monotonic())
    with (
        decision_bases(world.settings, options),
        served(application(world.settings, options)) as address,
        httpx.Client(base_url=address) as found,
    ):
        yield found


def logins(client: httpx.Client, number: int, customer: int = 1) -> Any:
    payment = {"payment_id": number, "customer_id": customer, "amount": 5.0}
    answer = client.post(f"{PLACE}/decisions", params={"features": "true"}, json=payment)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model_version"] == "3" and answer.json()["fallback"] is None, answer.text
    return answer.json()["features"]["logins_3d"]


def test_a_login_that_is_told_counts_and_one_that_is_withdrawn_does_not(client: httpx.Client) -> None:
    before = logins(client, 1)
    answer = client.post(f"{PLACE}/facts/logins", json=LOGIN)
    assert answer.status_code == 200 and answer.json().keys() == {"login_id", "known_at"}
    assert client.post(f"{PLACE}/facts/logins", json=LOGIN).json() == answer.json(), "the same again counts once"
    others = [LOGIN | {"login_id": f"c{number}"} for number in range(3)]
    assert [each["login_id"] for each in client.post(f"{PLACE}/facts/logins", json=others).json()] == ["c0", "c1", "c2"]
    assert logins(client, 2) == before + 4
    corrected = client.post(f"{PLACE}/facts/logins", json=LOGIN | {"customer_id": 2})
    assert corrected.status_code == 200 and logins(client, 3) == before + 3
    assert client.delete(f"{PLACE}/facts/logins/c0").json()["login_id"] == "c0"
    assert client.delete(f"{PLACE}/facts/logins/c/1").status_code == 200
    assert logins(client, 4) == before + 2
    [_, known] = [each for each in client.get(f"{PLACE}/entities/1").json() if each["entity"] == "customer_id"]
    assert known["of"] == "logins" and known["facts"]["logins"] >= before + 2
    assert {"c1", "c2"} <= {each["id"] for each in known["latest_events"]} and known["features"] == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "visits", LOGIN, 404, "facts 'visits': expected one of ['logins']"),
        ("POST", "logins", LOGIN | {"seconds": "2"}, 400, "column seconds: expected a number, found '2'"),
        ("POST", "logins", LOGIN | {"seconds": 1e300}, 400, "column seconds: expected a number up to"),
        ("POST", "logins", {"login_id": "c9"}, 400, "column seconds: expected a value, found none"),
        ("POST", "logins", LOGIN | {"colour": "red"}, 400, "column 'colour': expected one of login_id"),
        ("POST", "logins", [LOGIN, 7], 400, "expected an object of columns by name"),
        ("POST", "logins", [], 400, "facts: expected 1 to 1,000 of them, found 0"),
        ("DELETE", "logins/nobody", None, 404, "logins 'nobody': expected one that is known, found none"),
        ("DELETE", "visits/1", None, 404, "facts 'visits'"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    client: httpx.Client, method: str, path: str, body: Any, status: int, message: str
) -> None:
    before = logins(client, 1)
    answer = client.request(method, f"{PLACE}/facts/{path}", json=body)
    assert answer.status_code == status and message in answer.json()["error"], answer.text
    assert logins(client, 2) == before


def test_the_description_says_how_logins_are_told(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    told = document["paths"][f"{PLACE}/facts/logins"]["post"]
    for example in told["requestBody"]["content"]["application/json"]["examples"].values():
        answer = client.post(f"{PLACE}/facts/logins", json=example["value"])
        schema = told["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**document, **schema}).validate(answer.json())
    gone = document["paths"][f"{PLACE}/facts/logins/{{id}}"]["delete"]["parameters"][0]["example"]
    assert client.delete(f"{PLACE}/facts/logins/{gone}").status_code == 200
    shape = document["components"]["schemas"][f"{SHOP.name}.Fact.logins"]
    assert shape["required"] == ["login_id", "seconds"] and shape["properties"]["seconds"]["maximum"] < 1e300
    Draft202012Validator({**document, **shape}).validate(LOGIN)
