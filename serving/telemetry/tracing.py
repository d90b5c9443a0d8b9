"""Which requests are followed through the system, and what is kept of each; nothing where traces are off.

A client that follows its own request says so by the header `traceparent` (W3C Trace Context), and is believed. Of the
others a share is followed, by chance. How traces are sent is in `serving.telemetry.otlp`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from jobs.decisions.log_contents import Decided
from jobs.settings import Settings
from serving.telemetry.stages import Stages

PARENT, STATE = "traceparent", "tracestate"
STATUS = "http.response.status_code"
_NAMES = {name: name for name in (PARENT, STATE)} | {name.encode(): name for name in (PARENT, STATE)}
_OF_CLIENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
Headers = Iterable[tuple[str | bytes, str | bytes]]
Attributes = dict[str, str | int]


@dataclass(slots=True)
class Followed:
    """A request that is followed."""

    client: dict[str, str]
    """What its client says of the trace that it belongs to, by header."""
    began: float = field(default_factory=time.perf_counter)
    stages: list[Stages] = field(default_factory=list)
    attributes: Attributes = field(default_factory=dict)

    def passed(self, stages: Stages) -> None:
        """Keep stages that it went through; once, if several of its events went through them together."""
        if all(each is not stages for each in self.stages):
            self.stages.append(stages)

    def decided(self, use_case: str, decided: Decided) -> None:
        """Keep what was decided; of several decisions the last, and how many there are."""
        told: Attributes = {
            "use_case": use_case, "model_version": decided.model_version or "none",
            "fallback": decided.fallback or "none", "decision": decided.outcome.decision or "none",
        }  # fmt: skip
        self.attributes |= {f"evergreen.{name}": value for name, value in told.items()}
        self.attributes["evergreen.decisions"] = int(self.attributes.get("evergreen.decisions", 0)) + 1


class Spans(Protocol):
    """What makes spans of requests that were followed, and sends them."""

    def send(self, followed: Followed, name: str, attributes: Attributes) -> None: ...
    def stop(self) -> None: ...


CURRENT: ContextVar[Followed | None] = ContextVar("followed", default=None)
"""The request that the running code works on, if it is followed."""
_spans: Spans | None = None
_share = 0.0


def start(settings: Settings) -> None:
    """Follow requests from now on, if the settings say where traces go."""
    global _spans, _share
    if settings.traces is not None:
        from serving.telemetry.otlp import OtlpSpans  # imports OpenTelemetry

        _spans, _share = OtlpSpans(settings.traces), settings.traces_share


def stop() -> None:
    """Follow no more, and send what was kept as far as somebody takes it soon."""
    global _spans
    spans, _spans = _spans, None
    if spans is not None:
        spans.stop()


def begin(headers: Headers) -> Followed | None:
    """Follow a request from here on; None: it is not followed."""
    if _spans is None:
        return None
    client = {_NAMES[name]: _text(value) for name, value in headers if name in _NAMES}
    of_client = _OF_CLIENT.fullmatch(client.get(PARENT, ""))
    if not (int(of_client[1], 16) & 1 if of_client else random.random() < _share):
        return None
    followed = Followed(client if of_client else {})
    CURRENT.set(followed)
    return followed


def end(followed: Followed, name: str, attributes: Attributes) -> None:
    """Send what was kept of a request that was answered just now."""
    CURRENT.set(None)
    if _spans is not None:
        _spans.send(followed, name, attributes)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
