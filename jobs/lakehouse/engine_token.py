"""The token of an embedded engine, by which its clients know it: whoever answers at its port without it is a stranger.

It is in the record that only the owner of the home may read, and in a session of the engine that no client works in.
The server shows it; clients never send it.
"""

from __future__ import annotations

import grpc
import pyspark.sql.connect.proto as messages
from pyspark.sql.connect.proto.base_pb2_grpc import SparkConnectServiceStub

from jobs.loopback import HOST

NAME = "evergreen.token"
SECONDS = 60.0
"""Until a busy engine answers."""
Operation = messages.ConfigRequest.Operation


def give(port: int, session_id: str, token: str) -> None:
    """Let the engine at a port show a token. Raises grpc.RpcError."""
    pair = messages.KeyValue(key=NAME, value=token)
    _call(port, session_id, Operation(set=messages.ConfigRequest.Set(pairs=[pair])))


def shown(port: int, session_id: str) -> str | None:
    """What the server at a port shows; None: none, or no engine."""
    try:
        answer = _call(port, session_id, Operation(get_option=messages.ConfigRequest.GetOption(keys=[NAME])))
    except grpc.RpcError:
        return None
    return next((pair.value for pair in answer.pairs if pair.key == NAME), None)


def _call(port: int, session_id: str, operation: Operation) -> messages.ConfigResponse:
    request = messages.ConfigRequest(
        session_id=session_id, user_context=messages.UserContext(user_id="evergreen"), operation=operation
    )
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        stub = SparkConnectServiceStub(channel)  # type: ignore[no-untyped-call]
        answer: messages.ConfigResponse = stub.Config(request, timeout=SECONDS)
        return answer
