"""An ASGI application behind a real server, in a thread of this process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from jobs.loopback import free_port
from serving.web.patient_protocol import PatientProtocol


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of the application while it is served."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", server_header=False, http=PatientProtocol)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
