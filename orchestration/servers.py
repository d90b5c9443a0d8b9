"""What `evergreen ui` and `evergreen up` start: Dagster (code, webserver, daemon) and, where the tracking store is a
database, MLflow. `up` also runs the streams of EVERGREEN_STREAM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import yaml

from jobs.ingest import registered_inputs
from jobs.lakehouse import dbt_docs, engine
from jobs.loopback import HOST, free_port, listens, preferred_port
from jobs.registry import tracking
from jobs.registry.tracking import LOCAL_PORT
from jobs.settings import DOCS_PORT, REPORTS, Settings
from jobs.streams import control
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration import page_server, same_names
from orchestration.due_days import due, last_night
from orchestration.home_lock import only_one
from orchestration.instance import open_instance, variables
from orchestration.printing import say
from orchestration.services import Services

START_SECONDS = 300.0
CODE = "orchestration.definitions"


def serve(settings: Settings, port: int, production: bool = False) -> None:
    """Serve until this process is told to end. In production schedules are on, and the engine runs from the start.

    Raises Invalid if the port is taken, the home is served already, or the working folder has modules named like
    packages of ours; ServiceEnded if a server ends by itself.
    """
    same_names.expect_none_here()
    free_port(port)
    with (
        only_one(settings.home) as lock,
        preferred_port(DOCS_PORT) as docs_port,
        preferred_port(LOCAL_PORT) as mlflow_port,
    ):
        with open_instance(settings) as instance:
            missed = list(_missed(settings, instance)) if production else []
        environment = variables(settings) | ({"EVERGREEN_SCHEDULES": "on"} if production else {})
        pages = f"http://{HOST}:{docs_port}"
        environment |= {} if settings.docs_url else {"EVERGREEN_DOCS": pages}
        environment |= {} if settings.reports_url else {"EVERGREEN_REPORTS": f"{pages}/reports"}
        services = Services(settings.home / "logs", environment, engine=production, lock=lock)
        with services.ending() as scratch:
            workspace = _workspace(scratch)
            if production:
                engine.url(settings)
            mlflow = _start_mlflow(settings, services, mlflow_port)
            if not (settings.docs_url and settings.reports_url):
                pages_of = (str(dbt_docs.folder(settings)), str(settings.home / REPORTS))
                services.start("docs", page_server.__name__, (str(docs_port), *pages_of))
            streams = _keep_streams(settings, services) if production else []
            if _start_dagster(services, workspace, port):
                say("\n".join([*_block(settings, port, mlflow, streams, production), *missed]))
                services.wait()
    if production:
        say("Evergreen is down.")


def _workspace(folder: Path) -> Path:
    """A file in `folder`, that of this user alone, which tells Dagster where the process with the code answers."""
    file = folder / "workspace.yaml"
    server = {"host": "localhost", "socket": str(_socket(file)), "location_name": CODE}
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return file


def _socket(workspace: Path) -> Path:
    return workspace.with_name("code")


def _start_dagster(services: Services, workspace: Path, port: int) -> bool:
    """Start webserver and daemon over one process that has the code; False if this process was told to end."""
    socket = _socket(workspace)
    services.start("code", "dagster", ("code-server", "start", "-m", CODE, "--location-name", CODE, "-s", str(socket)))
    if not services.wait_for(socket.exists, "the code of Evergreen", START_SECONDS):
        return False
    services.start("webserver", "dagster_webserver", ("-w", str(workspace), "-h", HOST, "-p", str(port)))
    services.start("daemon", "dagster._daemon", ("run", "-w", str(workspace)))
    return services.wait_for(lambda: listens(port), f"port {port}", START_SECONDS)


def _keep_streams(settings: Settings, services: Services) -> list[str]:
    """Run the stream of each use case that has data, if EVERGREEN_STREAM names brokers; what is said of each."""
    of = [use_case for use_case in USE_CASES if settings.stream_url is not None and _has_data(settings, use_case)]
    for use_case in of:
        services.keep(f"stream_{use_case.name}", "orchestration", ("stream", "run", "--use-case", use_case.name))
    return [f"Stream   {use_case.name}, started again whenever it ends" for use_case in of]


def _has_data(settings: Settings, use_case: UseCase) -> bool:
    registered = registered_inputs.registered(settings, use_case)
    return registered is not None or control.heartbeat(settings, use_case) is not None


def _start_mlflow(settings: Settings, services: Services, port: int) -> str:
    """The address of MLflow, which is started where the tracking store is no server already."""
    if tracking.is_server(settings):
        return str(settings.tracking_url)
    tracking.prepare(settings)
    services.start("mlflow", "mlflow", tracking.server_arguments(settings, port), **tracking.server_variables(settings))
    return f"http://{HOST}:{port}"


def _block(settings: Settings, port: int, mlflow: str, streams: list[str], production: bool) -> list[str]:
    lines = [f"Dagster  http://{HOST}:{port}", f"MLflow   {mlflow}", f"Logs     {settings.home / 'logs'}"]
    if not production:
        return [*lines, "Ctrl-C ends all."]
    nights = "Nights   schedules and sensors are on, unless you switched one off in Automation"
    return [f"Evergreen is up: {settings.home}", *lines, *streams, nights, "Ctrl-C or SIGTERM ends all."]


def _missed(settings: Settings, instance: dg.DagsterInstance) -> Iterator[str]:
    """What is said of nights at which nothing ran."""
    for use_case in USE_CASES:
        if registered_inputs.registered(settings, use_case) is not None:
            days = due(settings, use_case, instance, last_night(datetime.now(UTC)))
            if days is not None and days.missed:
                yield f"{use_case.name}: {days.missed} nights were missed; the next run makes them up, for {days}"
