"""How the runs of a use case are executed, wherever they started: marked with their process and their use case, one of
each use case at a time, and not at all in a damaged home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._utils.interrupts import check_captured_interrupt

from jobs.error_messages import message_of
from jobs.ingest import registered_inputs
from jobs.integrity import home_check, table_files
from jobs.lakehouse.tables import attach
from jobs.processes import this_process
from jobs.settings import Settings
from jobs.use_case import UseCase
from orchestration import leftovers
from orchestration.instance import PROCESS_TAG
from orchestration.run_queue import run_tags, writes


def build(settings: Settings, use_cases: Sequence[UseCase]) -> dg.ExecutorDefinition:
    """The executor of a code location: all steps in the process of the run."""

    @dg.executor(name="in_process")
    def executor(_: dg.InitExecutorContext) -> dg.Executor:
        return _Careful(settings, use_cases)

    return executor


class _Careful(InProcessExecutor):
    """Writes down which process a run lives in, and its use case, refuses damage, and remembers what was written.

    Dagster's launcher cannot tell whether a process that it started is alive, and a run that was launched from a shell
    was in no queue.
    """

    def __init__(self, settings: Settings, use_cases: Sequence[UseCase]) -> None:
        super().__init__(RetryMode.ENABLED)
        self._settings, self._use_cases = settings, use_cases

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Events of the run; of a damaged home, only that its first step failed, with what mends it."""
        layer = plan_context.job.get_definition().asset_layer
        tagged = run_tags(layer.get(key).tags for key in layer.selected_asset_keys)
        plan_context.instance.add_run_tags(plan_context.run_id, {**tagged, PROCESS_TAG: this_process()})
        with ExitStack() as locks:
            # In the order of their names: of two runs over the same use cases none waits for the other for ever.
            for use_case in sorted(self._written(plan_context), key=lambda each: each.name):
                waiting = _Waiting(plan_context, use_case)
                locks.enter_context(registered_inputs.locked(self._settings, use_case, waiting))
            yield from self._execute(plan_context, execution_plan)

    def _execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        # `evergreen run` made its run after it had swept and looked, under the lock that it still holds.
        is_prepared = plan_context.dagster_run.tags.get(PROCESS_TAG) == this_process()
        if damage := None if is_prepared else self._prepare(plan_context):
            yield _refusal(plan_context, execution_plan, damage)
        else:
            yield from super().execute(plan_context, execution_plan)
            for use_case in self._written(plan_context):
                table_files.remember(attach(self._settings), use_case)

    def _written(self, plan_context: PlanOrchestrationContext) -> list[UseCase]:
        run = plan_context.instance.get_run_by_id(plan_context.run_id)
        return [each for each in self._use_cases if run is not None and writes(run, each.name)]

    def _prepare(self, plan_context: PlanOrchestrationContext) -> str | None:
        """Remove what killed runs left, and look for damage; returns what is to be mended first."""
        leftovers.sweep(self._settings)
        try:
            for use_case in self._written(plan_context):
                home_check.refuse_damage(attach(self._settings), use_case)
        except Exception as error:
            if message := message_of(error):
                return message
            raise
        return None


class _Waiting:
    """Says once, in the log of a run, that it waits for another run of a use case; ends the wait if it is cancelled."""

    def __init__(self, plan_context: PlanOrchestrationContext, use_case: UseCase) -> None:
        self._context, self._use_case, self._said = plan_context, use_case, False

    def __call__(self) -> None:
        if not self._said:
            text = registered_inputs.under_way(self._use_case)
            self._context.instance.report_engine_event(text, self._context.dagster_run)
            self._said = True
        if check_captured_interrupt():
            raise dg.DagsterExecutionInterruptedError


def _refusal(plan_context: PlanOrchestrationContext, plan: ExecutionPlan, message: str) -> DagsterEvent:
    """The first step failed, which is what pages, alerts and the summary of a run look at."""
    first = plan.get_steps_to_execute_in_topo_order()[0]
    why = UserFailureData("damage", message)  # type: ignore[no-untyped-call]
    return DagsterEvent.from_job(
        DagsterEventType.STEP_FAILURE,
        plan_context,
        f'Execution of step "{first.key}" failed: {message}',
        StepFailureData(error=None, user_failure_data=why),  # type: ignore[no-untyped-call]
        first.handle,
    )
