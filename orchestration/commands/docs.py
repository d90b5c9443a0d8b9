"""`evergreen docs`: the work is in `jobs.lakehouse.dbt_docs`."""

import click

from jobs import settings
from orchestration.printing import say


@click.command()
def docs() -> None:
    """Write dbt's page about its models and their columns, which `evergreen ui` serves and assets link to."""
    from jobs.lakehouse import dbt_docs
    from jobs.lakehouse.tables import attach
    from jobs.use_cases.catalog import USE_CASES

    say(
        f"{dbt_docs.write(attach(settings.load()), USE_CASES)} is written; a UI that runs shows its links when reloaded"
    )
