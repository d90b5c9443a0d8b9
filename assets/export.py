"""The champion as the online service loads it, as an asset."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from assets import run_context
from assets.checks import results
from assets.declare import asset
from assets.keys import Keys
from assets.metadata import mapping_table, markdown_table
from jobs.checks import models as model_checks
from jobs.display import markdown
from jobs.lakehouse.tables import Lakehouse
from jobs.models.parity import ParityError
from jobs.registry.champion_bundles import Champions
from jobs.use_case import UseCase


class Export(dg.Config):
    """What a person may ask for in the launchpad."""

    int8: bool = True
    """Add an int8 variant where that applies, with what it costs and gains."""


def build(use_case: UseCase, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The exported model of a use case; none without a problem to solve."""
    return [] if use_case.learned is None else [_online_model(use_case)]


def _online_model(use_case: UseCase) -> dg.AssetsDefinition:
    keys = Keys(use_case)

    @asset(
        use_case,
        keys.online_model,
        deps=[keys.champion, keys.training_set],
        checks=[model_checks.PARITY],
        kinds={"onnx"},
        description="The champion's ONNX graph, preprocessing inside, proven on real rows, hashed file by file.",
    )
    def online_model(
        context: dg.AssetExecutionContext,
        config: Export,
        lakehouse: dg.ResourceParam[Lakehouse],
        champions: dg.ResourceParam[Champions],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        from jobs.promotion import export_champion

        as_of = run_context.moment(context, lakehouse, use_case)
        try:
            exported = export_champion.export_champion(lakehouse, use_case, champions, as_of, int8=config.int8)
        except export_champion.NothingToExport as lacking:
            yield dg.MaterializeResult(metadata={"notes": f"{lacking}: nothing exported"})
            return
        except ParityError as different:
            yield from results([model_checks.PARITY.outcome(False, "a graph that scores as its model", str(different))])
            raise
        proven = model_checks.parity(exported.online, exported.version, exported.champion, exported.rows)
        yield dg.MaterializeResult(metadata=_metadata(exported.online), check_results=results([proven]))

    return online_model


def _metadata(exported: Any) -> dict[str, Any]:
    manifest = exported.manifest
    files = {name: sha256[:16] for name, sha256 in manifest["files"].items()}
    return {
        "model_version": exported.version,
        "family": manifest["family"],
        "folder": dg.MetadataValue.path(str(exported.folder)),
        "bundle_sha256": manifest["bundle_sha256"],
        "size_bytes": exported.bundle.size_bytes,
        "largest_difference": max(manifest["parity"].values()),
        "parity": mapping_table(
            dict(sorted(manifest["parity"].items(), key=lambda item: int(item[0]))),
            ("batch", "largest difference from the model"),
        ),
        "features": markdown_table(
            pa.table(dict(zip(("feature", "type"), np.array(manifest["features"]).T.tolist(), strict=True)))
        ),
        "files": mapping_table(files, ("file", "sha256 begins")),
        **({"int8": _int8(manifest["int8"])} if "int8" in manifest else {}),
    }


def _int8(variant: dict[str, Any]) -> dg.MetadataValue:
    if not variant["applies"]:
        return dg.MetadataValue.md(markdown(variant["reason"]))
    rows = {"average precision": variant["average_precision"], "bytes": variant["size_bytes"]}
    rows |= {f"ms at batch {size}": pair for size, pair in variant["latency_ms"].items()}
    pairs = list(rows.values())
    return markdown_table(
        pa.table({"": list(rows), "float32": [str(p[0]) for p in pairs], "int8": [str(p[1]) for p in pairs]})
    )
