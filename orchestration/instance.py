"""The Dagster instance of a home: its dagster.yaml, and what killed runs left behind."""

from pathlib import Path

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter
from yaml import YAMLError

from jobs import home_version
from jobs.error_messages import in_words
from jobs.errors import Invalid
from jobs.integrity.databases import require_whole_runs
from jobs.processes import is_alive
from jobs.settings import DAGSTER_VARIABLE, Settings, exported
from jobs.state_files import file_lock
from orchestration import dagster_yaml
from orchestration.event_log import BATCH_SIZE
from orchestration.relocation import settle

PROCESS_TAG = "evergreen/process"
CONNECT_SECONDS = 10


def variables(settings: Settings) -> dict[str, str]:
    """The environment of Dagster's processes for a home."""
    own = {"EVERGREEN_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
    database = {DAGSTER_VARIABLE: settings.dagster_database} if settings.dagster_database else {}
    return {**own, **database, "DAGSTER_EVENT_BATCH_SIZE": str(BATCH_SIZE)}


def home(settings: Settings) -> Path:
    """Dagster's folder with its configuration; both are created if they are missing."""
    home_version.upgrade(settings)
    settle(settings)
    dagster_yaml.write(settings)
    home_version.upgrade(settings)
    return settings.dagster_home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance; runs whose process was killed are marked as failed. Raises HomeDamaged if its databases are."""
    home(settings)
    require_whole_runs(settings)
    instance = from_configuration(settings)
    end_dead_runs(instance)
    return instance


def from_configuration(settings: Settings) -> dg.DagsterInstance:
    """The instance that the dagster.yaml of a home describes. Raises Invalid if that is no configuration, or the
    database that it names does not answer."""
    configuration = settings.dagster_home / "dagster.yaml"
    _require_database(settings, configuration)
    try:
        # Databases of a new home are made by one process: the second one would find them half made.
        with file_lock(settings.home / "locks" / "dagster.lock"), exported(**variables(settings)):
            instance = dg.DagsterInstance.from_config(str(settings.dagster_home))
            instance.event_log_storage.get_maximum_record_id()  # its database is made at the first look
            return instance
    except (dg.DagsterError, YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"{configuration}: expected a configuration of Dagster, found something else; correct it, or "
            "remove it: the next run writes it anew"
        ) from error


def _require_database(settings: Settings, configuration: Path) -> None:
    """Dagster itself would try for a long time, and say so in its own words."""
    if settings.dagster_url is None:
        if dagster_yaml.is_in_postgresql(configuration.read_text(errors="replace")):
            raise Invalid(
                f"{DAGSTER_VARIABLE}: expected the URL of the database that has the runs of {settings.home}, found it "
                f"unset; set it, or remove {configuration} to begin an empty history in SQLite"
            )
        return
    import psycopg

    try:
        psycopg.connect(settings.dagster_database or "", connect_timeout=CONNECT_SECONDS).close()
    except psycopg.Error as error:
        raise Invalid(
            f"{DAGSTER_VARIABLE}: expected PostgreSQL to answer at {settings.dagster_url}, found {in_words(error)}; "
            "start it, or correct the URL"
        ) from error


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process is gone as failed: until then they would keep others of their use case waiting."""
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])):
        process = run.tags.get(PROCESS_TAG)
        if process and not is_alive(process):
            instance.report_run_failed(run, message=f"the process of this run ({process}) is gone")
