"""`evergreen maintain`: the work is in `jobs.lakehouse.maintenance`."""

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import say

HOURS = click.FloatRange(0, 1e6)


@click.command()
@use_case_option
@click.option(
    "--retain-hours",
    type=click.FloatRange(0, 1e6),
    default=168.0,
    show_default=True,
    help="Keep removed files this long.",
)
def maintain(name: str, retain_hours: float) -> None:
    """Compact and vacuum the tables; versions that a training set was built from always stay readable."""
    from jobs.lakehouse import maintenance
    from jobs.lakehouse.tables import attach

    for line in maintenance.run(attach(settings.load()), use_case_named(name), retain_hours):
        say(line)
