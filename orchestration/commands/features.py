"""`evergreen features`: parsing and printing; the values are read in `jobs.datasets.entity_values`.

The search for features is a command of this group, in `orchestration.commands.feature_search`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobs import settings as settings_module
from jobs.display import written
from orchestration.commands.feature_search import search
from orchestration.options import MOMENT, use_case_named, use_case_option
from orchestration.printing import json_option, moment, print_entries, print_json, say

if TYPE_CHECKING:
    from jobs.datasets.entity_values import EntityValue


class _OfEntity(click.Group):
    """What names no command of the group is an identifier: `features 17` is `features of 17`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["of", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OfEntity)
def features() -> None:
    """Print the features of an entity (`features ENTITY`), or search for better ones (`features search`)."""


features.add_command(search)


@features.command()
@click.argument("identifiers", metavar="ENTITY", nargs=-1, required=True)
@use_case_option
@click.option(
    "--entity",
    help="Column of the identifier, such as customer_id (of several: a,b); default: the first with features.",
)
@click.option("--as-of", type=MOMENT, help="Values as they were known then (UTC); default: now.")
@json_option
def of(identifiers: tuple[str, ...], name: str, entity: str | None, as_of: datetime | None, as_json: bool) -> None:
    """Print the features of one ENTITY, such as a customer given by its identifier, each with its meaning.

    They are those of its latest event that was known at that moment, as training and scoring read them, and those of
    its profile.
    """
    from jobs.datasets.entity_values import entity_values
    from jobs.ingest import registered_inputs
    from jobs.lakehouse.tables import attach

    settings, use_case, now = settings_module.load(), use_case_named(name), datetime.now(UTC)
    keys = tuple(entity.split(",")) if entity else use_case.windows[0].keys
    known, at = registered_inputs.registered(settings, use_case), as_of.replace(tzinfo=UTC) if as_of else now
    if known and as_of:
        known.checked_as_of(at, now)
    values = entity_values(attach(settings), use_case, keys, identifiers, at)
    title = " and ".join(f"{key} {text}" for key, text in zip(keys, identifiers, strict=True))
    if as_json:
        print_json([vars(value) for value in values])
    elif values:
        _print(title, values)
    else:
        say(f"No event of {title} was known as of {moment(at)} UTC; `evergreen run` loads events.")


def _print(title: str, values: list[EntityValue]) -> None:
    for table in dict.fromkeys(value.table for value in values):
        rows = [value for value in values if value.table == table]
        what = "profile" if rows[0].event_id is None else f"event {rows[0].event_id}"
        event = f"{what} of {moment(rows[0].event_timestamp)} UTC"
        entries = [(row.feature, written(row.value), row.meaning) for row in rows]
        print_entries(f"{title} in {table}: {event}", entries)
