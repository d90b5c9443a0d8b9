"""Raw Delta tables: files in, contracts checked, versions appended. One asset per source of a use case."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import column_schema, describe, mapping_table
from jobs.checks import raw_loads
from jobs.data_dictionary.ledger_tables import QuarantineDictionary
from jobs.data_dictionary.tables import DataDictionary
from jobs.ingest import contracts, load, quarantine, registered_inputs
from jobs.ingest.load_memory import LoadResult
from jobs.ingest.parsing import table_schema
from jobs.ingest.schemas import SchemaChanged
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source, UseCase


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """An asset per source, with its contract as checks."""
    return [_raw_table(use_case, source, partitions) for source in use_case.sources]


def _raw_table(use_case: UseCase, source: Source, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    raw = Keys(use_case).raw
    key, dictionary = raw[source.name], DataDictionary(use_case, source=source)
    upstream = {reference.split(".")[0] for reference in source.references.values()}

    @asset(
        use_case,
        key,
        partitions,
        declaration=source,
        deps=[raw[name] for name in sorted(upstream)],
        checks=raw_loads.CHECKS,
        check_specs=_contract(key),
        kinds={"delta", "pandera"},
        description=source.description or f"Rows of {source.input} files as they were delivered.",
        metadata=_columns(use_case, source, dictionary),
    )
    def raw_table(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse], now: dg.ResourceParam[datetime]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        inputs = registered_inputs.ensure(lakehouse.settings, use_case)
        as_of, days = run_context.as_of(context, inputs.end), run_context.input_days(context)
        try:
            result = load.load(lakehouse, use_case, source, inputs, as_of=as_of, now=now, days=days)
        except SchemaChanged as changed:
            yield dg.AssetCheckResult(check_name="schema", passed=False, description=str(changed))
            raise
        yield from map(_check_result, result.findings)
        numbers = [c.name for c in source.columns if c.kind == "number"]
        described = describe(context, lakehouse, use_case.raw_table(source), dictionary, numbers)
        yield dg.MaterializeResult(
            metadata={**described, **_shown(result)},
            check_results=results(raw_loads.judge(lakehouse, use_case, source, result, as_of)),
        )

    return raw_table


def _contract(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=key, description=description, blocking=blocking)
        for name, (description, blocking) in contracts.CHECKS.items()
    ]


def _columns(use_case: UseCase, source: Source, dictionary: DataDictionary) -> dict[str, Any]:
    """The columns of the table, and of that of its quarantined rows."""
    sentences = {name: QuarantineDictionary().meaning(name).sentence for name in quarantine.SCHEMA.names}
    return {
        "dagster/column_schema": column_schema(table_schema(source, {}), dictionary),
        f"quarantine: {quarantine.table_of(use_case.raw_table(source))}": mapping_table(
            sentences, ("column", "what it holds")
        ),
    }


def _shown(result: LoadResult) -> dict[str, Any]:
    """What a load did, as metadata."""
    notes = "\n".join(_notes(result))
    return {
        "appended": result.appended,
        "quarantined": sum(result.quarantined.values()),
        **({"notes": notes} if notes else {}),
        "load": mapping_table(result.summary()),
    }


def _check_result(finding: contracts.Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN,
        description=finding.description,
        metadata=dict(finding.metadata),
    )


def _notes(result: LoadResult) -> Iterator[str]:
    """What the summary on the terminal shows in words."""
    for reason, rows in result.quarantined.items():
        yield f"{rows:,} rows in quarantine: {reason}"
    if result.not_yet_known:
        yield f"{result.not_yet_known:,} rows are not known yet at this as_of"
    if result.known_at_event:
        yield f"{result.known_at_event:,} rows were known at the time of their event: they count for later events only"
    if result.dates_alone:
        yield f"{result.dates_alone:,} rows were known at a date without a time: at the end of that day"
    if result.undeclared:
        yield f"columns left out, as they are not declared: {', '.join(result.undeclared)}"
    if result.zone_assumed:
        yield f"timestamps without a zone were read as {result.zone_assumed}"


def utc_now() -> datetime:
    """The clock at the boundary: decides which timestamps lie in the future, and dates what is recorded."""
    return datetime.now(UTC)
