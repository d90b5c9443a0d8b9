"""What the assets of a use case have in common when they are declared: group, owners, tag, days."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from jobs.use_case import UseCase


def asset(
    use_case: UseCase, key: dg.AssetKey, days: dg.PartitionsDefinition | None = None, **declared: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for an asset of a use case, in the group that its key names unless another is declared.

    Args:
        days: its daily partitions, if it has any; a backfill of them is one run.
        declared: further arguments of `dg.asset`, which win over what is common to all.
    """
    common: dict[str, Any] = {
        "group_name": key.path[1],
        "owners": list(use_case.owners),
        "tags": {"use_case": use_case.name},
    }
    if days is not None:
        common |= {"partitions_def": days, "backfill_policy": dg.BackfillPolicy.single_run()}
    declaration: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(key=key, **{**common, **declared})
    return declaration
