"""The server's processes: one worker here, or several that share the ports."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import tempfile
from collections.abc import Iterator

import msgspec
import uvicorn

from jobs.decisions import opened
from jobs.errors import EvergreenError, Invalid
from jobs.settings import LOOPBACK, Settings
from jobs.use_cases.catalog import USE_CASES
from serving.app import OPTIONS_VARIABLE, ServeOptions, create
from serving.telemetry.registry import FOLDER_VARIABLE
from serving.web import api_keys
from serving.web.patient_protocol import PatientProtocol

DRAIN_SECONDS = 30
"""Requests that run when the server is told to end have this long."""
BACKLOG = 2048


def serve(settings: Settings, options: ServeOptions) -> None:
    """Serve until this process is told to end (SIGTERM, Ctrl-C); requests that run are answered first.

    Raises:
        Invalid: the port is taken, or other machines could ask and there are no keys.
    """
    check_reachable(settings, options.host)
    check_traces(settings)
    check_port(options.host, options.port)
    os.environ[OPTIONS_VARIABLE] = msgspec.json.encode(options).decode()
    with decision_bases(settings, options):
        _run(options)


@contextlib.contextmanager
def decision_bases(settings: Settings, options: ServeOptions) -> Iterator[None]:
    """Let all workers' decisions stand on the same tables: as they are now, or as other servers of this home have them.

    A use case without tables is left to its workers, which say why there are no decisions.
    """
    with contextlib.ExitStack() as held:
        for use_case in (each for each in USE_CASES if each.name in options.use_cases):
            handle = held.enter_context(opened.lease(settings, use_case))
            with contextlib.suppress(EvergreenError):
                opened.renew(settings, use_case, handle, options.clock)
        yield


def _run(options: ServeOptions) -> None:
    common = {
        "host": options.host, "port": options.port, "backlog": BACKLOG, "log_level": "warning", "access_log": False,
        "server_header": False, "timeout_graceful_shutdown": DRAIN_SECONDS,
        "http": PatientProtocol, "ws": "none",
    }  # fmt: skip
    if options.tls is not None:
        common |= {"ssl_certfile": options.tls.certificate, "ssl_keyfile": options.tls.key}
    if options.workers == 1:
        uvicorn.run(create(), **common)  # type: ignore[arg-type]
        return
    with tempfile.TemporaryDirectory(prefix="evergreen-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        uvicorn.run("serving.app:create", factory=True, workers=options.workers, **common)  # type: ignore[arg-type]


def check_reachable(settings: Settings, host: str) -> None:
    """Raise Invalid if other machines could ask a server that has neither keys nor an issuer of tokens."""
    if host not in LOOPBACK and not api_keys.stored(settings) and not settings.oidc_issuer:
        raise Invalid(
            f"--host {host}: expected a key, as other machines can reach this address, found none; make one by "
            "`evergreen keys add NAME --scope decide`, name an issuer of tokens by EVERGREEN_OIDC_ISSUER, or serve on "
            "127.0.0.1"
        )


def check_traces(settings: Settings) -> None:
    """Import what sends traces, if they are wanted, so that it is said at once where it is missing."""
    if settings.traces is not None:
        importlib.import_module("serving.telemetry.otlp")


def check_port(host: str, port: int) -> None:
    """Raise Invalid if no server can listen there."""
    if not (host and host.isprintable()):  # an empty host, or one that begins with NUL, would be every address
        raise Invalid(f"--host {host!r}: expected an address of this machine; choose one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, ValueError) as error:
            local = isinstance(error, OSError) and not isinstance(error, socket.gaierror)
            found = "it taken or not allowed" if local else "no address of this machine"
            raise Invalid(f"--host {host} --port {port}: expected a free port, found {found}; choose others") from error
