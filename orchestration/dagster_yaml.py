"""The `dagster.yaml` of a home: written at the first run, and brought up to date by whatever runs later."""

import re

from jobs.errors import Invalid
from jobs.settings import DAGSTER_VARIABLE, Settings
from jobs.state_files import replace_bytes
from orchestration.relocation import with_history

SQLITE = """\
event_log_storage:
  module: orchestration.event_log
  class: BatchingSqliteEventLogStorage
  config: {base_dir: /dagster/history/runs}
"""
POSTGRESQL = f"""\
# Runs, events and schedules are in the database that this variable names.
run_storage:
  module: dagster_postgres.run_storage
  class: PostgresRunStorage
  config: {{postgres_url: {{env: {DAGSTER_VARIABLE}}}}}
event_log_storage:
  module: orchestration.postgresql_event_log
  class: PooledPostgresEventLogStorage
  config: {{postgres_url: {{env: {DAGSTER_VARIABLE}}}}}
schedule_storage:
  module: dagster_postgres.schedule_storage
  class: PostgresScheduleStorage
  config: {{postgres_url: {{env: {DAGSTER_VARIABLE}}}}}
local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config: {{base_dir: /dagster}}
"""
HEAD = "# Written by Evergreen at the first run; yours to change.\n"
REST = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: orchestration.run_queue
  class: UseCaseRunCoordinator
concurrency:
  runs:
    # Two runs of one use case would write the same tables: one at a time.
    tag_concurrency_limits:
      - key: use_case
        value: {applyLimitPerUniqueValue: true}
        limit: 1
# The daemon of `evergreen ui` tells which assets are older than their freshness policy allows.
freshness:
  enabled: true
# A killed run would stay STARTED for ever.
run_monitoring:
  enabled: true
"""
CONFIGURATION = HEAD + SQLITE + REST
UNTAGGED_QUEUE = re.compile(r"module: dagster\.(?:_?core)\.run_coordinator\n(\s+)class: QueuedRunCoordinator\b")
"""What a home made before runs were tagged in the queue has in its place."""
IN_SQLITE = re.compile(
    r"event_log_storage:\n(?:[ \t]+\S.*\n)*?[ \t]+class: BatchingSqliteEventLogStorage\n(?:[ \t]+.*\n)*"
)
STORAGE = re.compile(r"^(?:storage|(?:run|event_log|schedule)_storage):", re.M)


def write(settings: Settings) -> None:
    """Write the configuration if there is none; otherwise bring what Evergreen wrote before up to date.

    Raises Invalid if a storage that somebody else configured is in the way of the settings.
    """
    file = settings.dagster_home / "dagster.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    found = file.read_text(errors="replace") if file.exists() else ""
    wanted = UNTAGGED_QUEUE.sub(r"module: orchestration.run_queue\n\1class: UseCaseRunCoordinator", found)
    wanted = wanted or with_history(CONFIGURATION, settings.home)
    if settings.dagster_url and not is_in_postgresql(wanted):
        wanted = _in_postgresql(wanted, settings)
    if wanted != found:
        replace_bytes(file, wanted.encode())


def is_in_postgresql(configuration: str) -> bool:
    """Whether runs, events and schedules are in the database of the settings."""
    return DAGSTER_VARIABLE in configuration


def _in_postgresql(configuration: str, settings: Settings) -> str:
    """The same with another storage; what SQLite has of before stays where it is."""
    rest = IN_SQLITE.sub("", configuration)
    if found := STORAGE.search(rest):
        raise Invalid(
            f"{settings.dagster_home / 'dagster.yaml'}: expected no storage, as {DAGSTER_VARIABLE} names one, found "
            f"{found[0]} remove it there, or unset {DAGSTER_VARIABLE}"
        )
    return rest + with_history(POSTGRESQL, settings.home)
