"""The decision service as an ASGI application: what one worker answers over HTTP, and over gRPC beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from jobs import pauses
from jobs import settings as settings_module
from jobs.decisions.opened import wall_clock
from jobs.online.scanning import prepared
from jobs.settings import LOOPBACK, Settings
from jobs.use_cases.catalog import USE_CASES
from serving.decisions import hot_decisions
from serving.decisions.services import DecisionServices
from serving.description import routes as description_routes
from serving.grpc_server import GrpcServer
from serving.inference_protocol import http_routes
from serving.live_models.watch import LiveModels
from serving.page import routes as page_routes
from serving.telemetry import tracing
from serving.telemetry.watch import Watch
from serving.tls import TlsFiles
from serving.web import health
from serving.web.access import Access
from serving.web.answers import error_answer
from serving.web.body import BodyLimits
from serving.web.guard import OWN_ERROR, Guard
from serving.web.hot_paths import HotPaths
from serving.web.rate_limits import RateLimits

OPTIONS_VARIABLE = "EVERGREEN_SERVE_OPTIONS"
"""How workers, which are processes of their own, are told what to serve."""


@dataclass(frozen=True)
class ServeOptions:
    """What a server serves, and where."""

    use_cases: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    """None: no gRPC."""
    workers: int = 1
    rate: float | None = None
    """Requests a second of each caller whose key says no other; None: no limit."""
    tls: TlsFiles | None = None
    """None: without TLS."""
    began_at: int | None = None
    """Moment, in microseconds since 1970, that the server's clock showed at `began`; None: it shows the time."""
    began: float = 0.0
    """Seconds of the system's clock that only goes on."""

    def clock(self) -> int:
        """Microseconds since 1970, by which decisions are made."""
        if self.began_at is None:
            return wall_clock()
        return self.began_at + round((time.monotonic() - self.began) * 1e6)


def create() -> Guard:
    """The application of a worker, by the environment that `serving.process` sets."""
    options = msgspec.json.decode(os.environ[OPTIONS_VARIABLE], type=ServeOptions)
    return application(settings_module.load(), options)


def application(settings: Settings, options: ServeOptions) -> Guard:
    """The application; models are loaded, and gRPC listens, when it starts."""
    use_cases = [each for each in USE_CASES if each.name in options.use_cases]
    models = LiveModels(settings, use_cases)
    access = Access(settings, RateLimits(options.rate, options.workers), alone=options.host in LOOPBACK)
    prepared.prepare_beside()
    decisions = DecisionServices(settings, models, options.clock)
    watch = Watch(settings, models, decisions.open_services, options.clock)
    routes = [
        *health.routes(models, decisions, watch, options.workers > 1),
        *http_routes.routes(models, BodyLimits()),
        *decisions.routes(BodyLimits()),
        *page_routes.routes(),
        *description_routes.routes(use_cases, models, decisions, options.workers > 1),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        decisions.open(use_cases)
        models.start()
        watch.start()
        tracing.start(settings)
        pauses.spare_the_collector()
        port = options.grpc_port
        grpc = None
        if port is not None:
            grpc = GrpcServer(models, decisions.open_services, access, (options.host, port), options.tls)
        try:
            yield
        finally:
            if grpc is not None:
                await asyncio.to_thread(grpc.stop)  # calls that run are answered in this loop
            models.stop()
            watch.stop()
            decisions.stop()
            await asyncio.to_thread(tracing.stop)

    handlers = {HTTPException: _unknown, Exception: _broken}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    limits = BodyLimits()
    hot = HotPaths(hot_decisions.hot(decisions.open_services, limits), http_routes.hot(models, limits))
    guard = Guard(app, access, routes, hot)
    watch.running = lambda: guard.running
    return guard


async def _unknown(request: Request, error: Exception) -> Response:
    """A path or method that there is not, as other errors are told."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path[:200]}: {error.detail}; see the paths in docs/online/serving.md"
    return error_answer(message, error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    return error_answer(OWN_ERROR, 500)
