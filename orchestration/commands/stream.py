"""`evergreen stream`: the group; each of its commands has a file."""

import click

from orchestration.commands import stream_produce


@click.group()
def stream() -> None:
    """Topics of Kafka as sources: EVERGREEN_STREAM names the brokers."""


stream.add_command(stream_produce.produce)
