"""`evergreen up`: the processes are in `orchestration.servers`."""

import click

from jobs import settings
from orchestration.options import PORT


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True)
def up(port: int) -> None:
    """Run everything for production: the UIs, the daemon and the engine, with schedules and sensors on.

    Stays in the foreground; Ctrl-C or SIGTERM ends all of it. docs/operation/production.md has units for systemd.
    """
    from orchestration.servers import serve

    serve(settings.load(), port, production=True)
