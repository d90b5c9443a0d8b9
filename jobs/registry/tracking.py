"""MLflow: how it is reached, and one parent run per training with a child run for each trial.

Stages and versions are in `jobs.registry.model_versions`. Nothing here unpickles: a bundle is a folder of files.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import sqlite_files
from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.loopback import HOST
from jobs.settings import Settings, exported
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE = 10
"""All calls of one block together may take this many times `settings.tracking_seconds`."""
LOCAL_PORT = 5000
"""Of the MLflow that `evergreen ui` starts where the tracking store is a database; MLflow's own default."""
DATABASE = "mlflow.db"
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


_ANSWERS = ("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE")
"""Codes of errors that are answers of a healthy MLflow."""


class TrackingUnavailable(EvergreenError, RuntimeError):
    """MLflow does not answer, or too slowly."""


@contextmanager
def client(settings: Settings) -> Iterator[MlflowClient]:
    """An MLflow client that gives up in bounded time.

    Raises:
        TrackingUnavailable: nothing answers, or an answer took longer than `settings.tracking_seconds`.
    """
    _reachable(settings)
    with _quiet(settings.tracking_seconds):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            prepare(settings)
            yield MlflowClient(settings.tracking_url.reveal(), settings.tracking_url.reveal())
        except (RequestException, SQLAlchemyError, MlflowException) as error:
            if isinstance(error, MlflowException) and error.error_code in _ANSWERS:
                raise
            raise _unavailable(settings, error) from error


@contextmanager
def _quiet(seconds: float = 1.0) -> Iterator[None]:
    """MLflow that waits so long for an answer, and tells nobody anything: not its makers, not who reads our output."""
    variables = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(seconds))),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    with exported(**variables):
        import mlflow  # noqa: F401  (first: it sets the levels of its loggers)

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        yield


def experiment(settings: Settings, tracker: MlflowClient, use_case: UseCase) -> str:
    """Id of the use case's experiment, made if need be."""
    experiment = tracker.get_experiment_by_name(use_case.name)
    if experiment is not None:
        return str(experiment.experiment_id)
    # A server knows where files go; over a database MLflow would put them into the working folder.
    place = None if is_server(settings) else (settings.home / "tracking" / "artifacts" / use_case.name).as_uri()
    return str(tracker.create_experiment(use_case.name, artifact_location=place))


@contextmanager
def run(settings: Settings, tracker: MlflowClient, use_case: UseCase, digest: str, name: str) -> Iterator[str]:
    """A run that is FINISHED if the block ends well, FAILED otherwise; its id.

    What killed trainings with the same digest left running is marked KILLED first.
    """
    where = experiment(settings, tracker, use_case)
    condition = f"tags.digest = '{digest}' and attributes.status = 'RUNNING'"
    for unfinished in tracker.search_runs([where], condition):
        tracker.set_terminated(unfinished.info.run_id, "KILLED")
    run = tracker.create_run(where, run_name=name, tags={"digest": digest, "use_case": use_case.name})
    try:
        yield run.info.run_id
    except BaseException:
        _end(tracker, run.info.run_id, "FAILED")
        raise
    tracker.set_terminated(run.info.run_id)


def log(tracker: MlflowClient, run_id: str, parameters: Mapping[str, Any], numbers: Mapping[str, float | None]) -> None:
    """Parameters and metrics in one call; numbers that are None are left out."""
    from mlflow.entities import Metric, Param

    now = _now()
    metrics = [Metric(_key(name), float(value), now, 0) for name, value in numbers.items() if value is not None]
    tracker.log_batch(run_id, metrics, [Param(_key(name), str(value)[:6000]) for name, value in parameters.items()])


def log_curve(tracker: MlflowClient, run_id: str, name: str, points: Mapping[int, float]) -> None:
    """A metric by step, in one call."""
    from mlflow.entities import Metric

    now = _now()
    tracker.log_batch(run_id, [Metric(_key(name), float(value), now, step) for step, value in points.items()])


def log_trials(
    settings: Settings, tracker: MlflowClient, use_case: UseCase, parent: str, trials: Mapping[str, tuple[Any, ...]]
) -> None:
    """One child run per trial, a few calls each.

    Raises:
        TrackingUnavailable: all of them together take longer than anybody should wait.
    """
    where, began = experiment(settings, tracker, use_case), time.monotonic()
    for family, family_trials in trials.items():
        for trial in family_trials:
            if time.monotonic() - began > _PATIENCE * settings.tracking_seconds:
                raise _unavailable(settings, f"{_PATIENCE * settings.tracking_seconds:.0f} s were not enough")
            tags = {"mlflow.parentRunId": parent, "state": trial.state, "error": trial.error[:500]}
            child = tracker.create_run(where, run_name=f"{family} {trial.number}", tags=tags).info.run_id
            value = {"average_precision": trial.value} if trial.value is not None else {}
            log(tracker, child, {"family": family, **trial.parameters}, {**trial.numbers, **value})
            if trial.curve:
                log_curve(tracker, child, "validation_average_precision", trial.curve)
            tracker.set_terminated(child, "FAILED" if trial.state == "fail" else "FINISHED")


def log_files(tracker: MlflowClient, run_id: str, files: Mapping[str, str | bytes], scratch: Path) -> None:
    """Texts and pictures as artifacts of a run, by path."""
    for path, content in files.items():
        target = scratch / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    tracker.log_artifacts(run_id, str(scratch))


def link(settings: Settings, experiment_id: str, run_id: str) -> str:
    """URL at which a person finds the run: on the tracking server, or on the one that `evergreen ui` starts."""
    # Without the last part MLflow's page opens among its tools for language models.
    place = f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
    server = str(settings.tracking_url).rstrip("/") if is_server(settings) else f"http://{HOST}:{LOCAL_PORT}"
    return f"{server}/{place}"


def is_server(settings: Settings) -> bool:
    """Whether the tracking store is a server, and not the database of one."""
    return settings.tracking_url.parts.scheme in ("http", "https")


def server_arguments(settings: Settings, port: int) -> list[str]:
    """Arguments of an MLflow server on loopback over the tracking store, which is a database."""
    artifacts = settings.home / "tracking" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    place = ["--no-serve-artifacts", "--default-artifact-root", artifacts.as_uri()]
    return ["server", "--host", HOST, "--port", str(port), "--workers", "1", *place]


def server_variables(settings: Settings) -> dict[str, str]:
    """Its environment, with the URL of the database: everybody on a machine sees the arguments of a process."""
    store = settings.tracking_url.reveal()
    return {"MLFLOW_BACKEND_STORE_URI": store, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _reachable(settings: Settings) -> None:
    """Whether a server listens at all: MLflow itself would try for minutes."""
    parts = settings.tracking_url.parts
    scheme = parts.scheme.split("+")[0]
    if scheme not in _PORTS:
        return
    try:
        address = (parts.hostname or "", parts.port or _PORTS[scheme])
        socket.create_connection(address, timeout=settings.tracking_seconds).close()
    except OSError as error:
        raise _unavailable(settings, error) from error


def prepare(settings: Settings) -> None:
    """Make MLflow's database of the home, unless it is there."""
    if settings.tracking is None:
        file = settings.home / "tracking" / DATABASE
        sqlite_files.make_whole(file, settings.home / "locks" / "tracking.lock", _make, "experiments")


def _make(database: Path) -> None:
    with _quiet():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = SqlAlchemyStore(f"sqlite:///{database}", (database.parent.parent / "artifacts").as_uri())
        store.engine.dispose()


def _end(tracker: MlflowClient, run_id: str, status: str) -> None:
    import contextlib

    with contextlib.suppress(Exception):
        tracker.set_terminated(run_id, status)


def _unavailable(settings: Settings, cause: object) -> TrackingUnavailable:
    mend = "start it, or correct EVERGREEN_TRACKING (unset: SQLite below EVERGREEN_HOME), and run again"
    if settings.tracking is None:
        mend = "free it, make room, or see `evergreen doctor --deep` for what mends it, and run again"
    return TrackingUnavailable(
        f"tracking: expected MLflow to answer at {settings.tracking_url} within {settings.tracking_seconds:.0f} s, "
        f"found {cause if isinstance(cause, str) else in_words(cause)}; "
        f"{mend}: nothing was registered, and finished trials are kept"
    )


def _key(name: str) -> str:
    """MLflow takes letters, digits and a few marks only."""
    return "".join(c if c.isalnum() or c in "_-. /:" else "_" for c in name)


def _now() -> int:
    # When something was logged, for MLflow's own pages; no result follows from it.
    return int(time.time() * 1000)
