"""The pages of dbt about its models as one HTML file that needs no server, with every column described.

Neither an engine nor tables are needed: columns that YAML does not list are told where a table has been built.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.data_dictionary.dbt_columns import ModelDictionary
from jobs.errors import EvergreenError
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings, exported
from jobs.state_files import replace_json
from jobs.use_case import UseCase

PAGE = "index.html"


class DocsFailed(EvergreenError, RuntimeError):
    """dbt could not make its pages."""


def folder(settings: Settings) -> Path:
    """The folder of the page, and of nothing else."""
    return settings.home / "dbt" / "docs"


def link(settings: Settings, node_id: str) -> str:
    """Where the page about a node is served; empty as long as there is no page."""
    made = (folder(settings) / PAGE).exists()
    return f"{settings.docs.rstrip('/')}/#!/{node_id.split('.')[0]}/{node_id}" if made else ""


def write(lakehouse: Lakehouse, use_cases: Sequence[UseCase]) -> Path:
    """Make the page anew; returns its file. Raises DocsFailed with dbt's own message."""
    from dbt.cli.main import dbtRunner
    from dbt.contracts.graph.manifest import Manifest

    settings, work = lakehouse.settings, lakehouse.settings.home / "dbt" / "docs_target"
    parsed = dbt_models.manifest(settings)
    described = json.loads(parsed.read_bytes())
    for use_case in use_cases:
        _describe(lakehouse, use_case, described)
    # dbt puts into the page what it finds in its target folder.
    replace_json(work / "manifest.json", described)
    nodes = Manifest.from_msgpack(parsed.with_suffix(".msgpack").read_bytes())
    command = ["docs", "generate", "--static", "--no-compile", "--empty-catalog"]
    with exported(EVERGREEN_WAREHOUSE=settings.warehouse), dbt_models.log_closed():
        result = dbtRunner(manifest=nodes).invoke([*command, *dbt_models.options(settings, work)])
    if not result.success:
        raise DocsFailed(f"dbt docs: expected a page, found {result.exception or f'an error; see {work}/dbt.log'}")
    folder(settings).mkdir(parents=True, exist_ok=True)
    return (work / "static_index.html").replace(folder(settings) / PAGE)


def _describe(lakehouse: Lakehouse, use_case: UseCase, manifest: dict[str, Any]) -> None:
    """Give every column of the use case's models and sources its sentence, in dbt's manifest."""
    for node in _nodes(use_case, manifest):
        dictionary, table = ModelDictionary(use_case, manifest, node["unique_id"]), dbt_models.relation(node)
        types = {f.name: str(f.type) for f in lakehouse.schema(table)} if lakehouse.exists(table) else {}
        sentences = {name: dictionary.meaning(name).sentence for name in dict.fromkeys([*node["columns"], *types])}
        for name, sentence in sentences.items():
            column = node["columns"].setdefault(name, {"name": name, "meta": {}, "tags": [], "data_type": None})
            column |= {"description": sentence, "data_type": column["data_type"] or types.get(name)}


def _nodes(use_case: UseCase, manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    nodes = manifest["nodes"].values()
    yield from (n for n in nodes if n["resource_type"] == "model" and n["fqn"][2] == use_case.name)
    yield from (s for s in manifest["sources"].values() if s["schema"] == use_case.raw_schema)
