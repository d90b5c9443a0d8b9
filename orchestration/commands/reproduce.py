"""`evergreen reproduce`: what `jobs.backtesting.reproduce` compared, printed. Nothing is computed here."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.lakehouse.tables import attach
from jobs.registry.bundle import BundleError
from jobs.registry.tracking import TrackingUnavailable
from jobs.settings import Settings
from jobs.use_case import UseCase

console = Console(highlight=False)


def run(settings: Settings, use_case: UseCase, version: int, tune: bool) -> int:
    """Print what was recorded beside what came out; 0 if all of it is the same."""
    from jobs.backtesting.reproduce import reproduce

    try:
        compared = reproduce(attach(settings), use_case, version, tune)
    except (ValueError, BundleError, TrackingUnavailable) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {escape(str(error))}", soft_wrap=True)
        return 1
    table = Table(title=f"{use_case.name} {version}, trained again", title_justify="left")
    for column in ("what", "recorded", "again", ""):
        table.add_column(column)
    for one in compared:
        table.add_row(one.name, str(one.recorded), str(one.found), "same" if one.equal else "[red]differs[/red]")
    console.print(table)
    return int(not all(one.equal for one in compared))
