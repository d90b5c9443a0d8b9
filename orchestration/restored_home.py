"""What makes a restored home go on by itself: its own places, its version, and no run that waits for ever."""

from dagster import DagsterRunStatus, RunsFilter

from jobs import home_version
from jobs.settings import Settings
from orchestration.instance import open_instance
from orchestration.relocation import settle

UNDER_WAY = [
    DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]  # fmt: skip


def make_own(settings: Settings) -> list[str]:
    """Settle a home that was restored, and mark the runs that it knows as under way as failed: they are of the home
    that was backed up. Returns their ids."""
    settle(settings)
    home_version.upgrade(settings)
    if settings.dagster_url or not (settings.dagster_home / "dagster.yaml").exists():
        return []  # a database is not in a backup: the runs that it has are those of now
    with open_instance(settings) as instance:
        runs = instance.get_runs(RunsFilter(statuses=UNDER_WAY))
        for run in runs:
            instance.report_run_failed(run, message="the home was restored from a backup that was made meanwhile")
    return [run.run_id for run in runs]
