"""Reviews over HTTP: cases that wait for a person, the ones that matter most first, and verdicts about them.

Both need the scope `review` alone: who looks at cases need not be able to send events, or to look up anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobs.decisions.live_reviews import LONGEST_NAME, HandedCase, LiveVerdict
from jobs.rollout_strategy import CHAMPION
from serving.decisions.answers import moment
from serving.decisions.routes import LIMITS, PLACE, known, object_of
from serving.decisions.service import DecisionService
from serving.telemetry.review_metrics import VERDICTS
from serving.web.answers import json_answer, with_refusals
from serving.web.body import BodyLimits, read_body
from serving.web.callers import CALLER, Caller
from serving.web.json_body import decoded
from serving.web.refusal import bad

USUAL_CASES, MOST_CASES = 10, 100
"""Cases of one answer: as many as are asked for, and at most."""
WORDS: tuple[str, ...] = get_args(LiveVerdict)


class ReviewRoutes:
    """Handlers of the paths below `/v1/{use_case}/reviews`."""

    def __init__(self, service: Callable[[Request], DecisionService], limits: BodyLimits) -> None:
        """service: that of the use case in a request's path, or raises Refusal."""
        self._service, self._limits = service, limits

    def routes(self) -> list[Route]:
        found = [("GET", "/reviews", self.cases), ("POST", "/reviews/{id:path}", self.judge)]
        return [Route(PLACE + path, with_refusals(handler), methods=[method]) for method, path, handler in found]

    async def cases(self, request: Request) -> Response:
        service, limit = self._service(request), _limit(request)
        reviewer = _reviewer(request, request.query_params.get("reviewer"))
        # Reading what the log got since takes a while where nobody asked for long, and so do reasons.
        return json_answer(await asyncio.to_thread(_cases, service, reviewer, limit))

    async def judge(self, request: Request) -> Response:
        service = self._service(request)
        content = object_of(decoded(await read_body(request.scope, request.receive, self._limits), LIMITS), "verdict")
        verdict, name = _verdict(content)
        reviewer = _reviewer(request, name)
        id = known(lambda: service.decider.schema.typed_id(request.path_params["id"]))
        judged = known(lambda: service.reviews.judge(id, verdict, reviewer))
        if judged.is_new:
            VERDICTS.labels(service.use_case.name, verdict).inc()
        return json_answer({service.decider.schema.id: id, "known_at": moment(judged.moment)})


def _cases(service: DecisionService, reviewer: str, limit: int) -> list[dict[str, Any]]:
    return [_shown(service, each) for each in known(lambda: service.reviews.hand_out(reviewer, limit))]


def _shown(service: DecisionService, handed: HandedCase) -> dict[str, Any]:
    """A case as a reviewer needs it."""
    case, decided, came, until = handed
    schema = service.decider.schema
    return {
        schema.id: case.id,
        "event": {schema.time: moment(came.time(decided.decided_at)), **came.values},
        "score": decided.outcome.score, "expected_loss": case.loss, "reasons": service.reasons(decided),
        "fallback": decided.fallback, "model_version": decided.model_version,
        "arm": None if decided.arm == CHAMPION else decided.arm,
        "decided_at": moment(decided.decided_at), "yours_until": moment(until),
    }  # fmt: skip


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(USUAL_CASES))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_CASES)) and 1 <= int(text) <= MOST_CASES):
        raise bad(f"limit: expected a number of cases from 1 to {MOST_CASES}, found {text[:40]!r}; correct it")
    return int(text)


def _verdict(content: dict[str, Any]) -> tuple[LiveVerdict, object]:
    """The verdict in a body, and who gives it."""
    if unknown := content.keys() - {"verdict", "reviewer"}:
        raise bad(f"column {str(min(unknown))[:80]!r}: expected verdict and reviewer; leave it out")
    word = content.get("verdict")
    if word not in WORDS:
        raise bad(f"verdict: expected one of {', '.join(WORDS)}, found {str(word)[:40]!r}; correct it")
    return word, content.get("reviewer")


def _reviewer(request: Request, given: object) -> str:
    """Who reviews: the person whom a token names, else the name that was given, else that of the key.

    Raises Refusal (400) if a name that was given is no name.
    """
    caller: Caller | None = request.scope.get(CALLER)
    if caller is not None and caller.person is not None:
        return caller.person
    if given is None:
        return "" if caller is None else caller.name
    if not (isinstance(given, str) and given.strip() and given.isprintable() and len(given) <= LONGEST_NAME):
        raise bad(f"reviewer: expected a name of 1 to {LONGEST_NAME} letters, found {str(given)[:40]!r}; correct it")
    return given.strip()
