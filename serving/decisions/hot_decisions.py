"""Decisions with nothing asked besides, which take no route."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from starlette.types import Receive, Scope

from serving.decisions.routes import LIMITS, PLACE, Services, decided
from serving.decisions.service import DecisionService
from serving.web.body import BodyLimits, read_body
from serving.web.hot_paths import Answer, Find, HotPath
from serving.web.json_body import decoded

ROUTE = f"{PLACE}/decisions"


def hot(services: Services, limits: BodyLimits) -> Find:
    """What finds the service that a path names."""

    async def answer(service: DecisionService, scope: Scope, receive: Receive) -> Answer:
        began = time.perf_counter()
        content = decoded(await read_body(scope, receive, limits), LIMITS)
        return Answer(msgspec.json.encode(await decided(service, content, began)))

    def find(parts: Sequence[str]) -> HotPath | None:
        if len(parts) != 4 or parts[1] != "v1" or parts[3] != "decisions":
            return None
        service = services.get(parts[2])
        return None if service is None else HotPath(ROUTE, answer, service)

    return find
