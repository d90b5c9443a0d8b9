"""Reviews as clients meet them: cases in the order of what is at stake, verdicts as reports, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from worlds.deciding_server import deciding

from jobs import settings
from jobs.decisions import log_contents, opened
from jobs.decisions.log_contents import Content, Handed, LabelCame, Unsure
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from serving.decisions.review_routes import WORDS
from serving.web import api_keys
from serving.web.access import scope_of
from serving.web.api_keys import SCOPES, Scope
from serving.web.callers import Caller

pytestmark = pytest.mark.embedded
REVIEWS = "/v1/fraud/reviews"
VERDICTS = [f'evergreen_verdicts_total{{use_case="fraud",verdict="{word}"}}' for word in WORDS]
CASE = {
    "transaction_id", "event", "score", "expected_loss", "reasons", "fallback", "model_version", "arm", "decided_at",
    "yours_until",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("reviews") / "home")})


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    with deciding(home, threshold=0.42) as address, httpx.Client(base_url=address, timeout=60) as found:
        yield found


def decided(client: httpx.Client, first_id: int, count: int = 40) -> list[dict[str, Any]]:
    """Answers to events of one customer and of all amounts."""
    events = [
        {"transaction_id": first_id + n, "customer_id": 1 + n % 5, "terminal_id": 100, "tx_amount": 3.5 * (n % 9)}
        for n in range(count)
    ]
    answer = client.post("/v1/fraud/decisions", json=events)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def logged(home: Settings, kind: type) -> list[Any]:
    with opened.log_of(home, FRAUD) as log:
        contents: list[Content] = [log_contents.decode(record.content) for record in log.records()]
    return [each for each in contents if isinstance(each, kind)]


def counted(client: httpx.Client, line: str) -> float:
    found = [each for each in client.get("/metrics").text.splitlines() if each.startswith(f"{line} ")]
    return float(found[0].split()[1]) if found else 0.0


def test_cases_come_with_what_a_reviewer_needs_and_leave_with_a_verdict(
    client: httpx.Client, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {each["transaction_id"]: each for each in decided(client, 50_000)}
    waiting = {id for id, each in answers.items() if each["decision"] == "review"}
    assert len(waiting) > 4
    with monkeypatch.context() as without:  # nobody reads the log for cases before somebody asks for some
        without.setattr("serving.decisions.service.LiveReviews", None)
        assert client.get("/metrics").status_code == 200
    cases = client.get(REVIEWS, params={"limit": 3, "reviewer": "ann"}).json()
    assert len(cases) == 3 and all(case.keys() == CASE for case in cases)
    losses = [case["expected_loss"] for case in cases]
    assert losses == sorted(losses, reverse=True)
    for case in cases:
        answer, event = answers[case["transaction_id"]], case["event"]
        assert all(case[name] == answer[name] for name in ("score", "model_version", "decided_at", "fallback"))
        assert case["expected_loss"] == answer["score"] * event["tx_amount"] and case["arm"] is None
        assert event["tx_datetime"] == case["decided_at"] and event["customer_id"] in range(1, 6)
        assert case["reasons"] and case["reasons"][0].keys() == {"feature", "value", "text", "effect"}
    others = client.get(REVIEWS, params={"limit": 3, "reviewer": "bob"}).json()
    ids = [case["transaction_id"] for case in cases]
    assert not {case["transaction_id"] for case in others} & set(ids)
    assert counted(client, 'evergreen_reviews_open{use_case="fraud"}') == len(waiting)

    before = [counted(client, line) for line in VERDICTS]
    for id, verdict in zip(ids, WORDS, strict=True):
        first = client.post(f"{REVIEWS}/{id}", json={"verdict": verdict, "reviewer": "ann"})
        assert first.status_code == 200 and first.json().keys() == {"transaction_id", "known_at"}
        again = client.post(f"{REVIEWS}/{id}", json={"verdict": verdict, "reviewer": "bob"})
        assert again.json() == first.json()
    told = {each.id: (each.values, each.reviewer) for each in logged(home, LabelCame) if each.reviewer}
    assert told == {ids[0]: ({"is_fraud": True}, "ann"), ids[1]: ({"is_fraud": False}, "ann")}
    assert [(each.id, each.reviewer) for each in logged(home, Unsure)] == [(ids[2], "ann")]
    assert counted(client, 'evergreen_reviews_open{use_case="fraud"}') == len(waiting) - 3
    assert [counted(client, line) for line in VERDICTS] == [count + 1 for count in before]
    entity = client.get(f"/v1/fraud/entities/{cases[0]['event']['customer_id']}?entity=customer_id").json()[0]
    assert {"id": ids[0], "is_fraud": True}.items() <= entity["latest_labels"][0].items() or ids[1] in {
        label["id"] for label in entity["latest_labels"]
    }
    assert {each.reviewer for each in logged(home, Handed)} == {"ann", "bob"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", f"{REVIEWS}?limit=0", None, 400, "limit: expected a number of cases from 1 to 100, found '0'"),
        ("GET", f"{REVIEWS}?limit=ten", None, 400, "limit: expected"),
        ("GET", f"{REVIEWS}?reviewer=%20", None, 400, "reviewer: expected a name"),
        ("POST", f"{REVIEWS}/1234567", {"verdict": "positive"}, 404, "event 1234567: expected one that is known"),
        ("POST", f"{REVIEWS}/abc", {"verdict": "positive"}, 400, "column transaction_id: expected an integer"),
        ("POST", f"{REVIEWS}/7", {"verdict": "maybe"}, 400, "one of positive, negative, unsure, found 'maybe'"),
        ("POST", f"{REVIEWS}/7", {"reviewer": "ann"}, 400, "verdict: expected one of"),
        ("POST", f"{REVIEWS}/7", {"verdict": ["positive"]}, 400, "verdict: expected one of"),
        ("POST", f"{REVIEWS}/7", {"verdict": "unsure", "reviewer": 7}, 400, "reviewer: expected a name"),
        ("POST", f"{REVIEWS}/7", {"verdict": "unsure", "when": 7}, 400, "column 'when': expected verdict and reviewer"),
        ("POST", f"{REVIEWS}/7", [], 400, "verdict: expected an object"),
        ("GET", "/v1/nobody/reviews", None, 404, "expected one of ['fraud', 'returns']"),
        ("DELETE", f"{REVIEWS}/7", None, 405, "Method Not Allowed"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    client: httpx.Client, method: str, path: str, body: Any, status: int, words: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status and words in answer.json()["error"], answer.text


def test_ids_that_are_texts_are_judged_as_well(client: httpx.Client) -> None:
    line = {"line_id": "a/b é", "buyer_id": 7, "item_id": "lamp", "quantity": 2, "unit_price": 4.5}
    assert client.post("/v1/returns/decisions", json=line).status_code == 200
    answer = client.post("/v1/returns/reviews/a%2Fb%20%C3%A9", json={"verdict": "negative"})
    assert answer.status_code == 200 and answer.json()["line_id"] == "a/b é"


def test_a_reviewer_needs_a_scope_that_opens_nothing_else(client: httpx.Client, home: Settings) -> None:
    paths = [("GET", REVIEWS), ("POST", f"{REVIEWS}/50000")]
    scopes: tuple[Scope, ...] = ("review", "decide", "read", "entities")
    keys = {scope: api_keys.add(home, scope, [scope], datetime.now(UTC)) for scope in scopes}
    try:
        for scope, key in keys.items():
            headers = {"X-API-Key": key}
            for method, path in paths:
                answer = client.request(method, path, headers=headers, json={"verdict": "unsure"})
                assert (answer.status_code == 200) == (scope == "review"), (scope, path, answer.text)
            others = [("POST", "/v1/fraud/decisions"), ("GET", "/v1"), ("GET", "/v1/fraud/entities/1")]
            if scope == "review":
                assert {client.request(*one, headers=headers).status_code for one in others} == {403}
    finally:
        api_keys.place(home).unlink()
    # Who gives no name is known by that of the key.
    assert "key review" in {each.reviewer for each in (*logged(home, Handed), *logged(home, Unsure))}
    assert scope_of("GET", "/v1/fraud/reviewsx") == "read" and scope_of("POST", "/v1/x/reviews/a/b") == "review"


def test_a_person_whom_a_token_names_is_the_reviewer_whatever_the_body_says() -> None:
    assert Caller("token ann@example.org", SCOPES).person == "ann@example.org"
    assert Caller("key shop", SCOPES).person is None
