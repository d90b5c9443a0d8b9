"""Spans of followed requests by OpenTelemetry, sent over OTLP/HTTP in batches by a thread of its own.

A collector that does not answer costs a request nothing: batches wait in a bounded queue, and are dropped.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.secret import Url
from serving.telemetry.tracing import STATUS, Attributes, Followed

SEND_SECONDS, STOP_SECONDS = 2.0, 3.0
"""How long a batch is tried to be sent, and how long the end of the server waits for the last ones."""


class OtlpSpans:
    """Of one worker."""

    def __init__(self, url: Url) -> None:
        """url: of a collector, without the path of traces."""
        name = {"service.name": "evergreen", "service.version": version("evergreen-ml")}
        own = Resource.create(name | {"service.instance.id": f"{socket.gethostname()}:{os.getpid()}"})
        # Who is followed was decided before.
        self._provider = TracerProvider(ALWAYS_ON, own, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{url.reveal().rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("evergreen")

    def send(self, followed: Followed, name: str, attributes: Attributes) -> None:
        """Make the spans of a request that ended just now: one of it, and within it one of each stage."""
        to_wall = time.time_ns() - time.perf_counter_ns()
        parent = TraceContextTextMapPropagator().extract(followed.client)
        span = self._tracer.start_span(
            name, parent, SpanKind.SERVER, followed.attributes | attributes,
            start_time=to_wall + round(followed.began * 1e9),
        )  # fmt: skip
        within = set_span_in_context(span)
        for stages in followed.stages:
            for stage, began, ended in stages:
                child = self._tracer.start_span(stage, within, start_time=to_wall + round(began * 1e9))
                child.set_attribute("evergreen.events", stages.events)
                child.end(to_wall + round(ended * 1e9))
        if int(attributes.get(STATUS, 0)) >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def stop(self) -> None:
        """Send what waits, and end; a collector that takes too long gets no more."""
        thread = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        thread.start()
        thread.join(STOP_SECONDS)
