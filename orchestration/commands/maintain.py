"""`evergreen maintain`: the work is in `jobs.lakehouse.maintenance` and `orchestration.run_logs`."""

from datetime import UTC, datetime, timedelta

import click

from jobs import settings
from orchestration.options import Between, use_case_named, use_case_option
from orchestration.printing import say

A_DAY = 24.0
"""Hours, and longer than any run."""


@click.command()
@use_case_option
@click.option(
    "--retain-hours",
    type=Between(0, 1e6),
    default=168.0,
    show_default=True,
    help="Keep removed files this long.",
)
def maintain(name: str, retain_hours: float) -> None:
    """Compact and vacuum the tables, and remove old bundles of trainings, logs of old runs and what killed ones left.

    Versions that a training set was built from always stay readable. EVERGREEN_KEEP_LOGS_DAYS says how old.
    """
    from jobs.lakehouse import maintenance
    from jobs.lakehouse.tables import attach
    from jobs.training import candidate
    from orchestration import leftovers, run_logs
    from orchestration.instance import open_instance

    own, use_case = settings.load(), use_case_named(name)
    for line in maintenance.run(attach(own), use_case, retain_hours):
        say(line)
    # A run that is under way reads what it wrote itself.
    written = candidate.remove_written(own, use_case, datetime.now(UTC) - timedelta(hours=max(retain_hours, A_DAY)))
    say(f"trainings: bundles of {written} removed; the registry holds those that were registered")
    say(f"killed runs: {len(leftovers.sweep(own))} unfinished files and folders removed")
    before = datetime.now(UTC) - timedelta(days=own.keep_logs_days)
    with open_instance(own) as instance:
        removed, observed = run_logs.remove(instance, before), run_logs.remove_observations(instance, before)
    say(f"runs: logs of {removed} that ended before {before:%Y-%m-%d} removed")
    say(f"streams: {observed} observations from before that day removed")
