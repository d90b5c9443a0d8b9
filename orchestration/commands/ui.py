"""`evergreen ui`: the processes are in `orchestration.servers`."""

import click

from jobs import settings
from orchestration.options import PORT


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True)
def ui(port: int) -> None:
    """Open the Dagster UI (with its daemon) and MLflow's on loopback; says where they are, and where logs are."""
    from orchestration.servers import serve

    serve(settings.load(), port)
