"""`evergreen spark`: the server is started by `jobs.lakehouse.spark_server`."""

import sys

import click

from jobs import settings
from orchestration.options import PORT
from orchestration.printing import say


@click.command()
@click.option("--port", type=PORT, default=15002, show_default=True)
def spark(port: int) -> None:
    """Run a local Apache Spark 4.2 + Delta Connect server (needs Java 17), for those who want it."""
    from jobs.lakehouse import spark_server

    sys.exit(spark_server.foreground(settings.load(), port, say))
