"""The decision service over HTTP: decisions, reports, corrections, and what is known of an entity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.decisions import other_facts, told
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import EventSchema, Given
from jobs.decisions.log_contents import Decided, EventCame, FactCame
from jobs.decisions.reasons import Reason
from jobs.decisions.told import UnknownEvent
from jobs.errors import Invalid
from serving.decisions import entities
from serving.decisions.answers import answer, moment
from serving.decisions.service import DecisionService
from serving.decisions.together import MOST_TOGETHER
from serving.web.answers import json_answer, with_refusals
from serving.web.body import BodyLimits, read_body
from serving.web.json_body import JsonLimits, decoded
from serving.web.refusal import Refusal, bad

PLACE = "/v1/{use_case}"
MOST_EVENTS = 1000
"""Events of one request."""
LIMITS = JsonLimits(items=100_000)
Services = Mapping[str, DecisionService]


class DecisionRoutes:
    """Handlers of the paths below `/v1/{use_case}`; services may come to be after them."""

    def __init__(self, services: Services, unopened: Mapping[str, str], limits: BodyLimits) -> None:
        self._services, self._unopened, self._limits = services, unopened, limits

    def routes(self) -> list[Route]:
        found = [
            ("POST", "/decisions", self.decide),
            ("POST", "/labels", self.report),
            ("POST", "/events", self.correct),
            ("DELETE", "/events/{id:path}", self.withdraw),
            ("DELETE", "/labels/{id:path}", self.withdraw),
            ("POST", "/facts/{source}", self.put_fact),
            ("DELETE", "/facts/{source}/{id:path}", self.withdraw_fact),
            ("GET", "/entities/{id:path}", self.entity),
        ]
        return [Route(PLACE + path, with_refusals(handler), methods=[method]) for method, path, handler in found]

    async def decide(self, request: Request) -> Response:
        began = time.perf_counter()
        service = self.service(request)
        asked = frozenset(name for name in ("explain", "features") if _flag(request, name))
        content = decoded(await read_body(request.scope, request.receive, self._limits), LIMITS)
        return json_answer(await decided(service, content, began, asked))

    async def report(self, request: Request) -> Response:
        service = self.service(request)
        content = object_of(decoded(await read_body(request.scope, request.receive, self._limits), LIMITS), "label")
        id, values, reported = known(lambda: service.labels.read(content))
        record = known(lambda: told.report(service.decider, id, values, reported))
        return json_answer({service.decider.schema.id: id, "known_at": moment(record.stamp)})

    async def correct(self, request: Request) -> Response:
        service = self.service(request)
        given = service.read(decoded(await read_body(request.scope, request.receive, self._limits), LIMITS))
        record = known(lambda: told.correct(service.decider, given))
        return json_answer({service.decider.schema.id: given.id, "known_at": moment(record.stamp)})

    async def withdraw(self, request: Request) -> Response:
        service = self.service(request)
        of = "labels" if "/labels/" in request.url.path else "events"
        id = known(lambda: service.decider.schema.typed_id(request.path_params["id"]))
        record = known(lambda: told.withdraw(service.decider, of, id))
        return json_answer({service.decider.schema.id: id, "known_at": moment(record.stamp)})

    async def put_fact(self, request: Request) -> Response:
        """A fact that is no event, or a list of them, of which none is kept if one cannot be read."""
        decider = self.service(request).decider
        source, schema = _facts_of(decider, request)
        content = decoded(await read_body(request.scope, request.receive, self._limits), LIMITS)
        several = content if isinstance(content, list) else [content]
        if not 1 <= len(several) <= MOST_EVENTS:
            raise bad(f"facts: expected 1 to {MOST_EVENTS:,} of them, found {len(several):,}; send them in parts")
        facts = [_fact(decider, source, schema, each) for each in several]
        answers = [_known_fact(decider, source, schema, each) for each in facts]
        return json_answer(answers if isinstance(content, list) else answers[0])

    async def withdraw_fact(self, request: Request) -> Response:
        decider = self.service(request).decider
        source, schema = _facts_of(decider, request)
        id = known(lambda: schema.typed_id(request.path_params["id"]))
        record = known(lambda: other_facts.withdraw(decider, source, id))
        return json_answer({schema.id: id, "known_at": moment(record.stamp)})

    async def entity(self, request: Request) -> Response:
        service = self.service(request)
        found = entities.known(service.decider, request.path_params["id"], request.query_params.get("entity"))
        if not found:
            raise Refusal(404, f"entity {request.path_params['id'][:80]!r}: expected one that is known, found none")
        return json_answer(found)

    def service(self, request: Request) -> DecisionService:
        """The service of the use case in a path. Raises Refusal if it is not served, or cannot decide."""
        name = request.path_params["use_case"]
        service = self._services.get(name)
        if service is None and name in self._unopened:
            raise Refusal(503, f"{name}: decisions are not to be had here: {self._unopened[name]}")
        if service is None:
            raise Refusal(
                404, f"use case {name[:80]!r}: expected one of {sorted(self._services)}; ask for one of these"
            )
        return service


async def decided(service: DecisionService, content: object, began: float, asked: Collection[str] = ()) -> Any:
    """The answer to a body: to one event, or a list of answers to a list of them.

    Args:
        asked: `explain` for reasons, `features` for all features.

    Raises:
        Refusal: an event cannot be read, in which case none of a list is decided, or one alone cannot be decided.
    """
    if not isinstance(content, list):
        return _answer(service, await service.decide(service.read(content), began), asked)
    if not 1 <= len(content) <= MOST_EVENTS:
        raise bad(f"events: expected 1 to {MOST_EVENTS:,} of them, found {len(content):,}; send them in parts")
    events = [_read(service, number, each) for number, each in enumerate(content)]
    answers: list[Any] = []
    for start in range(0, len(events), MOST_TOGETHER):
        together = events[start : start + MOST_TOGETHER]
        answers += await asyncio.gather(*(_of_many(service, event, asked) for event in together))
    return answers


async def _of_many(service: DecisionService, event: Given, asked: Collection[str]) -> Any:
    """The answer to one of many, or why there is none: the others are decided all the same."""
    try:
        return _answer(service, await service.decide(event, time.perf_counter()), asked)
    except Refusal as refusal:
        return {service.decider.schema.id: event.id, "error": str(refusal), "status": refusal.status}


def _answer(service: DecisionService, decided: Decided, asked: Collection[str]) -> dict[str, Any]:
    reasons: list[Reason] | None = service.reasons(decided) if "explain" in asked else None
    names = service.decider.rows.computed if "features" in asked else ()
    return answer(service.decider.schema.id, decided, service.decider.states.base.moment, names, reasons)


def _read(service: DecisionService, number: int, content: object) -> Given:
    try:
        given = service.read(content)
        states = service.decider.states
        states.checked(states.change(0, EventCame(given.id, given.values, given.happened)))
    except (Refusal, Invalid) as refused:
        raise bad(f"event {number} of the list: {refused}; none of the list was decided") from None
    return given


def _facts_of(decider: Decider, request: Request) -> tuple[str, EventSchema]:
    """The source in a path, and what its facts are like. Raises Refusal (404) if nothing counts them."""
    name, counted = request.path_params["source"], {each.source: each.schema for each in decider.rows.facts}
    if name not in counted:
        raise Refusal(404, f"facts {name[:80]!r}: expected one of {sorted(counted)}; send the facts of one of these")
    return name, counted[name]


def _fact(decider: Decider, source: str, schema: EventSchema, content: object) -> Given:
    """A fact of a request. Raises Refusal (400) for one that cannot be held."""
    given = known(lambda: schema.read(content))
    came = FactCame(source, given.id, given.happened or 0, given.values)
    known(lambda: decider.states.checked(decider.states.change(0, came)))
    return given  # type: ignore[no-any-return]


def _known_fact(decider: Decider, source: str, schema: EventSchema, given: Given) -> dict[str, Any]:
    since = known(lambda: other_facts.put_given(decider, source, given))
    return {schema.id: given.id, "known_at": moment(since)}


def object_of(content: object, what: str) -> dict[str, Any]:
    """A body that is one object. Raises Refusal (400) if it is another value."""
    if not isinstance(content, dict):
        raise bad(f"{what}: expected an object of columns by name, found another value; send one")
    return content


def known(tell: Callable[[], Any]) -> Any:
    """What is told, with refusals for what is wrong with it."""
    try:
        return tell()
    except UnknownEvent as error:
        raise Refusal(404, str(error)) from None
    except Invalid as error:
        raise bad(str(error)) from None
    except OSError as error:
        raise Refusal(503, f"nothing was kept, as the log did not take it ({error}); try again", 5.0) from error


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise bad(f"{name}: expected true or false, found {text[:40]!r}; correct it")
    return text == "true"
