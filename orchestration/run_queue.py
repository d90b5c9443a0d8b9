"""Runs and the use cases that they write: every run has the tag `use_case`, wherever it started.

Jobs declare the tag. A run without a job of ours (*Materialize*, a backfill) would escape the limit of one run per use
case and the alerts about failed runs, so the queue tags what enters it, and the executor tags what it executes.
"""

from collections.abc import Iterable, Mapping

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

USE_CASE_TAG = "use_case"
"""Of assets, jobs and runs."""
SEPARATOR = ","


class UseCaseRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, which limits runs by tags; a run gets its use case's tag before it is enqueued."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Enqueue a run, tagged."""
        run = context.dagster_run
        graph = context.workspace.asset_graph
        tagged = run_tags(graph.get(key).tags for key in _assets(context) if graph.has(key))
        if new := {name: value for name, value in tagged.items() if run.tags.get(name) != value}:
            self._instance.add_run_tags(run.run_id, new)
        return super().submit_run(context)


def run_tags(assets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The tags of a run of assets that have these tags; none if they belong to no use case."""
    names = {tags[USE_CASE_TAG] for tags in assets if USE_CASE_TAG in tags}
    return {USE_CASE_TAG: SEPARATOR.join(sorted(names))} if names else {}


def writes(run: dg.DagsterRun, use_case: str) -> bool:
    """Whether a run writes assets of a use case."""
    return use_case in run.tags.get(USE_CASE_TAG, "").split(SEPARATOR)


def _assets(context: SubmitRunContext) -> set[dg.AssetKey]:
    """Assets that a run materializes or checks: the selected ones, else those of its job."""
    run = context.dagster_run
    checked = {check.asset_key for check in run.asset_check_selection or ()}
    if run.asset_selection or checked:
        return checked | (run.asset_selection or set())
    if (origin := run.remote_job_origin) is None:
        return set()
    location = context.workspace.get_code_location(origin.location_name)
    repository = location.get_repository(origin.repository_origin.repository_name)
    return set(repository.get_asset_keys_in_job(run.job_name))
