"""`evergreen serve`: parsing and printing; the server is in `serving.process`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from jobs import settings
from jobs.display import listed
from jobs.errors import EvergreenError
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_case import UseCase
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
@click.option("--check", "only_check", is_flag=True, help="Serve nothing: compute all decisions again, and compare.")
@click.option(
    "--as-of",
    type=MOMENT,
    help="Decide as if it were this moment (UTC), from which the clock goes on; to try it on past data.",
)
def serve(names: tuple[str, ...], only_check: bool, as_of: datetime | None, **listening: Any) -> None:
    """Decide about events as they come, and serve the exported champion (HTTP, gRPC), until told to end."""
    from jobs.promotion import export_onnx
    from jobs.use_cases.catalog import USE_CASES
    from serving import process, tls
    from serving.app import ServeOptions
    from serving.live_models.watch import LiveModels

    files, found = tls.checked(listening.pop("tls_cert"), listening.pop("tls_key")), settings.load()
    wanted = [use_case_named(name) for name in names] if names else USE_CASES
    if only_check:
        _check(found, wanted)
        return
    exported = [each for each in wanted if names or (export_onnx.root(found, each) / export_onnx.POINTER).exists()]
    LiveModels(found, exported or USE_CASES).require()
    clock: dict[str, Any] = (
        {} if as_of is None else {"began_at": microseconds(as_of.replace(tzinfo=UTC)), "began": time.monotonic()}
    )
    options = ServeOptions(tuple(dict.fromkeys(each.name for each in exported)), tls=files, **listening, **clock)
    place = f"{'https' if files else 'http'}://{options.host}:{options.port}"
    say(f"Serving {', '.join(options.use_cases)} at {place} (end it with Ctrl-C)")
    process.serve(found, options)


def _check(found: Settings, use_cases: Sequence[UseCase]) -> None:
    """Compare what was decided with the batch kernel. Raises EvergreenError if a cell differs."""
    from jobs.checks import online_decisions
    from jobs.lakehouse.tables import attach

    differing = []
    for use_case in use_cases:
        say(f"{use_case.name}: computing all decisions again ...")
        compared = online_decisions.compared(attach(found), use_case)
        outcome = online_decisions.equal_batch(compared)
        say(f"{use_case.name}: {outcome.text}")
        for each in compared.examples if compared else ():
            say(f"  {each.feature} of {each.id}: decided by {each.decided!r}, computed again {each.recomputed!r}")
        differing += [] if outcome.passed else [use_case.name]
    if differing:
        raise EvergreenError(
            f"decisions of {listed(differing)}: expected what the batch kernel computes of the log, found other "
            "values; keep the log, and report them"
        )
