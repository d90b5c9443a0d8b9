"""Tuning and the candidate model, as assets over the training set."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import retraining
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import mapping_table, markdown_table, png_picture
from jobs.checks import models as model_checks
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.models.catalog import check_declared
from jobs.problem import Problem
from jobs.registry import provenance
from jobs.registry.champion_bundles import Champions
from jobs.retraining.decisions import RecordedDecision, record_result
from jobs.settings import Settings
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Tuned parameters and the candidate; nothing for a use case without a problem."""
    if use_case.learned is None:
        return []
    check_declared(use_case.learned.families)
    return [_tuning(use_case, use_case.learned), _candidate(use_case)]


def _tuning(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.tuning,
        deps=[keys.training_set, keys.retraining],
        checks=[model_checks.TRIALS_BEAT_CHANCE],
        kinds={"optuna"},
        description="Best parameters per family, on time-ordered validation rows; kept while the data change little.",
    )
    def tuning(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> dg.MaterializeResult[None]:
        from jobs.training import compute_cost, tune

        if retraining.decided_here(context, use_case):
            row = retraining.due(context, lakehouse, use_case, now)
            if row is None or row.decision.episode:
                reason = "no training is due" if row is None else "a challenger keeps the champion's parameters"
                return dg.MaterializeResult(metadata={"reason": reason, "reused": True, "refused": False})
        with _progress() as progress, compute_cost.measured(lakehouse.settings, tune.device()) as spent:
            tuned = tune.tune(lakehouse, use_case, progress)
        metadata: dict[str, Any] = {"reason": tuned.reason, "reused": tuned.reused, "refused": tuned.refused}
        if tuned.refused:
            return dg.MaterializeResult(metadata={**metadata, "notes": f"not tuned: {tuned.reason}"})
        for family, parameters in tuned.parameters.items():
            metadata[f"{family} parameters"] = mapping_table(parameters, ("parameter", "value"))
        task = task_of(problem)
        words = task.words if task.greater_is_better else f"negative {task.words}"
        for family, trials in tuned.trials.items():
            metadata[f"{family} trials"] = markdown_table(_trials_table(trials, words))
            metadata[f"{family} history"] = png_picture(_history(trials, problem, family))
            metadata[f"{family} {words}"] = max(t.value or 0.0 for t in trials if t.state == "complete")
        return dg.MaterializeResult(
            metadata={**metadata, "cost": mapping_table(spent.numbers)},
            check_results=results([model_checks.trials_beat_chance(tuned)]),
        )

    return tuning


def _candidate(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.candidate,
        deps=[keys.tuning, keys.training_set],
        checks=[model_checks.BETTER_THAN_PREVALENCE, model_checks.NOT_TOO_GOOD],
        kinds={"mlflow", "onnx"},
        description="The best family with the tuned parameters, as a verified bundle in MLflow's registry.",
    )
    def candidate(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        if not retraining.decided_here(context, use_case):
            # What cannot be trained is refused before a request for it stands in the ledger.
            provenance.of_training_set(lakehouse, use_case)
        row = retraining.due(context, lakehouse, use_case, now)
        if row is None:
            if retraining.decided_here(context, use_case):
                return dg.MaterializeResult(metadata={"reason": "no training is due", "refused": False})
            row = retraining.asked(context, lakehouse, use_case, now)
        with _progress() as progress:
            trained = _made(lakehouse, use_case, champions, row, lambda what: progress(f"training {what}", 0, 0))
        if trained.trained is not None:
            _keep_families(lakehouse.settings, use_case, trained.trained)
        record_result(lakehouse.settings, row, now, trained.version, trained.reason)
        metadata: dict[str, Any] = {"reason": trained.reason, "refused": trained.version is None}
        if trained.version is None:
            return dg.MaterializeResult(metadata={**metadata, "notes": f"no candidate: {trained.reason}"})
        metadata |= {"model_version": trained.version, "mlflow_run": trained.run_id}
        metadata |= {"mlflow": dg.MetadataValue.url(trained.link)} if trained.link else {}
        return dg.MaterializeResult(
            metadata={**metadata, **_shown(trained)},
            check_results=results(model_checks.of_training(trained.trained) if trained.trained else ()),
        )

    return candidate


def _keep_families(settings: Settings, use_case: UseCase, trained: Any) -> None:
    """Keep the families that lost; a challenger is compared with recipes instead, and replaces none of them."""
    from jobs.training import family_models

    if any(contestant.kind == "family" for contestant in trained.contestants):
        family_models.keep(settings, use_case, trained)


def _made(
    lakehouse: Lakehouse,
    use_case: UseCase,
    champions: Champions,
    row: RecordedDecision,
    progress: Callable[[str], None],
) -> Any:
    """A challenger for a change that is being learned, else a training on all mature rows."""
    from jobs.retraining import challenger
    from jobs.training import candidate

    if row.decision.episode and promotions.champion(lakehouse.settings, use_case):
        return challenger.make(lakehouse, use_case, champions, row.decision, progress)
    return candidate.make(lakehouse, use_case, progress)


def _shown(candidate: Any) -> dict[str, Any]:
    """What a fresh training has to show."""
    from jobs.training import pictures

    trained = candidate.trained
    if trained is None:
        return {}
    scores = {c.name: c.scores for c in trained.contestants if len(c.scores) and c.name != "prevalence"}
    shown = pictures.of_validation(trained.task, trained.labels, scores, trained.winner.scores)
    return {
        "family": trained.winner.name,
        **{name: value for name, value in trained.winner.metrics.items() if value is not None},
        "contestants": markdown_table(_contestants_table(trained)),
        "slices": markdown_table(_by_name(trained.slices, "slice")),
        **{name: png_picture(picture) for name, picture in shown.items()},
        "rows": mapping_table(trained.rows, ("window", "rows")),
        "versions": mapping_table(trained.bundle.manifest.training["versions"], ("table", "Delta version")),
        "bundle": dg.MetadataValue.path(str(trained.bundle.folder)),
        "bundle_sha256": trained.bundle.sha256,
        "cost": mapping_table({**trained.cost.numbers, **trained.predictions}),
        **({"notes": f"check for leaks: {trained.suspicion}"} if trained.suspicion else {}),
        "model_card": dg.MetadataValue.md(candidate.card),
    }


def _trials_table(trials: Any, words: str) -> pa.Table:
    ordered = sorted(trials, key=lambda trial: -(trial.value or 0.0))
    rows = [
        {
            "trial": trial.number,
            "state": trial.state,
            words: trial.value,
            **trial.parameters,
            "steps": trial.numbers.get("steps"),
            "seconds": trial.numbers.get("seconds"),
        }
        for trial in ordered
    ]
    return pa.Table.from_pylist(rows)


def _contestants_table(trained: Any) -> pa.Table:
    names = list(trained.winner.metrics)
    rows = [
        {"contestant": c.name, "kind": c.kind, **{name: c.metrics.get(name) for name in names}, "steps": c.steps}
        for c in trained.contestants
    ]
    return pa.Table.from_pylist(rows)


def _by_name(values: Mapping[str, Mapping[str, Any]], header: str) -> pa.Table:
    return pa.Table.from_pylist([{header: name, **metrics} for name, metrics in values.items()])


def _history(trials: Any, problem: Problem, family: str) -> bytes:
    from jobs.training import pictures

    return pictures.history(trials, problem.family(family).search)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal; call it with what is done, how much of it, and the total."""
    from rich import get_console
    from rich.progress import Progress

    console = get_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)
