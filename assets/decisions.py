"""What tables and the decision service tell each other, as assets: facts for its log, decisions out of it."""

import dagster as dg

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import mapping_table
from jobs.checks import online_decisions
from jobs.ingest.registered_inputs import InputError
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import StoreDown
from jobs.use_case import UseCase


def build(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The online decisions of a use case, and what servers are told; none without a problem to solve."""
    return [] if use_case.learned is None else [_told_facts(use_case), _online_decisions(use_case)]


def _told_facts(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.told_facts,
        deps=[keys.events, keys.labels],
        checks=[online_decisions.ALL_TOLD],
        kinds={"delta"},
        description="What the tables of events and labels gained, told to decision servers that run, each fact once.",
    )
    def told_facts(lakehouse: dg.ResourceParam[Lakehouse]) -> dg.MaterializeResult[None]:
        from jobs.decisions import feeding

        try:
            fed = feeding.feed(lakehouse, use_case)
        except StoreDown as away:
            return dg.MaterializeResult(metadata={"notes": f"{away}: servers are told once it answers"})
        if fed.notes:
            return dg.MaterializeResult(metadata={"notes": fed.notes})
        return dg.MaterializeResult(
            metadata={
                "notes": fed.sentence,
                "told": mapping_table(dict(fed.told), ("kind", "facts")),
                "refused": fed.refused,
                "versions": mapping_table(fed.versions, ("table", "versions")),
            },
            check_results=results([online_decisions.all_told(fed)]),
        )

    return told_facts


def _online_decisions(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_decisions,
        deps=[keys.events, keys.labels],
        checks=[online_decisions.ALL_SHIPPED],
        kinds={"delta"},
        description="What the decision service decided, from its log into the prediction log, each decision once.",
    )
    def shipped_decisions(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[None]:
        from jobs.decisions import shipping

        try:
            shipped = shipping.ship(lakehouse, use_case)
        except StoreDown as away:
            return dg.MaterializeResult(metadata={"notes": f"{away}: nothing is shipped until it answers"})
        as_of = run_context.moment(context, lakehouse, use_case)
        files = _verdict_files(lakehouse, use_case)
        if shipped.version is None or shipped.last is None:
            return dg.MaterializeResult(metadata={"notes": "no online decisions yet (`evergreen serve`)"})
        return dg.MaterializeResult(
            metadata={
                "rows_written": shipped.rows,
                "last_shipped": dg.MetadataValue.timestamp(shipped.last),
                "lag_seconds": max(0.0, (as_of - shipped.last).total_seconds()),
                "undecided": shipped.waiting,
                "verdicts_written": shipped.verdicts,
                "verdict_files": files,
                "fallbacks": mapping_table(dict(shipped.fallbacks or {}) or {"none": 0}, ("fallback", "decisions")),
            },
            check_results=results([online_decisions.all_shipped(lakehouse, use_case, shipped)]),
        )

    return shipped_decisions


def _verdict_files(lakehouse: Lakehouse, use_case: UseCase) -> int | str:
    """How many files of verdicts the next run loads anew, or why it cannot."""
    from jobs.actions import live_verdict_files

    try:
        return live_verdict_files.register(lakehouse, use_case)
    except InputError as error:
        return str(error)
