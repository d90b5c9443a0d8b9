"""`evergreen stream`: the group; each of its commands has a file."""

import click

from orchestration.commands import stream_produce, stream_run, stream_status


@click.group()
def stream() -> None:
    """Topics of Kafka as sources: EVERGREEN_STREAM names the brokers."""


for command in (
    stream_run.run,
    stream_run.pause,
    stream_run.resume,
    stream_status.status,
    stream_status.rewind,
    stream_status.verify,
    stream_produce.produce,
):
    stream.add_command(command)
