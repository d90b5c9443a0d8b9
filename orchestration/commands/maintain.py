"""`evergreen maintain`: the work is in `jobs.lakehouse.maintenance` and `orchestration.run_logs`."""

from datetime import UTC, datetime, timedelta

import click

from jobs import settings
from orchestration.options import use_case_named, use_case_option
from orchestration.printing import say


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
    """Compact and vacuum the tables, and remove the logs of old runs.

    Versions that a training set was built from always stay readable. EVERGREEN_KEEP_LOGS_DAYS says how old.
    """
    from jobs.lakehouse import maintenance
    from jobs.lakehouse.tables import attach
    from orchestration import run_logs
    from orchestration.instance import open_instance

    own = settings.load()
    for line in maintenance.run(attach(own), use_case_named(name), retain_hours):
        say(line)
    before = datetime.now(UTC) - timedelta(days=own.keep_logs_days)
    with open_instance(own) as instance:
        removed = run_logs.remove(instance, before)
    say(f"runs: logs of {removed} that ended before {before:%Y-%m-%d} removed")
