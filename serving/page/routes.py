"""The page at `/`, where a person tries a decision and sees the traffic: static files that hold no data themselves.

What the page shows it asks for as any client does, with a key if the server has keys.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILES = {
    "/": ("index.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path -> file and media type."""


def routes() -> list[Route]:
    """A route for each file, read once."""
    return [_route(path, Path(__file__).with_name(name), media) for path, (name, media) in FILES.items()]


def _route(path: str, file: Path, media: str) -> Route:
    content = file.read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=media)

    return Route(path, answer, methods=["GET"])
