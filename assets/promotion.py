"""The assets evaluation, champion and approval: the gate's verdict, the model in production, a person's approval."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import retraining, run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.ledger_columns import ledger_columns
from assets.metadata import markdown_table
from assets.pictures.promotion import differences
from jobs.checks import models as model_checks
from jobs.checks import online_decisions
from jobs.display import markdown, written
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger.promotions import LedgerView, PromotionDecision
from jobs.promotion.promote import Registry
from jobs.settings import Settings
from jobs.use_case import UseCase

CHECK = "better_beyond_noise"
LAST_DECISIONS = 10
"""Number of decisions in the table."""


class Approval(dg.Config):
    """The model version that `by` approves, and why: a must where the evidence is too thin to judge it."""

    model_version: int
    by: str
    because: str = ""


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Evaluation, champion and approval; nothing for a use case without a problem."""
    if use_case.learned is None:
        return []
    return [_evaluation(use_case), _champion(use_case), _approval(use_case)]


def _patience(context: dg.AssetExecutionContext, use_case: UseCase) -> timedelta:
    """Nightly runs judge a refused candidate again once the evaluation window holds new rows; runs on demand, at
    once."""
    nightly = use_case.problem is not None and retraining.decided_here(context, use_case)
    return use_case.problem.evaluation_window if use_case.problem is not None and nightly else timedelta(0)


def _evaluation(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.evaluation,
        deps=[keys.candidate, keys.training_set],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=keys.evaluation, description="The candidate may become champion; if not, why."
            )
        ],
        kinds={"onnx"},
        metadata=ledger_columns("evaluations"),
        description="Candidate, champion and baselines on the same latest mature rows, and the gate's verdict.",
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs.promotion import promote

        patience = _patience(context, use_case)
        judged = promote.judge(
            lakehouse, use_case, registry, run_context.moment(context, lakehouse, use_case), patience
        )
        evaluated = judged.evaluation
        reasons = list(evaluated.evidence["reasons"]) if evaluated else []
        yield dg.AssetCheckResult(
            check_name=CHECK,
            passed=not reasons,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(reasons) or judged.message,
        )
        shown = _evidence(evaluated.evidence) if evaluated else {}
        yield dg.MaterializeResult(metadata={"verdict": _verdict(judged.message, reasons, bool(evaluated)), **shown})

    return evaluation


def _champion(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.champion,
        deps=[keys.evaluation],
        checks=[model_checks.CHAMPION_LOADS, online_decisions.EQUAL_BATCH],
        kinds={"sql", "mlflow"},
        metadata=ledger_columns("champions"),
        description="Who is in production, since when and why; one transaction in the ledger is the promotion.",
    )
    def champion(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        from jobs.ledger import promotions
        from jobs.promotion import promote

        as_of = run_context.moment(context, lakehouse, use_case)
        judged, decision = promote.promote(lakehouse, use_case, registry, as_of, now, _patience(context, use_case))
        outcome = f"{decision.outcome}: {decision.reason}" if decision else judged.message
        ledger = promotions.view(lakehouse.settings, use_case)
        outcomes = [
            model_checks.champion_loads(lakehouse.settings, use_case, registry, ledger),
            online_decisions.judged(lakehouse, use_case),
        ]
        metadata = {"decision": outcome, **_in_production(ledger, decision)}
        return dg.MaterializeResult(metadata=metadata, check_results=results(outcomes))

    return champion


def decided_outside(settings: Settings, use_case: UseCase, decision: PromotionDecision) -> dg.AssetMaterialization:
    """What the champion's page shows of a decision that no run made, such as a rollback at the terminal."""
    from jobs.ledger import promotions

    ledger = promotions.view(settings, use_case)
    outcome = f"{decision.kind}: {decision.outcome}: {decision.reason}"
    return dg.AssetMaterialization(
        Keys(use_case).champion, metadata={"decision": outcome, **_in_production(ledger, decision)}
    )


def _approval(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    # Not tagged with the use case: a run of the lineage has no person to ask.
    @asset(
        use_case,
        keys.approval,
        tags={},
        checks=[model_checks.IN_PRODUCTION],
        kinds={"sql"},
        metadata=ledger_columns("decisions"),
        description=(
            "Materialize it with `model_version` and `by` to let a waiting model into production. Who you are is not "
            "checked here, and the ledger says so; `evergreen approve` is the other way."
        ),
    )
    def approval(
        config: Approval,
        lakehouse: dg.ResourceParam[Lakehouse],
        registry: dg.ResourceParam[Registry],
        now: dg.ResourceParam[datetime],
    ) -> dg.MaterializeResult[None]:
        from jobs.ledger import promotions
        from jobs.promotion import approvals, promote

        person = approvals.person(lakehouse.settings, use_case, config.by, False, now)
        because = config.because.strip()
        decision = approvals.approve(lakehouse.settings, use_case, registry, config.model_version, person, because)
        promote.reconcile(lakehouse.settings, use_case, registry)
        ledger = promotions.view(lakehouse.settings, use_case)
        return dg.MaterializeResult(
            metadata={"decision": f"{decision.outcome}: {decision.reason}", **_in_production(ledger, decision)},
            check_results=results([model_checks.in_production(decision, ledger)]),
        )

    return approval


def _verdict(summary: str, reasons: Sequence[str], judged: bool) -> dg.MetadataValue:
    if not judged:
        return dg.MetadataValue.md(markdown(summary))
    if not reasons:
        return dg.MetadataValue.md(f"**Passed**: nothing speaks against the candidate ({markdown(summary)}).")
    return dg.MetadataValue.md(
        "\n".join([f"**Refused** ({markdown(summary)}):", "", *(f"- {markdown(reason)}" for reason in reasons)])
    )


def _evidence(evidence: Mapping[str, Any]) -> dict[str, Any]:
    checks = [{"check": n, "outcome": c["outcome"], "in words": c["said"]} for n, c in evidence["checks"].items()]
    shown: dict[str, Any] = {
        "candidate": evidence["candidate"],
        "champion": evidence["champion"] or "none yet",
        "dagster/row_count": evidence["rows"],
        "positives": evidence["positives"],
        "judged_rows": " to ".join(
            written(datetime.fromisoformat(evidence["window"][end])) for end in ("start", "end")
        ),
        "checks": markdown_table(pa.Table.from_pylist(checks)),
    }
    if look := evidence.get("look"):
        shown["look"] = _look(look)
    if notes := [*evidence["left_out"], *([evidence["champion_left_out"]] if "champion_left_out" in evidence else [])]:
        shown["notes"] = dg.MetadataValue.text("\n".join(notes))
    if metrics := evidence.get("metrics"):
        shown["metrics"] = markdown_table(pa.Table.from_pylist([{"who": n, **m} for n, m in metrics.items()]))
    if picture := differences(evidence["checks"], evidence.get("objective", "average_precision")):
        shown["differences"] = picture
    return shown


def _look(look: Mapping[str, float]) -> str:
    """Which look at the champion it was, and what it asked for; every look spends a part of one chance of error."""
    spent = f"{100 * look['spent']:.2g} % of the {100 * look['alpha']:.2g} % that all looks may spend"
    return f"number {look['number']:.0f} at this champion, at a level of {look['level']:.5f}; {spent} are spent"


def _in_production(ledger: LedgerView, decision: PromotionDecision | None) -> dict[str, Any]:
    current = ledger.champion
    why = {d.id: d for d in ledger.decisions}
    history = [
        {
            "version": c.version,
            "in production": f"{c.since:%Y-%m-%d %H:%M} to {f'{c.until:%Y-%m-%d %H:%M}' if c.until else 'now'}",
            "why": f"{why[c.decision].kind}: {why[c.decision].reason} (by {why[c.decision].by})",
        }
        for c in reversed(ledger.champions)
    ]
    decisions = [
        {
            "decided": f"{d.decided_at:%Y-%m-%d %H:%M} by {d.by}{'' if d.authenticated else ' (not authenticated)'}",
            "what": f"version {d.model_version}, {d.kind}: {d.outcome}",
            "why": d.reason,
        }
        for d in reversed(ledger.decisions[-LAST_DECISIONS:])
    ]
    return {
        "version": dg.MetadataValue.text(str(current.version) if current else "none yet"),
        "provisional": ledger.provisional,
        "since": written(current.since) if current else "none yet",
        "waiting": ", ".join(map(str, ledger.waiting)) or "none",
        **({"history": markdown_table(pa.Table.from_pylist(history))} if history else {}),
        **({"last_decisions": markdown_table(pa.Table.from_pylist(decisions))} if decisions else {}),
    }
