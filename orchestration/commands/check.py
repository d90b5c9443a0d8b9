"""`evergreen check`: parsing and printing; what loads would do is found out in `jobs.ingest.check`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs import path_alias, settings
from orchestration.options import MOMENT, chosen_files, columns_option, input_files, use_case_named, use_case_option
from orchestration.printing import complain, json_option, moment, print_details, print_json, print_table, say

if TYPE_CHECKING:
    from jobs.ingest.check import Check
    from jobs.ingest.check_report import CheckedInput

REFUSED = 3
"""Exit status where a load would be refused."""


@click.command()
@use_case_option
@input_files
@columns_option
@click.option("--as-of", type=MOMENT, help="As a run would know the world then (UTC); default: end of the input.")
@json_option
@click.option("--rows", type=click.IntRange(min=0), default=0, help="Print the first N rows as they would be stored.")
def check(
    name: str, columns: Path | None, as_of: datetime | None, as_json: bool, rows: int, **files: tuple[Path, ...]
) -> None:
    """Read inputs as `evergreen run` would, and say what is in them; nothing is written.

    Without files, the registered ones are read. Exits with 3 where a load would be refused.
    """
    # The name of a home that is not there yet may have got a folder and a link already.
    click.get_current_context().call_on_close(path_alias.unmake)
    now = datetime.now(UTC)
    found = _checked(name, chosen_files(files), columns, as_of.replace(tzinfo=UTC) if as_of else None, now)
    if as_json:
        inputs = {checked.name: checked.summary() for checked in found.inputs}
        print_json({"inputs": inputs, "rows": {checked.name: checked.first_rows(rows) for checked in found.inputs}})
    else:
        for checked in found.inputs:
            _print(checked, rows)
    for text in found.missing:
        complain(text, "Not given")
    for refusal in found.refusals:
        complain(refusal, "A load would be refused")
    if found.refusals:
        raise click.exceptions.Exit(REFUSED)


def _checked(
    name: str, files: dict[str, tuple[Path, ...]], columns: Path | None, as_of: datetime | None, now: datetime
) -> Check:
    from jobs.ingest import check as checks
    from jobs.ingest import registered_inputs

    use_case, home = use_case_named(name), settings.load()
    if files:
        return checks.check_files(home, use_case, files, columns, as_of, now)
    known = registered_inputs.registered(home, use_case)
    if known is None or columns:
        raise click.UsageError(f"expected a file, as in `--{use_case.sources[0].input} FILE`, found none; name one")
    return checks.check(home, use_case, known, as_of, now)


def _print(checked: CheckedInput, rows: int) -> None:
    span = f"{moment(checked.first_event)} to {moment(checked.last_event)} UTC" if checked.first_event else "no event"
    bad = checked.read - checked.good
    say(f"{checked.name}: {checked.read:,} rows read, {checked.good:,} good, {bad:,} to quarantine; {span}")
    columns = [{"column": column, **about} for column, about in checked.columns.items()]
    if columns:
        print_table("Columns", [{k.replace("_", " "): v for k, v in row.items()} for row in columns])
    if checked.left_out:
        say(f"Left out, as they are not declared: {', '.join(checked.left_out)}\n")
    if checked.quarantined:
        reasons = [{**q, **q["first"]} for q in checked.quarantined]
        shown = ("reason", "rows", "line", "value")
        print_table("To quarantine", [{name: q[name] for name in shown} for q in reasons])
    for text in checked.suspicious:
        say(text, "look at", "yellow")
    if first := checked.first_rows(rows):
        print_details("As they would be stored:", first)
    say("")
