"""dbt models as assets, every dbt test as a blocking check. All models of a use case are one step."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets
from dagster_dbt.asset_utils import DBT_INDIRECT_SELECTION_ENV, get_updated_cli_invocation_params_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from dagster_dbt.dbt_manifest import validate_manifest

from assets.checks import results
from assets.code_references import dbt_references
from assets.declare import readable
from assets.keys import dbt_model
from assets.metadata import counts, describe, legible
from jobs.checks.dbt_models import NOT_EMPTY, not_empty
from jobs.data_dictionary.dbt_columns import ModelDictionary
from jobs.display import listed
from jobs.lakehouse import dbt_docs, model_refresh
from jobs.lakehouse import dbt_models as transforms
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings, exported
from jobs.use_case import UseCase


def dbt_key(use_case: UseCase, node: Mapping[str, Any]) -> dg.AssetKey:
    """The asset key of a model."""
    return dbt_model(use_case, node["fqn"][1], node["alias"])


class Translator(DagsterDbtTranslator):
    """Asset keys `{use case}/{layer}/{table}`, so that dbt's nodes are next to ours in the lineage."""

    def __init__(self, settings: Settings, use_case: UseCase, manifest: Mapping[str, Any]):
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self.home, self.use_case, self.manifest = settings, use_case, manifest

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dbt_model(self.use_case, "raw", dbt_resource_props["name"])
        return dbt_key(self.use_case, dbt_resource_props)

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        dictionary = ModelDictionary(self.use_case, self.manifest, dbt_resource_props["unique_id"])
        columns = [
            dg.TableColumn(n, c.get("data_type") or "?", dictionary.meaning(n).sentence)
            for n, c in dbt_resource_props["columns"].items()
        ]
        page = dbt_docs.link(self.home, dbt_resource_props["unique_id"])
        return {
            **super().get_metadata(dbt_resource_props),
            **dbt_references(self.home.dbt_project, dbt_resource_props),
            "dagster/column_schema": dg.TableSchema(columns),
            **({"dbt_docs": dg.MetadataValue.url(page)} if page else {}),
        }

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return "raw" if dbt_resource_props["resource_type"] == "source" else str(dbt_resource_props["fqn"][1])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return list(self.use_case.owners)

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        return {"use_case": self.use_case.name}


def build(
    settings: Settings, use_case: UseCase, partitions: dg.PartitionsDefinition, manifest: Path
) -> dg.AssetsDefinition:
    """All dbt models of a use case (those in folders of its name) as one step."""
    translator = Translator(settings, use_case, validate_manifest(manifest))

    @dbt_assets(
        name=f"{use_case.name}_dbt",
        manifest=manifest,
        select=" ".join(f"fqn:evergreen.{layer}.{use_case.name}" for layer in ("staging", "marts")),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        dagster_dbt_translator=translator,
    )
    @readable
    def dbt_models(context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]) -> Iterator[Any]:
        arguments = get_updated_cli_invocation_params_for_context(
            context=context, manifest={}, dagster_dbt_translator=translator
        )
        nodes = validate_manifest(manifest)
        names = context.selected_asset_keys
        models = [n for n in transforms.models(nodes, use_case) if translator.get_asset_key(nodes["nodes"][n]) in names]
        built = transforms.Built(lakehouse, use_case, manifest, nodes)
        with transforms.loads_wait(lakehouse, use_case), _chosen_tests(arguments.indirect_selection):
            # A run of some models builds them; a run of all builds those that changed.
            due = models if _is_subset(context) else built.due(models)
            anew = [model for model in built.changed(models) if model in due]
            others = [model for model in due if model not in anew]
            chosen = arguments.selection_args if others == models else transforms.selection(nodes, others)
            tested = built.tested(models)
            done = transforms.build(lakehouse, use_case, manifest, chosen, tested) if others else transforms.Build()
            cost = _cost(lakehouse, nodes, anew) if anew else ""
            if anew and not done.errors:
                context.log.info(cost)
                done = done.and_then(model_refresh.refresh(lakehouse, use_case, manifest, nodes, anew))
            built.remember(done, due)
        for model in models:
            if model not in due:
                yield _up_to_date(lakehouse, translator, nodes["nodes"][model])
        for event in done.finished:
            of_model = _events(context, lakehouse, translator, nodes, event)
            is_noted = anew[:1] == [event["data"]["node_info"]["unique_id"]]
            yield from (_noted(each, cost) for each in of_model) if is_noted else of_model
        if done.errors:
            raise dg.Failure("\n".join(done.errors), allow_retries=False)

    return dbt_models


def checks(models: dg.AssetsDefinition, use_case: UseCase, manifest: Mapping[str, Any]) -> list[dg.AssetsDefinition]:
    """A check of each model of `models` for which dbt declares no test: every asset has one that can fail."""
    tested = {spec.asset_key for spec in models.check_specs}
    nodes = {dbt_key(use_case, manifest["nodes"][name]): name for name in transforms.models(manifest, use_case)}
    return [_not_empty(key, manifest, name) for key, name in nodes.items() if key not in tested]


def _not_empty(key: dg.AssetKey, manifest: Mapping[str, Any], name: str) -> dg.AssetsDefinition:
    nodes = {**manifest["nodes"], **manifest["sources"]}
    table, *inputs = (transforms.relation(nodes[each]) for each in (name, *manifest["parent_map"][name]))

    @dg.asset_check(asset=key, name=NOT_EMPTY.name, description=NOT_EMPTY.description)
    @readable
    def not_empty_check(lakehouse: dg.ResourceParam[Lakehouse]) -> dg.AssetCheckResult:
        rows = {each: counts(lakehouse, each)["dagster/row_count"] for each in (table, *inputs)}
        [result] = results([not_empty(rows.pop(table), rows)])
        return result

    return not_empty_check


def _cost(lakehouse: Lakehouse, manifest: Mapping[str, Any], models: Sequence[str]) -> str:
    """What it takes to build models anew whose SQL changed: the rows that are made again."""
    tables = [transforms.relation(manifest["nodes"][model]) for model in models]
    rows = sum(lakehouse.row_count(table) for table in tables if lakehouse.exists(table))
    return f"the SQL of {listed(tables)} or of what they read changed: {rows:,} rows are made anew"


def _noted(event: Any, note: str) -> Any:
    """An output with a note, which people see of a run."""
    return event.with_metadata({**event.metadata, "notes": note}) if isinstance(event, dg.Output) else event


def _is_subset(context: dg.AssetExecutionContext) -> bool:
    """Whether the run was asked for some of the models or checks only."""
    assets = context.assets_def
    if set(assets.node_keys_by_output_name.values()) != assets.keys:
        return True
    return dict(assets.check_specs_by_output_name) != dict(assets.node_check_specs_by_output_name)


def _up_to_date(lakehouse: Lakehouse, translator: Translator, node: Mapping[str, Any]) -> dg.Output[None]:
    """The output of a model whose inputs have not changed since it was built: its last tests hold too."""
    name = translator.get_asset_key(node).to_python_identifier()
    metadata = counts(lakehouse, transforms.relation(node)) | {"built": "up to date: nothing that it reads changed"}
    return dg.Output(None, output_name=name, metadata=metadata)


def _chosen_tests(mode: str | None) -> contextlib.AbstractContextManager[None]:
    """How dbt is to choose the tests of the selected models: dagster-dbt asks through the environment."""
    return exported(**{DBT_INDIRECT_SELECTION_ENV: mode}) if mode else contextlib.nullcontext()


def _events(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    translator: Translator,
    manifest: Mapping[str, Any],
    event: dict[str, Any],
) -> Iterator[Any]:
    """Dagster's events for a finished node; a model's has its rows and version, and once its columns and lineage."""
    node = manifest["nodes"][event["data"]["node_info"]["unique_id"]]
    message = DbtCoreCliEventMessage(event, _columns(lakehouse, manifest, node))
    target = transforms.target(lakehouse.settings)
    for asset_event in message.to_default_asset_events(manifest, translator, context, target):
        yield (
            _described(context, lakehouse, translator, node, asset_event)
            if isinstance(asset_event, dg.Output)
            else asset_event
        )


def _described(
    context: dg.AssetExecutionContext,
    lakehouse: Lakehouse,
    translator: Translator,
    node: Mapping[str, Any],
    output: dg.Output[None],
) -> dg.Output[None]:
    lineage = {name: value for name, value in output.metadata.items() if name == "dagster/column_lineage"}
    key = translator.get_asset_key(node)
    dictionary = ModelDictionary(translator.use_case, translator.manifest, node["unique_id"])
    described = describe(context, lakehouse, transforms.relation(node), dictionary, key=key, more=lineage)
    others = {name: value for name, value in output.metadata.items() if not name.startswith("dagster/column")}
    return output.with_metadata(legible({**others, **described}))


def _columns(lakehouse: Lakehouse, manifest: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a model and of what it reads, in the form from which dagster-dbt makes column lineage."""
    if node["resource_type"] != "model" or not lakehouse.exists(transforms.relation(node)):
        return {}
    nodes = {**manifest["nodes"], **manifest["sources"]}
    inputs = [nodes[name] for name in manifest["parent_map"][node["unique_id"]]]
    return {
        "columns": _typed(lakehouse, node),
        "parents": {i["relation_name"]: {"columns": _typed(lakehouse, i)} for i in inputs},
    }


def _typed(lakehouse: Lakehouse, node: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    # Lineage is about names: sqlglot asks for a type, any will do.
    return {name: {"data_type": "string"} for name in lakehouse.schema(transforms.relation(node)).names}
