"""`evergreen ui`: Dagster and MLflow, until it is ended."""

import sys
from typing import NoReturn

import click

from jobs import settings
from orchestration.options import PORT


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True)
def ui(port: int) -> NoReturn:
    """Open the Dagster UI (with its daemon) and MLflow's on loopback; says where they are, and where logs are."""
    from orchestration.ui_servers import serve

    try:
        sys.exit(serve(settings.load(), port))
    except KeyboardInterrupt:  # the way in which it is ended
        sys.exit(0)
