"""Why the champion decides as it does, and whom its decisions favour, as assets with pictures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import mapping_table, markdown_table
from assets.pictures import scores
from jobs.arrays import surest
from jobs.checks import decisions as decision_checks
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Problem
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from jobs.evaluation.explain import Attribution

RECENT_ROWS, BACKGROUND_ROWS, SHOWN_DECISIONS, SHOWN_FEATURES = 1_000, 1_000, 5, 15
EXPLAINED_ROWS = 250
"""Number of the recent rows that importance is measured on. Of 1,000 rows every fourth by score moves the four largest
importances by at most 4 %, smaller ones by up to 14 %."""


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Explanation, and a fairness report if groups are declared; nothing without a problem to solve."""
    problem = use_case.learned
    if problem is None:
        return []
    return [_explanation(use_case), *([_fairness(use_case, problem)] if problem.fairness else [])]


def _explanation(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.explanation,
        deps=[keys.champion, keys.training_set],
        checks=[decision_checks.ADDS_UP],
        kinds={"shap"},
        description="What each feature adds to the champion's scores of recent rows, overall and per decision.",
    )
    def explanation(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs.evaluation import mature_rows
        from jobs.evaluation.explain import NotAdditive

        as_of = run_context.moment(context, lakehouse, use_case)
        champion = champions.at(use_case, as_of)
        rows = mature_rows.latest(lakehouse, use_case, as_of, RECENT_ROWS + BACKGROUND_ROWS)
        if champion is None or not rows.num_rows:
            yield dg.MaterializeResult(metadata={"notes": _lacking(champion)})
            return
        try:
            attribution, metadata = _explained(use_case, *champion, rows)
        except NotAdditive as different:
            yield from results([decision_checks.ADDS_UP.outcome(False, "the score that is served", str(different))])
            raise
        yield dg.MaterializeResult(metadata=metadata, check_results=results([decision_checks.adds_up(attribution)]))

    return explanation


def _explained(use_case: UseCase, version: int, bundle: Bundle, rows: pa.Table) -> "tuple[Attribution, dict[str, Any]]":
    """Attributions of recent rows, and what is shown of them."""
    from jobs.evaluation import explain
    from jobs.models.tables import features_of

    features = features_of(rows, bundle.manifest.names)
    background, latest = features[: max(1, len(features) - RECENT_ROWS)], features[-RECENT_ROWS:]
    # The most suspicious first: the decisions about these are shown.
    order = np.argsort(-surest(_scores(bundle, latest)), kind="stable")
    attribution = explain.attribute(bundle, latest[explain.evenly(order, EXPLAINED_ROWS)], background)
    first = order[:SHOWN_DECISIONS]
    shown = explain.attribute(bundle, latest[first], background)
    decided = rows.slice(max(0, rows.num_rows - RECENT_ROWS)).take(first)
    top = dict(list(attribution.importance.items())[:SHOWN_FEATURES])
    unit = "prediction" if bundle.manifest.learned.name == "regression" else "logit"
    return attribution, {
        "model_version": version,
        "method": attribution.method,
        "rows_explained": len(attribution.scores),
        "top_features": scores.bars(top, f"mean absolute attribution ({unit})"),
        "importance": mapping_table(dict(attribution.importance), ("feature", "mean absolute attribution")),
        "decisions": _decisions(use_case, decided, shown, bundle),
    }


_LONGEST_TEXT = 60
"""Characters of a category that are shown."""


def _shown(value: float | str) -> str:
    """A number, or the text of a category in quotes, which may be long."""
    return f"{value:.4g}" if isinstance(value, float) else (f'"{value[:_LONGEST_TEXT]}"' if value else "missing")


def _decisions(use_case: UseCase, rows: pa.Table, explained: Any, bundle: Bundle) -> dg.MetadataValue:
    threshold = np.float32(bundle.manifest.threshold)
    binary = bundle.manifest.learned.name == "binary"
    ids = rows[use_case.event_id].to_pylist()
    shown = range(len(explained.scores))
    return markdown_table(
        pa.table(
            {
                use_case.event_id: [str(ids[i]) for i in shown],
                "score": [float(explained.scores[i]) for i in shown],
                **({"decision": [bool(explained.scores[i] >= threshold) for i in shown]} if binary else {}),
                "because": [
                    ", ".join(f"{name} = {_shown(value)} ({added:+.2f})" for name, value, added in explained.reasons(i))
                    for i in shown
                ],
            }
        )
    )


def _scores(bundle: Bundle, features: Any) -> Any:
    from jobs.models.runtime import score

    return score(bundle.session(), features)


def _lacking(champion: object) -> str:
    return "no champion yet" if champion is None else "no rows with mature labels yet"


def _fairness(use_case: UseCase, problem: Problem) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.fairness,
        deps=[keys.champion, keys.training_set],
        checks=[decision_checks.GROUPS_ALIKE],
        kinds={"fairlearn"},
        description="The champion's decisions on the latest mature rows, compared between declared groups.",
    )
    def fairness(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> dg.MaterializeResult[None]:
        from jobs.datasets import slices, time_split
        from jobs.evaluation import daily_scores, evaluation_rows
        from jobs.evaluation import fairness as job

        as_of = run_context.moment(context, lakehouse, use_case)
        champion, version = champions.at(use_case, as_of), lakehouse.version(use_case.training_set)
        assert version is not None
        parts = time_split.split(as_of, use_case.label_maturity, problem.validation_window, problem.evaluation_window)
        rows = evaluation_rows.between(lakehouse, use_case, version, parts.judged_start, parts.judged_end)
        if champion is None or not rows.num_rows:
            return dg.MaterializeResult(metadata={"notes": _lacking(champion)})
        bundle = champion[1]
        scored = daily_scores.scores(lakehouse, use_case, bundle, rows, version, "fairness")
        decisions = scored >= np.float32(bundle.manifest.threshold)
        masks, left_out = slices.masks(lakehouse, use_case, problem.fairness, rows, as_of)
        reports = job.report(rows[use_case.label].to_numpy().astype(bool), decisions, masks)
        metadata: dict[str, Any] = {"model_version": champion[0], "rows": rows.num_rows}
        for report in reports:
            metadata[f"{report.name}"] = _table(report.groups, report.overall)
            metadata[f"{report.name} differences"] = mapping_table(report.differences, ("rate", "largest difference"))
            metadata[f"{report.name} picture"] = scores.groups(report.groups, list(job.RATES))
        return dg.MaterializeResult(
            metadata={**metadata, **({"notes": "\n".join(left_out)} if left_out else {})},
            check_results=results([decision_checks.groups_alike(reports)]),
        )

    return fairness


def _table(groups: Any, overall: Any) -> dg.MetadataValue:
    rows = [{"group": name, **values} for name, values in {**groups, "overall": overall}.items()]
    return markdown_table(pa.Table.from_pylist(rows))
