"""The Dagster instance of a home: its dagster.yaml, and what killed runs left behind."""

import os
from pathlib import Path

import dagster as dg
import psutil
from dagster import DagsterRunStatus, RunsFilter

from jobs.settings import Settings

PROCESS_TAG = "evergreen/process"
CONFIGURATION = """\
# Written by Evergreen at the first run; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
event_log_storage:
  module: orchestration.event_log
  class: BatchingSqliteEventLogStorage
  config: {base_dir: __HISTORY__}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
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


def home(settings: Settings) -> Path:
    """Dagster's folder, with a configuration, made if missing."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        configuration.write_text(CONFIGURATION.replace("__HISTORY__", str(folder / "history" / "runs")))
    return folder


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance; runs whose process was killed are marked as failed."""
    instance = dg.DagsterInstance.from_config(str(home(settings)))
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])):
        process = run.tags.get(PROCESS_TAG)
        if process and not _alive(process):
            instance.report_run_failed(run, message=f"the process of this run ({process}) is gone")
    return instance


def this_process() -> str:
    """Identifies a process beyond reuse of its number."""
    return f"{os.getpid()}@{psutil.Process().create_time():.0f}"


def _alive(process: str) -> bool:
    pid, _, started = process.partition("@")
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == started
    except psutil.NoSuchProcess:
        return False
