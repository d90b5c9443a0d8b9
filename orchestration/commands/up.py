"""`evergreen up`: the processes are in `orchestration.services`."""

from __future__ import annotations

import click

from jobs import settings as settings_module
from orchestration.options import PORT
from orchestration.printing import say

START_SECONDS = 180.0


@click.command()
@click.option("--port", type=PORT, default=3000, show_default=True)
def up(port: int) -> None:
    """Run everything for production: UI, daemon and engine, with schedules and sensors on.

    Stays in the foreground; Ctrl-C or SIGTERM ends all of it. docs/operation/production.md has units for systemd.
    """
    from jobs.errors import Invalid
    from jobs.lakehouse import engine
    from orchestration.event_log import BATCH_SIZE
    from orchestration.instance import open_instance
    from orchestration.services import Services, listens, only_one

    own = settings_module.load()
    logs = own.home / "logs"
    with only_one(own.home / "locks" / "up.lock"):
        if listens(port):
            raise Invalid(f"--port {port}: expected a free port, found it taken; name another one")
        open_instance(own).dispose()
        variables = {
            "DAGSTER_HOME": str(own.dagster_home), "DAGSTER_EVENT_BATCH_SIZE": str(BATCH_SIZE),
            "EVERGREEN_HOME": str(own.home), "EVERGREEN_SCHEDULES": "on",
        }  # fmt: skip
        services = Services(logs, variables)
        try:
            with services.ending():
                engine.url(own)
                definitions = ("-m", "orchestration.definitions")
                services.start("webserver", "dagster_webserver", (*definitions, "-h", "127.0.0.1", "-p", str(port)))
                services.start("daemon", "dagster._daemon", ("run", *definitions))
                if services.wait_for(port, START_SECONDS):
                    say(
                        f"Evergreen is up: http://127.0.0.1:{port}\n"
                        f"  home       {own.home}\n"
                        "  nights     schedules and sensors are on, unless you switched one off in Automation\n"
                        f"  logs       {logs}\n"
                        "  stop       Ctrl-C or SIGTERM"
                    )
                    services.wait()
        finally:
            engine.stop(own)
    say("Evergreen is down.")
