"""dbt models as assets, every dbt test as a blocking check. One dbt step per run: its start-up costs seconds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtEventIterator

from jobs import transforms
from jobs.lakehouse import Lakehouse
from jobs.use_case import UseCase


class Translator(DagsterDbtTranslator):
    """Asset keys `{use case}/{layer}/{table}`, so that dbt's nodes stand beside ours in the lineage."""

    def __init__(self, use_case: UseCase):
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self.use_case = use_case

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([self.use_case.name, "raw", dbt_resource_props["name"]])
        layer = dbt_resource_props["fqn"][1]
        return dg.AssetKey([self.use_case.name, layer, dbt_resource_props["alias"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return "raw" if dbt_resource_props["resource_type"] == "source" else str(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return list(self.use_case.owners)

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        return {"use_case": self.use_case.name}


def build(use_case: UseCase, partitions: dg.PartitionsDefinition, manifest: Path) -> dg.AssetsDefinition:
    """All dbt models of a use case (those in folders of its name) as one step."""

    @dbt_assets(
        name=f"{use_case.name}_dbt",
        manifest=manifest,
        select=" ".join(f"fqn:evergreen.{layer}.{use_case.name}" for layer in ("staging", "marts")),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        dagster_dbt_translator=Translator(use_case),
    )
    def dbt_models(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> Iterator[Any]:
        # Loads wait: every model of one build then sees the same raw rows.
        with lakehouse.lock(f"{use_case.name}.raw"), transforms.session(lakehouse, use_case):
            # One folder for all builds: dbt parses only what changed since the last one.
            target = lakehouse.settings.home / "dbt" / "target"
            invocation = dbt.cli(["build"], context=context, target_path=target)
            # dagster-dbt polls in a busy loop while it adds metadata: on two cores it would slow dbt down.
            events, failure = _finished(invocation.stream())
            yield from DbtEventIterator(iter(events), invocation).fetch_row_counts().fetch_column_metadata()
            if failure is not None:
                raise failure

    return dbt_models


def _finished(events: Iterator[Any]) -> tuple[list[Any], Exception | None]:
    """All events of a dbt invocation, and what it failed with: the results of failed tests come before the error."""
    seen: list[Any] = []
    try:
        for event in events:
            seen.append(event)  # noqa: PERF402 - what came before an error must be kept
    except Exception as error:
        return seen, error
    return seen, None


def mart_key(table: str) -> dg.AssetKey:
    """Asset of the mart that a use case calls `schema.table`."""
    schema, name = table.split(".")
    return dg.AssetKey([schema, "marts", name])
