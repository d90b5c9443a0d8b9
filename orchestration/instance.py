"""The Dagster instance of a home: its dagster.yaml, and what killed runs left behind."""

import os
import re
from pathlib import Path

import dagster as dg
import psutil
from dagster import DagsterRunStatus, RunsFilter
from yaml import YAMLError

from jobs import home_version
from jobs.errors import Invalid
from jobs.settings import Settings
from jobs.state_files import replace_bytes
from orchestration.relocation import settle, with_history

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
  config: {base_dir: /dagster/history/runs}
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
UNTAGGED_QUEUE = re.compile(r"module: dagster\.(?:_?core)\.run_coordinator\n(\s+)class: QueuedRunCoordinator\b")
"""What a home made before runs were tagged in the queue has in its place."""


def home(settings: Settings) -> Path:
    """Dagster's folder with its configuration; both are created if they are missing."""
    home_version.upgrade(settings)
    settle(settings)
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        replace_bytes(configuration, with_history(CONFIGURATION, settings.home).encode())
        home_version.upgrade(settings)
    _tag_queued_runs(configuration)
    return folder


def _tag_queued_runs(configuration: Path) -> None:
    found = configuration.read_text(errors="replace")
    ours = UNTAGGED_QUEUE.sub(r"module: orchestration.run_queue\n\1class: UseCaseRunCoordinator", found)
    if ours != found:
        replace_bytes(configuration, ours.encode())


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance; runs whose process was killed are marked as failed."""
    home(settings)
    instance = from_configuration(settings)
    end_dead_runs(instance)
    return instance


def from_configuration(settings: Settings) -> dg.DagsterInstance:
    """The instance that the dagster.yaml of a home describes. Raises Invalid if that is no configuration."""
    folder = settings.dagster_home
    try:
        return dg.DagsterInstance.from_config(str(folder))
    except (dg.DagsterError, YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"{folder / 'dagster.yaml'}: expected a configuration of Dagster, found something else; correct it, or "
            "remove it: the next run writes it anew"
        ) from error


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process is gone as failed: until then they would keep others of their use case waiting."""
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])):
        process = run.tags.get(PROCESS_TAG)
        if process and not is_alive(process):
            instance.report_run_failed(run, message=f"the process of this run ({process}) is gone")


def this_process() -> str:
    """Identifies a process beyond reuse of its number."""
    return f"{os.getpid()}@{psutil.Process().create_time():.0f}"


def is_alive(process: str) -> bool:
    """Whether a process that `this_process` identified still runs."""
    pid, _, started = process.partition("@")
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == started
    except psutil.NoSuchProcess:
        return False
