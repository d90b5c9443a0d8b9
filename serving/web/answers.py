"""Answers of HTTP as JSON; an error is `{"error": ...}`, whoever refuses."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose body is `content` as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def error_answer(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says why there is no other."""
    return json_answer({"error": message}, status, headers)
