"""`evergreen engine`: the engine itself is in `jobs.lakehouse.engine`."""

import click

from jobs import settings
from jobs.lakehouse import engine as embedded
from orchestration.printing import say


@click.group()
def engine() -> None:
    """The embedded engine of this home."""


@engine.command()
def stop() -> None:
    """Stop the embedded engine; the next command that needs it starts it again."""
    embedded.stop(settings.load())


@engine.command()
def url() -> None:
    """Print the Spark Connect URL of the shared session (starts the engine if needed); of SPARK_REMOTE, no token."""
    own = settings.load()
    say(own.spark_remote or embedded.url(own))
