"""`evergreen serve`: parsing and printing; the server is in `serving.process`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import click

from jobs import settings
from jobs.times import microseconds
from orchestration.options import MOMENT, PORT, RATE, complete_use_case, use_case_named
from orchestration.printing import say

MOST_WORKERS = 64


@click.command()
@click.option(
    "--use-case",
    "names",
    multiple=True,
    shell_complete=complete_use_case,
    help="Serve this one; may be given several times.  [default: every one with an exported model]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another needs a key (`evergreen keys add`).")
@click.option("--port", type=PORT, default=8080, show_default=True)
@click.option("--grpc-port", type=PORT, help="Answer gRPC there too.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=1, show_default=True)
@click.option(
    "--rate", type=RATE, help="Requests a second of each caller whose key says no other.  [default: no limit]"
)
@click.option("--tls-cert", metavar="FILE", help="Certificate in PEM, with those that lead to its authority.")
@click.option("--tls-key", metavar="FILE", help="Its private key in PEM, which others must not be able to read.")
@click.option(
    "--as-of",
    type=MOMENT,
    help="Decide as if it were this moment (UTC), from which the clock goes on; to try it on past data.",
)
def serve(
    names: tuple[str, ...], as_of: datetime | None, tls_cert: str | None, tls_key: str | None, **listening: Any
) -> None:
    """Decide about events as they come, and serve the exported champion (HTTP, gRPC), until told to end."""
    from jobs.promotion import export_onnx
    from jobs.use_cases.catalog import USE_CASES
    from serving import process, tls
    from serving.app import ServeOptions
    from serving.live_models.watch import LiveModels

    files, found = tls.checked(tls_cert, tls_key), settings.load()
    wanted = [use_case_named(name) for name in names] if names else USE_CASES
    exported = [each for each in wanted if names or (export_onnx.root(found, each) / export_onnx.POINTER).exists()]
    LiveModels(found, exported or USE_CASES).require()
    clock: dict[str, Any] = (
        {} if as_of is None else {"began_at": microseconds(as_of.replace(tzinfo=UTC)), "began": time.monotonic()}
    )
    options = ServeOptions(tuple(dict.fromkeys(each.name for each in exported)), tls=files, **listening, **clock)
    place = f"{'https' if files else 'http'}://{options.host}:{options.port}"
    say(f"Serving {', '.join(options.use_cases)} at {place} (end it with Ctrl-C)")
    process.serve(found, options)
