"""`evergreen kafka`: the broker is started by `jobs.messages.kafka_server`."""

import sys

import click

from jobs import settings
from orchestration.options import PORT
from orchestration.printing import say


@click.command()
@click.option("--port", type=PORT, default=9092, show_default=True)
def kafka(port: int) -> None:
    """Run a local Apache Kafka 4.1 broker (needs Java 17), for those who have none; its topics stay in the home."""
    from jobs.messages import kafka_server

    sys.exit(kafka_server.foreground(settings.load(), port, say))
