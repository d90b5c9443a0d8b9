"""The evidence of a night, and whether it calls for a training, as assets; both are rows of the ledger."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.ledger_columns import ledger_columns
from assets.metadata import mapping_table, markdown_table
from assets.pictures import scores
from assets.run_context import moment
from jobs.alerts import evidence_alerts
from jobs.checks import monitoring as checks
from jobs.lakehouse.tables import Lakehouse
from jobs.promotion.promote import Registry
from jobs.registry.champion_bundles import Champions
from jobs.retraining import decisions, nightly_evidence, search_offer
from jobs.retraining.decisions import RecordedDecision
from jobs.retraining.policy import ALARM, Evidence
from jobs.tasks.catalog import task_of
from jobs.use_case import UseCase, problem_of

GROUP = "retraining"
"""Apart from monitoring, whose assets come after the promotion that these come before."""
SHOWN = 20
"""Decisions, and days of positives, in a table."""


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The champion against its predecessor, evidence and decision; nothing for a use case without a problem."""
    if use_case.learned is None:
        return []
    return [_predecessor(use_case), _evidence(use_case), _retraining(use_case)]


def decided_here(context: dg.AssetExecutionContext, use_case: UseCase) -> bool:
    """Whether this run asks the policy; a run that does not was started by a person for the assets it selects."""
    return Keys(use_case).retraining in context.job_def.asset_layer.executable_asset_keys


def due(
    context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase, now: datetime
) -> RecordedDecision | None:
    """The training that the ledger asks for, at the moment of this run."""
    return decisions.due(lakehouse.settings, use_case, moment(context, lakehouse, use_case), now)


def asked(
    context: dg.AssetExecutionContext, lakehouse: Lakehouse, use_case: UseCase, now: datetime
) -> RecordedDecision:
    """The training that a person asks for by starting this run."""
    as_of = moment(context, lakehouse, use_case)
    return decisions.record_request(lakehouse.settings, use_case, as_of, _asker(context), now)


def _predecessor(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.predecessor,
        group_name=GROUP,
        deps=[keys.history, keys.labels],
        checks=[checks.CHAMPION_HOLDS],
        kinds={"sql"},
        description="The champion against its predecessor, scored in its shadow on the same mature rows; if that one "
        "would have been better beyond noise, the promotion is rolled back.",
    )
    def predecessor(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
        champions: dg.ResourceParam[Champions],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        from jobs.retraining import rollback

        as_of = moment(context, lakehouse, use_case)
        comparison, decision = rollback.check(lakehouse, use_case, registry, champions, as_of, now)
        if decision is not None:
            evidence_alerts.rolled_back(lakehouse.settings, use_case, decision, now)
        numbers = {"present": comparison.present, "former": comparison.former}
        words = task_of(problem_of(use_case)).words
        return dg.MaterializeResult(
            check_results=results([checks.champion_holds(comparison)]),
            metadata={
                "said": comparison.message,
                "rolled_back": decision is not None,
                "positives": comparison.positives,
                **{f"{words} of the {who}": v for who, v in numbers.items() if v is not None},
                **({"decision": f"version {decision.model_version} restored"} if decision else {}),
            },
        )

    return predecessor


def _evidence(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.evidence,
        group_name=GROUP,
        deps=[keys.history, keys.predecessor, keys.labels],
        checks=[checks.EVIDENCE_OF_LATEST_DAY],
        kinds={"sql"},
        description="What is known of the champion's world at this moment: drift of features and scores, and what the "
        "reports say. A row of the ledger; every decision about a training rests on it.",
    )
    def evidence(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        as_of = moment(context, lakehouse, use_case)
        measured, daily = nightly_evidence.evidence(lakehouse, use_case, champions, as_of)
        digest = decisions.record_evidence(lakehouse.settings, use_case, measured, now)
        evidence_alerts.settle(lakehouse.settings, use_case, measured, now)
        due = search_offer.settle(lakehouse.settings, use_case, daily.quality, as_of, now)
        evidence_alerts.settle_search(lakehouse.settings, use_case, due, now)
        return dg.MaterializeResult(
            metadata={
                "digest": digest,
                **seen_metadata(measured, daily),
                **({"feature_search": due.message} if due else {}),
            },
            check_results=results([checks.evidence_of_latest_day(lakehouse, use_case, as_of, daily)]),
        )

    return evidence


def seen_metadata(evidence: Evidence, daily: Any) -> dict[str, Any]:
    """Evidence for people."""
    days = sorted(evidence.positives)[-SHOWN:]
    named = {test: ", ".join(names) or "nothing" for test, names in evidence.named.items()}
    shown: dict[str, Any] = {
        "alarms": ", ".join(evidence.alarms) or "none",
        "reports_known": daily.reports,
        "label_maturity_of_the_last_day": daily.maturity,
    }
    if evidence.scores:
        shown["scores"] = scores.bars(evidence.scores, f"evidence of change ({ALARM:g} is the line of alarm)")
        rows = [
            {"test": t, "score": s, "alarms": s >= ALARM, "names": named.get(t, "")} for t, s in evidence.scores.items()
        ]
        shown["tests"] = markdown_table(pa.Table.from_pylist(rows))
    positives = {str(day): evidence.positives[day] for day in days}
    shown["positives"] = mapping_table(positives, ("day", "positives known by now"))
    return {**shown, "versions": mapping_table(dict(evidence.versions), ("table", "version"))}


def _retraining(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.retraining,
        group_name=GROUP,
        deps=[keys.evidence],
        checks=[checks.TRAININGS_END],
        metadata=ledger_columns("retrainings"),
        kinds={"sql"},
        description="Whether the evidence calls for a training, and why, or why not: a row of the ledger. The same "
        "evidence is decided about once, here or by a sensor.",
    )
    def retraining_decision(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> dg.MaterializeResult[None]:
        settings = lakehouse.settings
        latest = decisions.latest(settings, use_case)
        if latest is None:
            return dg.MaterializeResult(metadata={"notes": "no evidence yet: materialize it first"})
        row = decisions.decide(settings, use_case, latest[0], _asker(context), now)
        rows = decisions.rows(settings, use_case)
        return dg.MaterializeResult(
            metadata=decision_metadata(row, rows, now), check_results=results([checks.trainings_end(rows, now)])
        )

    return retraining_decision


def _asker(context: dg.AssetExecutionContext) -> str:
    """Who started the run: a schedule, a sensor, or a person."""
    tags = context.run.tags
    return tags.get("dagster/schedule_name") or tags.get("dagster/sensor_name") or "run"


def decision_metadata(row: RecordedDecision, rows: Sequence[RecordedDecision], now: datetime) -> dict[str, Any]:
    """A decision, and the last ones."""
    shown = [decisions.described(each, now) for each in reversed(rows[-SHOWN:])]
    return {
        "retrain": row.decision.retrain,
        "trigger": row.decision.trigger,
        "reason": row.decision.reason,
        "decided_by": row.by,
        "decisions": markdown_table(pa.Table.from_pylist(shown)),
    }
