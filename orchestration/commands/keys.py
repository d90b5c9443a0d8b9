"""`evergreen keys`: API keys of the server, see `serving.web.api_keys`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings
from orchestration.options import RATE
from orchestration.printing import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from serving.web.api_keys import ApiKey

SCOPES = click.Choice(["decide", "read", "entities", "review", "metrics", "admin"])


@click.group()
def keys() -> None:
    """API keys of `evergreen serve`: who may ask it what."""


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", type=SCOPES, multiple=True, default=("decide",), show_default=True)
@click.option(
    "--rate", type=RATE, help="Requests a second, twice as many at once.  [default: what the server grants everybody]"
)
def add(name: str, scopes: tuple[str, ...], rate: float | None) -> None:
    """Make a key and print it: it is kept as a hash, and shown this once."""
    from serving.web import api_keys

    key = api_keys.add(settings.load(), name, scopes, datetime.now(UTC), rate)  # type: ignore[arg-type]
    say(f"The key {name} opens {', '.join(scopes)}; it is not shown again.")
    say(key)


@keys.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """Print names and scopes of all keys."""
    from serving.web import api_keys

    kept = api_keys.stored(settings.load())
    if as_json:
        print_json([{name: value for name, value in asdict(key).items() if name != "sha256"} for key in kept])
    elif kept:
        print_table("API keys", [_line(key) for key in kept])
    else:
        say("No keys yet: the server answers on this machine only. `evergreen keys add NAME` makes one.")


@keys.command("log")
@click.option("--most", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Print so many.")
@json_option
def print_log(most: int, as_json: bool) -> None:
    """Print what administrators did, the newest first: keys, and calls that only the scope admin opened."""
    from jobs.ledger import admin_actions

    rows = [{"at": at, **vars(done)} for at, done in admin_actions.latest(settings.load(), most)]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("What administrators did", [row | {"at": f"{row['at']:%Y-%m-%d %H:%M:%S}"} for row in rows])
    else:
        say("Nothing yet: no key was made or removed, and no call needed the scope admin.")


def _line(key: ApiKey) -> dict[str, object]:
    rate = "" if key.rate is None else f"{key.rate:g}/s"
    return {"name": key.name, "scopes": ", ".join(key.scopes), "rate": rate, "made": key.made_at[:16]}


@keys.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a key; servers refuse it within a second."""
    from serving.web import api_keys

    api_keys.remove(settings.load(), name, datetime.now(UTC))
    say(f"The key {name} is removed.")
