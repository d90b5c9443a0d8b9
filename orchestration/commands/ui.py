"""`evergreen ui`: this process becomes Dagster's."""

import os
import sys
from typing import NoReturn

import click

from jobs import settings
from orchestration.options import PORT


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True)
def ui(port: int) -> NoReturn:
    """Open the Dagster UI (with its daemon) on loopback."""
    from orchestration.event_log import BATCH_SIZE
    from orchestration.instance import home

    own = settings.load()
    arguments = ["-m", "dagster", "dev", "-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
    variables = {"DAGSTER_HOME": str(home(own)), "DAGSTER_EVENT_BATCH_SIZE": str(BATCH_SIZE)}
    with settings.exported(EVERGREEN_HOME=str(own.home), **variables):
        os.execv(sys.executable, [sys.executable, *arguments])
